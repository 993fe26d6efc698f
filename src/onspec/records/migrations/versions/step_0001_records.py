"""Inspections, classes of their defects, reviews and recipes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the first tables. Frozen: later columns come in later steps, whatever `tables.py` says by then."""
    op.create_table(
        "records",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("part_id", sa.Text),
        sa.Column("image", sa.Text, nullable=False),
        sa.Column("image_sha256", sa.String(64)),
        sa.Column("image_type", sa.String(8)),
        sa.Column("image_bytes", sa.BigInteger),
        sa.Column("image_kept", sa.Boolean, nullable=False),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("recipe", sa.Text, nullable=False),
        sa.Column("recipe_name", sa.Text, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("verdict", sa.String(8), nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("class", sa.Text),
        sa.Column("class_scores", sa.Text, nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("fired", sa.Text, nullable=False),
        sa.Column("defects", sa.Text, nullable=False),
        sa.Column("placement", sa.Text),
        sa.Column("ms", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
    )
    op.create_index("records_by_time", "records", ["time_us", "id"])
    op.create_index("records_by_verdict", "records", ["verdict", "time_us"])
    op.create_index("records_by_recipe", "records", ["recipe_name", "time_us"])
    op.create_index("records_by_part", "records", ["part_id"])
    op.create_table(
        "defect_classes",
        sa.Column("record_id", sa.String(36), primary_key=True),
        sa.Column("class", sa.Text, primary_key=True),
    )
    op.create_index("defect_classes_by_class", "defect_classes", ["class", "record_id"])
    op.create_table(
        "reviews",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("record_id", sa.String(36), nullable=False),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("truth", sa.String(16), nullable=False),
        sa.Column("class", sa.Text),
        sa.Column("outlines", sa.Boolean, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_index("reviews_by_record", "reviews", ["record_id", "time_us"])
    op.create_table(
        "recipes",
        sa.Column("identity", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("recipe", sa.Text, nullable=False),
    )
