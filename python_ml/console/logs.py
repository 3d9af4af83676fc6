"""Log lines of the form key=value, on stderr."""

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Any, Self

ROOT_LOGGER = "python_ml"
MAX_LOG_BYTES = 1_000_000
KEPT_LOGS = 9


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


class LogFile:
    r"""A file that the log goes to as well, while one is within.

    Parameters
    ----------
    path : Path
        Its folder is made.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "train" / "train.log"
    >>> with LogFile(path):
    ...     log_event(get_logger("python_ml"), "begun", level=logging.ERROR)
    >>> path.read_text().endswith("event=begun\n")
    True
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handler = logging.handlers.RotatingFileHandler(
            self.path, backupCount=KEPT_LOGS, encoding="utf-8"
        )
        self._handler.setFormatter(_Formatter())
        logging.getLogger(ROOT_LOGGER).addHandler(self._handler)
        return self

    def __exit__(self, *exception: object) -> None:
        logging.getLogger(ROOT_LOGGER).removeHandler(self._handler)
        self._handler.close()

    def rotate(self) -> None:
        """Begin a new file if this one is long; nobody else may write to it."""
        if self.path.stat().st_size > MAX_LOG_BYTES:
            self._handler.doRollover()

    def write(self, text: str) -> None:
        """Write text as it is, for people."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


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
