"""Log lines as JSON on the standard error; of people no more than ids, and of these none here."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from corarec.text import printable

FIELDS = "corarec_fields"
"""The attribute of a log record that holds what it tells beside its message."""


class JsonLines(logging.Formatter):
    """A record as one line of JSON in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": when,
            "level": record.levelname.lower(),
            "process": record.process,
            "message": printable(record.getMessage(), 2_000),
        }
        line |= getattr(record, FIELDS, {})
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_as_json(stream: TextIO | None = None) -> None:
    """Send every log line of this process to the standard error as JSON."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    for name in ("corarec.serve", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = name != "uvicorn.access"


def tell(log: logging.Logger, level: int, message: str, **fields: Any) -> None:
    """Write a line with fields."""
    log.log(level, message, extra={FIELDS: fields})
