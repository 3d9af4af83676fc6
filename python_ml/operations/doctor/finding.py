"""What a check found, and all of them together."""

from dataclasses import asdict, dataclass
from typing import Any

# Something must be done; something to know of.
PROBLEM = "problem"
NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Parameters
    ----------
    check : str
        Name of the check.
    severity : {"problem", "notice"}
        Whether something must be done.
    message : str
        What was found, in a sentence without its stop.
    advice : str
        What to do, with the command.
    """

    check: str
    severity: str
    message: str
    advice: str


@dataclass(frozen=True)
class Examination:
    """What all checks found.

    Parameters
    ----------
    checks : tuple of str
        Names of all that looked, in order.
    findings : tuple of Finding
    """

    checks: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing must be done."""
        return all(one.severity != PROBLEM for one in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "is_healthy": self.is_healthy,
            "checks": list(self.checks),
            "findings": [asdict(one) for one in self.findings],
        }

    def to_text(self) -> str:
        """A line for each check, and what to do below it."""
        lines = []
        for check in self.checks:
            found = [one for one in self.findings if one.check == check]
            if not found:
                lines.append(f"ok       {check}")
            for one in found:
                lines.append(f"{one.severity:<8} {check}: {one.message}")
                lines.append(f"         what to do: {one.advice}")
        n_problems = sum(one.severity == PROBLEM for one in self.findings)
        lines.append(
            "Nothing must be done."
            if self.is_healthy
            else f"{n_problems} problems: something must be done."
        )
        return "\n".join(lines)
