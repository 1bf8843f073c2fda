"""The one row of a lane whose outcome nobody knows comes first, and is found at once."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    unsure = sa.text("status = 0 AND trying != 0")
    op.create_index(
        "delivery_unsure", "delivery", ["lane"], sqlite_where=unsure, postgresql_where=unsure
    )
