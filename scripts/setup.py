"""Make `.venv` beside this folder and install the locked packages into it.

Needs nothing but Python's own library. Two at once wait for each other; what
is up to date is left alone.
"""

import compileall
import fcntl
import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
LOCKS = {"": ["requirements.lock"], "dev": ["requirements-dev.lock"]}
# Tests of packages: a quarter of all code, which nobody runs here.
NOT_COMPILED = re.compile(r"[/\\]tests?[/\\]")


def fingerprint(files: list[Path]) -> str:
    """Digest of the files, the interpreter and the place."""
    digest = hashlib.sha256(f"{sys.version} {ROOT}".encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the environment's pip."""
    python = str(ENVIRONMENT / "bin" / "python")
    return subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
    )


def pip_install(*arguments: str) -> None:
    """Install, or stop with what pip said."""
    result = pip("install", "--quiet", "--no-compile", *arguments)
    if result.returncode:
        sys.exit(
            f"{result.stdout}{result.stderr}\npip could not install what is "
            "needed (above). Mend that and run this again."
        )


def install_locked(lock: Path) -> None:
    """Install the packages of a lock by several pips: one keeps to one core."""
    lines = lock.read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]
    # By turns they also wait for the network.
    n_shares = 2 * (os.cpu_count() or 1)
    shares = [packages[place::n_shares] for place in range(n_shares)]
    with ThreadPoolExecutor(n_shares) as pool:
        for _ in pool.map(
            lambda share: pip_install("--no-deps", *share),
            filter(None, shares),
        ):
            pass
    # Another Python or system may want more than the one that was locked.
    if pip("check").returncode:
        pip_install("--requirement", str(lock))


def compile_packages() -> None:
    """Compile what pip installed on all cores; pip would do so on one."""
    packages = sysconfig.get_path("purelib", vars={"base": str(ENVIRONMENT)})
    # A package may bring files of other Pythons, which cannot be compiled.
    compileall.compile_dir(packages, quiet=2, workers=0, rx=NOT_COMPILED)


def install(kind: str) -> None:
    """Install the packages of one kind and the project itself."""
    locks = [ROOT / name for name in LOCKS[kind]]
    stamp = ENVIRONMENT / f"installed-{kind or 'run'}"
    # The development packages hold all others.
    wanted = fingerprint([*locks, ROOT / "pyproject.toml"])
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    if not (ENVIRONMENT / "bin" / "python").exists():
        print(f"Making {ENVIRONMENT} ...", flush=True)
        venv.create(ENVIRONMENT, with_pip=True, clear=ENVIRONMENT.exists())
    print("Installing packages (about a minute) ...", flush=True)
    for lock in locks:
        install_locked(lock)
    pip_install("--no-deps", "--editable", str(ROOT))
    compile_packages()
    stamp.write_text(wanted)


def main() -> None:
    """Install under a lock."""
    kind = sys.argv[1] if len(sys.argv) > 1 else ""
    if kind not in LOCKS:
        sys.exit("Usage: scripts/setup [dev]")
    with open(ROOT / ".setup.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install(kind)


if __name__ == "__main__":
    main()
