"""The tables of the archive. Times are whole microseconds since 1970, UTC; JSON is text, as the contract spells it."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

Value = str | int | float | bool | None
Row = dict[str, Value]
"""Column → value."""

metadata = MetaData()

records = Table(
    "records",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("time_us", BigInteger, nullable=False),
    Column("station", Text, nullable=False),
    Column("part_id", Text),
    Column("image", Text, nullable=False),
    Column("image_sha256", String(64)),
    Column("image_type", String(8)),
    Column("image_bytes", BigInteger),
    Column("image_kept", Boolean, nullable=False),
    Column("width", Integer),
    Column("height", Integer),
    Column("recipe", Text, nullable=False),
    Column("recipe_name", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("score", Float),
    Column("class", Text),
    Column("class_scores", Text, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("fired", Text, nullable=False),
    Column("defects", Text, nullable=False),
    Column("placement", Text),
    Column("look", Text),
    Column("maps", Text),
    Column("ms", Text, nullable=False),
    Column("error", Text),
    Index("records_by_time", "time_us", "id"),
    Index("records_by_verdict", "verdict", "time_us"),
    Index("records_by_recipe", "recipe_name", "time_us"),
    Index("records_by_part", "part_id"),
)
"""A row an inspection."""

defect_classes = Table(
    "defect_classes",
    metadata,
    Column("record_id", String(36), primary_key=True),
    Column("class", Text, primary_key=True),
    Index("defect_classes_by_class", "class", "record_id"),
)
"""A row a class that some defect of an inspection has."""

reviews = Table(
    "reviews",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("record_id", String(36), nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("truth", String(16), nullable=False),
    Column("class", Text),
    Column("outlines", Boolean, nullable=False),
    Column("by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Index("reviews_by_record", "record_id", "time_us"),
)
"""A row a review; none is ever changed. The newest of an inspection counts."""

recipes = Table(
    "recipes",
    metadata,
    Column("identity", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("model_sha256", String(64), nullable=False),
    Column("recipe", Text, nullable=False),
)
"""What the recipes of the inspections were: the network's hash and `recipe.json`, so that replay can tell."""

TABLES = {table.name: table for table in (records, defect_classes, reviews, recipes)}
