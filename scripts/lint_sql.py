"""Lint the SQL of the dbt project with sqlfluff: what has not passed before.

    .venv/bin/python scripts/lint_sql.py

Linting all of it takes minutes of processor time. What sqlfluff says of a file
depends on the file, the macros, the settings and its own version; a digest of
these is kept in `.sqlfluff_cache` for every file that has passed.
"""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(".sqlfluff_cache", "passed")
# What every file is read with.
SHARED = ("pyproject.toml", "dbt_project/macros", "dbt_project/lint")
WRITTEN_BY_DBT = ("target", "logs", "dbt_packages")


def digests(root: Path) -> dict[str, str]:
    """Digest of what is said of each SQL file, by path from the root."""
    shared = hashlib.sha256(repr([version("sqlfluff"), sys.version]).encode())
    for name in SHARED:
        path = root / name
        for file in sorted(path.rglob("*.*") if path.is_dir() else [path]):
            if file.suffix != ".pyc":
                shared.update(file.read_bytes())
    found = {}
    for file in sorted((root / "dbt_project").rglob("*.sql")):
        name = file.relative_to(root)
        if name.parts[1] not in WRITTEN_BY_DBT:
            own = shared.copy()
            own.update(repr((str(name), file.read_bytes())).encode())
            found[str(name)] = own.hexdigest()
    return found


def lint(root: Path, run: Callable[[list[str]], int]) -> int:
    """Lint what has not passed as it is; return sqlfluff's exit status.

    Parameters
    ----------
    root : Path
        Of the checkout.
    run : callable
        Lints files, by their paths, and returns 0 where all of them pass.
    """
    cache = root / CACHE
    passed = set(cache.read_text().split()) if cache.exists() else set()
    found = digests(root)
    changed = [name for name, digest in found.items() if digest not in passed]
    print(
        f"{len(changed)} of {len(found)} files have changed since they passed"
    )
    status = run(changed) if changed else 0
    if status == 0:
        cache.parent.mkdir(exist_ok=True)
        cache.write_text("\n".join(found.values()))
    return status


def run_sqlfluff(names: list[str]) -> int:
    """Lint files in two processes."""
    sqlfluff = Path(sys.executable).with_name("sqlfluff")
    command = [sqlfluff, "lint", "--processes", "2", *names]
    return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(lint(ROOT, run_sqlfluff))
