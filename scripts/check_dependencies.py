"""List licences of what is installed, and look for known vulnerabilities.

    .venv/bin/python scripts/check_dependencies.py [--vulnerabilities]

Prints a line for each distribution of `requirements.lock` with its version and
licence. One that forbids commercial use, asks for the source of what uses it or
says nothing is a finding. `--vulnerabilities` asks pip-audit, which needs a
network: `pip install pip-audit` into an environment of its own and have it in
PATH.

Exit status 1 with findings.
"""

import argparse
import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"
FORBIDDEN = re.compile(
    r"\bA?GPL|GNU (Affero )?General Public|non-?commercial|CC[ -]BY[ -]NC"
    r"|SSPL|Server Side Public|Business Source|BUSL|Elastic License"
    r"|Commons Clause|Polyform",
    re.IGNORECASE,
)
# Where there are several to choose from, the one that is taken.
CHOSEN = {"text-unidecode": "Artistic License"}


def locked_names(lock: str) -> list[str]:
    r"""Names of the distributions that a lock pins.

    Examples
    --------
    >>> locked_names("# made by uv\nnumpy==2.4.6\nuvloop==1.0 ; os == 'x'\n")
    ['numpy', 'uvloop']
    """
    return re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)


def licence_of(metadata: importlib.metadata.PackageMetadata) -> str | None:
    """What a distribution says of its licence, in a line; None for nothing."""
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in metadata.get_all("Classifier") or []
        if text.startswith("License ::")
    ]
    for text in (
        metadata.get("License-Expression"),
        "; ".join(classifiers),
        metadata.get("License"),
    ):
        if text and text.strip():
            return text.strip().splitlines()[0][:70]
    return None


def find_fault(name: str, licence: str | None) -> str | None:
    """Why a licence cannot be accepted, or None.

    Examples
    --------
    >>> find_fault("a", "MIT"), find_fault("b", "LGPL with exceptions")
    (None, None)
    >>> find_fault("c", "GNU General Public License v3")
    'c may not be used: GNU General Public License v3'
    >>> find_fault("d", None)
    'd says nothing of its licence'
    """
    if licence is None:
        return f"{name} says nothing of its licence"
    if FORBIDDEN.search(licence):
        return f"{name} may not be used: {licence}"
    return None


def main() -> int:
    """Parse, look, print."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--vulnerabilities", action="store_true")
    arguments = parser.parse_args()
    faults = []
    for name in locked_names(LOCK.read_text()):
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            # Of another platform.
            continue
        licence = CHOSEN.get(name) or licence_of(metadata)
        print(f"{name:<32} {metadata['Version']:<14} {licence or '?'}")
        if (fault := find_fault(name, licence)) is not None:
            faults.append(fault)
    for fault in faults:
        print(f"Error: {fault}", file=sys.stderr)
    if arguments.vulnerabilities and ask_pip_audit():
        faults.append("pip-audit")
    return 1 if faults else 0


def ask_pip_audit() -> int:
    """Run pip-audit on the lock; its exit status."""
    program = shutil.which("pip-audit")
    if program is None:
        print(
            "Error: there is no pip-audit. Install it into an environment of "
            "its own: pip install pip-audit",
            file=sys.stderr,
        )
        return 1
    return subprocess.run(
        [program, "--requirement", str(LOCK), "--no-deps", "--disable-pip"]
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
