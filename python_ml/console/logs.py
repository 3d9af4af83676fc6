"""Log lines of the form key=value, on stderr."""

import logging
import sys
from typing import Any

ROOT_LOGGER = "python_ml"


def get_logger(name: str) -> logging.Logger:
    """Logger of a module; pass `__name__`."""
    return logging.getLogger(name)


def log_event(
    logger: logging.Logger,
    event: str,
    *,
    level: int = logging.INFO,
    **fields: Any,
) -> None:
    """Log one event with its fields; None is left out.

    Examples
    --------
    >>> log_event(get_logger(__name__), "rows_read", table="raw.bars", rows=3)
    """
    if logger.isEnabledFor(level):
        logger.log(level, "%s", format_event(event, **fields))


def format_event(event: str, **fields: Any) -> str:
    r"""Write an event as key=value, quoted where a value needs it.

    Examples
    --------
    >>> print(format_event("rows_read", table="raw.bars", rows=3))
    event=rows_read table=raw.bars rows=3
    >>> print(format_event("failed", error='no "x" = here'))
    event=failed error="no \"x\" = here"
    """
    pairs = {"event": event} | fields
    return " ".join(
        f"{key}={_quote(value)}"
        for key, value in pairs.items()
        if value is not None
    )


def configure_logging(level: str = "info") -> None:
    """Send this package's log to stderr; what was set up before goes."""
    logger = logging.getLogger(ROOT_LOGGER)
    for handler in list(logger.handlers):
        if isinstance(handler, _StandardErrorHandler):
            logger.removeHandler(handler)
    handler = _StandardErrorHandler()
    handler.setFormatter(_Formatter())
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False


class _StandardErrorHandler(logging.Handler):
    """Writes above a progress bar, to whatever stderr is at that time."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            if "tqdm" in sys.modules:
                sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
            else:
                print(line, file=sys.stderr)
        except Exception:
            self.handleError(record)


class _Formatter(logging.Formatter):
    default_time_format = "%Y-%m-%dT%H:%M:%S"

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if not message.startswith("event="):
            message = f"message={_quote(message)}"
        line = (
            f"time={self.formatTime(record, '%Y-%m-%dT%H:%M:%S%z')} "
            f"level={record.levelname.lower()} "
            f"logger={record.name} {message}"
        )
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _quote(value: Any) -> str:
    text = str(value)
    if text and not any(
        character.isspace() or character in '"=' for character in text
    ):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r") + '"'
