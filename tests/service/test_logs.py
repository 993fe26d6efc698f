"""Log lines that a machine can read."""

import json
import logging
import sys

from onspec.service.logs import JsonLines


def record(message: str, **extra: object) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "onspec", "levelname": "INFO", "msg": message, "created": 0.0} | extra)


def test_a_line_is_one_json_object_with_its_fields() -> None:
    line = JsonLines().format(record("inspected", fields={"image": "a\nb.png", "ms": 1.5}))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.000+00:00", "level": "info", "event": "inspected", "image": "a\nb.png", "ms": 1.5
    }  # fmt: skip


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise KeyError("lost")  # noqa: TRY301
    except KeyError:
        line = JsonLines().format(record("fault", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert "KeyError: 'lost'" in json.loads(line)["traceback"]
