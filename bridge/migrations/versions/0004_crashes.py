"""How often in a row whoever tried a delivery ended over it without a word."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    crashes = sa.Column("crashes", sa.Integer(), nullable=False, server_default=sa.text("0"))
    op.add_column("delivery", crashes)
