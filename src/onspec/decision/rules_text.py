"""YAML text → a validated model, with the line and column of whatever is wrong."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from onspec.domain import RulesError

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[int, int]
"""Line and column, both from 1."""

_MAX_BYTES = 1_000_000
_MAX_VALUES = 100_000
_MAX_DEPTH = 20

_ALLOWED = {
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "a text",
    "dict_type": "a mapping (name: value)",
    "model_type": "a mapping (name: value)",
    "model_attributes_type": "a mapping (name: value)",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}
"""What to write instead, where pydantic's own sentence speaks of Python."""


def read_text(path: Path) -> str:
    """The text of a rules file.

    Raises:
        RulesError: absent, unreadable, too large or not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RulesError(f"{path}: cannot read the rules ({error.strerror}); check the name and the folder") from error
    if len(data) > _MAX_BYTES:
        raise RulesError(f"{path}: {len(data)} bytes; a rules file has at most {_MAX_BYTES}; is it the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RulesError(f"{path}: not UTF-8 text (byte {error.start}); save the rules as UTF-8") from error


def parse_rules(text: str, name: str, model: type[Model]) -> Model:
    """Parse YAML and validate it; an empty text is an empty mapping. `name` stands in the errors.

    Raises:
        RulesError: not YAML, or not what the model allows; one sentence for the first fault, with its place.
    """
    try:
        tree = YAML(typ="rt").load(text)
        plain = {} if tree is None else _plain(tree, _Budget())
    except MarkedYAMLError as error:
        raise RulesError(_syntax(name, error)) from error
    except _OddKeyError as error:
        line, column = error.place
        raise RulesError(f"{name}:{line}:{column}: {error}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise RulesError(f"{name}: not YAML ({str(error).splitlines()[0]})") from error
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        # A misspelt key is also a missing one: the misspelling is the fault.
        details = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
        line, column = _place(tree, (*details[0]["loc"], *details[0].get("ctx", {}).get("at", ())))
        more = f" ({len(details) - 1} more after this one)" if len(details) > 1 else ""
        raise RulesError(f"{name}:{line}:{column}: {_sentence(details[0], model)}{more}") from error


def fault(sentence: str, *at: int | str) -> PydanticCustomError:
    """An error that a validator raises about a place further in than itself: keys and indices, the outermost first."""
    return PydanticCustomError("placed", "{sentence}", {"sentence": sentence, "at": at})


def _syntax(name: str, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    problem = (error.problem or "it cannot be parsed").strip().splitlines()[0]
    return f"{where}: not YAML: {problem}"


class _OddKeyError(ValueError):
    """Where a key is no word, as in `name: {{ name }}`."""

    def __init__(self, mapping: object, key: object) -> None:
        super().__init__("a key must be a word, got a mapping or a list; put text with braces or brackets in quotes")
        marks = getattr(mapping, "lc")  # noqa: B009 - ruamel's, which has no types
        try:
            line, column = marks.key(key)
        except (KeyError, TypeError):
            line, column = marks.line, marks.col
        self.place: Place = (line + 1, column + 1)


class _Budget:
    """Few lines of aliases can stand for billions of values."""

    def __init__(self) -> None:
        self.left = _MAX_VALUES

    def spend(self, depth: int) -> None:
        self.left -= 1
        if self.left < 0 or depth > _MAX_DEPTH:
            raise ValueError(f"more than {_MAX_VALUES} values, or nested deeper than {_MAX_DEPTH}")


def _plain(node: object, budget: _Budget, depth: int = 0) -> object:
    """The tree without the positions and styles that ruamel keeps beside the values."""
    budget.spend(depth)
    if isinstance(node, Mapping):
        for key in node:
            if isinstance(key, Mapping) or (isinstance(key, Sequence) and not isinstance(key, str)):
                raise _OddKeyError(node, key)
        return {_plain(key, budget, depth + 1): _plain(value, budget, depth + 1) for key, value in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_plain(value, budget, depth + 1) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _place(tree: object, loc: Sequence[int | str]) -> Place:
    """Where the innermost part of `loc` stands that the text has; a missing key stands at its parent."""
    place: Place = (1, 1)
    for key in loc:
        marks = getattr(tree, "lc", None)
        if marks is None:
            break
        try:
            line, column = marks.item(key) if isinstance(key, int) else marks.key(key)
            tree = cast("dict[int | str, object]", tree)[key]
        except (KeyError, IndexError, TypeError):
            break
        place = (line + 1, column + 1)
    return place


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """What, got, allowed."""
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in detail["loc"]).lstrip(".")
    kind, message, got = detail["type"], detail["msg"], detail["input"]
    if kind == "extra_forbidden":
        key, fields = str(detail["loc"][-1]), _fields(model, detail["loc"][:-1])
        close = difflib.get_close_matches(key, fields, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"unknown key {path!r}; allowed: {', '.join(fields)}{hint}"
    if kind == "missing":
        return f"{path!r} is missing"
    if kind in ("value_error", "placed"):
        sentence = message.removeprefix("Value error, ")
        return f"{path}: {sentence}" if path else sentence
    if kind in ("too_short", "too_long"):
        least_or_most = detail.get("ctx", {}).get("min_length") or detail.get("ctx", {}).get("max_length")
        return f"{path}: got {_shown(got)}; allowed: {'at least' if kind == 'too_short' else 'at most'} {least_or_most}"
    allowed = _ALLOWED.get(kind) or message.removeprefix("Input should be ").removeprefix("String should ")
    return f"{path or 'the file'}: got {_shown(got)}; allowed: {allowed}"


def _fields(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """The keys that the model at `loc` takes, by the names a file uses."""
    schema = model.model_json_schema(by_alias=True)
    node: dict[str, Any] = schema
    for key in loc:
        if isinstance(key, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(key) or node.get("additionalProperties") or {}
        node = _resolved(node, schema)
    return list(node.get("properties", {}))


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """What a node refers to; of an optional one, what it is where it is given."""
    node = next((option for option in node.get("anyOf", ()) if option.get("type") != "null"), node)
    reference = node.get("$ref")
    return cast("dict[str, Any]", schema["$defs"][reference.rsplit("/", 1)[-1]]) if reference else node


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
