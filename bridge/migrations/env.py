"""Alembic's entry: runs the steps on the connection that `upgrade` hands over."""

from alembic import context
from sqlmodel import SQLModel

import bridge.models  # noqa: F401  (fills the metadata)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction holds all of it
)
context.run_migrations()
