"""Log lines that a machine can read: one JSON object a line, on stderr."""

import json
import logging
import sys
from datetime import UTC, datetime

from onspec.service.asking import request_id

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
"""Made once: `json.dumps` makes one anew for each line."""


class JsonLines(logging.Formatter):
    """`time` (UTC, ISO 8601), `level`, `event`, `request_id`, then the fields given as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **({} if (asked := request_id.get()) is None else {"request_id": asked}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _encode(line)


def log_to_stderr() -> None:
    """Send what the service and its web server log to stderr, and nowhere else."""
    # No line tells them, and to find them out for each takes time (docs.python.org/3/howto/logging.html#optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("onspec", "uvicorn"):
        log = logging.getLogger(name)
        log.handlers = [handler]
        log.setLevel(logging.INFO)
        log.propagate = False
