"""Checks of the gate's own, which say why a suite could not be judged."""

from expectations.summary import ExpectationOutcome

MAX_MESSAGE_LENGTH = 300


class ContextError(Exception):
    """The Great Expectations context does not open, so nothing is judged."""


class CheckFailed(Exception):
    """A check of the gate's own failed, so the suite cannot be judged."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = failed_check(check, reason)


def failed_check(check: str, reason: str) -> ExpectationOutcome:
    """Outcome of a check that failed."""
    return ExpectationOutcome(check, is_success=False, reason=reason)


def one_line(message: object) -> str:
    r"""First 300 characters, on one line.

    Examples
    --------
    >>> one_line(ValueError("no such\n  table"))
    'no such table'
    """
    return " ".join(str(message).split())[:MAX_MESSAGE_LENGTH]
