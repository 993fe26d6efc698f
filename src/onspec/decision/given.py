"""Models of which a file shows only what was given."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Given(BaseModel):
    """Frozen, with no other keys than its own; written without what nobody gave: forty nulls say nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {key: value for key, value in handler(self).items() if value is not None}

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        """Likewise."""
        return [(key, value) for key, value in super().__repr_args__() if value is not None]
