"""The score maps that were kept of an inspection."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Older inspections have none: nobody kept them."""
    op.add_column("records", sa.Column("maps", sa.Text))
