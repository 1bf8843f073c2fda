"""What a gap leaves behind: cursors, unjudged messages, attempts of unknown outcome."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("account", sa.Column("paused_until", sa.BigInteger()))
    op.add_column("channel", sa.Column("cursor", sa.BigInteger()))
    op.add_column("channel", _flag("behind", sa.false()))
    op.add_column("channel", sa.Column("gap_at", sa.BigInteger()))
    op.add_column("message", _flag("judged", sa.true()))
    op.create_index(
        "message_unjudged",
        "message",
        ["account", "channel", "position"],
        sqlite_where=sa.text("judged = 0"),
        postgresql_where=sa.text("NOT judged"),
    )
    for name in ("tried_at", "sure_at", "looked_at"):
        op.add_column("delivery", sa.Column(name, sa.BigInteger()))
    bundle = sa.Column("bundle", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    op.add_column("delivery", bundle)
    op.create_index(
        "delivery_bundle",
        "delivery",
        ["bundle"],
        sqlite_where=sa.text("bundle != 0"),
        postgresql_where=sa.text("bundle != 0"),
    )


def _flag(name: str, default: sa.ColumnElement[bool]) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=default)
