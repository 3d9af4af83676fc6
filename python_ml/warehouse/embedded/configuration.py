"""Settings of the embedded server, fitted to the machine."""

import contextlib
import shutil
import sys
from pathlib import Path

import psutil

from python_ml.warehouse.embedded.files import ServerFiles, write_private_file
from python_ml.warehouse.embedded.user import ServerUser, give

PORT = 5432
GIB = 2**30
MIB = 2**20


def write_configuration(
    files: ServerFiles, socket_directory: Path, user: ServerUser | None
) -> None:
    """Write `swiftbolt.conf`, which stands in for `postgresql.conf`."""
    memory = _memory()
    values = {
        "cluster_name": files.cluster_name,
        "listen_addresses": "",
        "port": PORT,
        "unix_socket_directories": f'"{socket_directory}"',
        "unix_socket_permissions": "0700",
        "max_connections": 60,
        # Else the query of a killed command runs on to its end.
        "client_connection_check_interval": "2s",
        "shared_buffers": _megabytes(memory // 8, 128 * MIB, 2 * GIB),
        "work_mem": _megabytes(memory // 48, 16 * MIB, 512 * MIB),
        "maintenance_work_mem": _megabytes(memory // 32, 64 * MIB, 512 * MIB),
        "effective_cache_size": _megabytes(memory // 2, 256 * MIB, 64 * GIB),
        "dynamic_shared_memory_type": _dynamic_shared_memory_type(),
        "random_page_cost": 1.1,
        "jit": "off",
        "wal_level": "minimal",
        "max_wal_senders": 0,
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "datestyle": "iso, mdy",
        "lc_messages": "C",
        "log_line_prefix": "%m [%p] ",
        "log_checkpoints": "off",
    }
    lines = ["# Written by `swiftbolt db start`; changes are lost."]
    for name, value in values.items():
        quoted = str(value).replace("\\", "\\\\").replace("'", "''")
        lines.append(f"{name} = '{quoted}'")
    write_private_file(files.configuration_path, "\n".join(lines) + "\n")
    give(files.configuration_path, user)


def _megabytes(size: int, smallest: int, largest: int) -> str:
    return f"{min(max(size, smallest), largest) // MIB}MB"


def _memory() -> int:
    """Bytes of memory, or what the container may use of it."""
    memory = psutil.virtual_memory().total
    for path in (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ):
        with contextlib.suppress(OSError, ValueError):
            memory = min(memory, int(Path(path).read_text()))
    return memory


def _dynamic_shared_memory_type() -> str:
    """`mmap` where /dev/shm is as small as containers make it."""
    if not sys.platform.startswith("linux"):
        return "posix"
    try:
        size = shutil.disk_usage("/dev/shm").total
    except OSError:
        size = 0
    return "posix" if size >= GIB else "mmap"
