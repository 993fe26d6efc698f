"""The archive of verdicts: what was judged, what people said of it, and what another rule would have said."""

from importlib.util import find_spec

from onspec.domain import MissingExtraError

if find_spec("sqlalchemy") is None or find_spec("alembic") is None:
    raise MissingExtraError("An archive of records", "serve")
