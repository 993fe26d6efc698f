"""How the image of an inspection looks."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Older inspections have none: their images were not looked at."""
    op.add_column("records", sa.Column("look", sa.Text))
