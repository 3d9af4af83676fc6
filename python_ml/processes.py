"""Work shared among several processes.

Each process uses one thread, so that there are as many threads as cores. A
process ends with the one that started it, however that ended: otherwise a
killed job would leave its workers waiting for ever, with their memory.
"""

import contextlib
import errno
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

import joblib
from joblib.externals.loky.process_executor import (
    TerminatedWorkerError,
    _RemoteTraceback,
)

from python_ml.exceptions import SwiftBoltError, WorkerError

T = TypeVar("T")

PARENT_CHECK_SECONDS = 1.0
# What semaphores and files in /dev/shm and the temporary folder fail by.
NOT_SHARED = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOSYS,
)


class Outcomes(Iterator[T]):
    """What becomes of tasks, in order, as each is done.

    Other processes have begun when it exists, so that the caller may do other
    things before it asks. Close one that is not used up: until then they go
    on, and the collector of garbage would end what was begun after it.

    Parameters
    ----------
    function : callable
        Of a task's values; importable.
    tasks : sequence of tuple
        Its arguments.
    n_workers : int
        Processes; 1 or less means this one, when asked.
    """

    def __init__(
        self,
        function: Callable[..., T],
        tasks: Sequence[tuple[Any, ...]],
        n_workers: int,
    ) -> None:
        self._found: Generator[T, None, None]
        self._is_shared = n_workers > 1 and bool(tasks)
        if not self._is_shared:
            self._found = (function(*task) for task in tasks)
            return
        with (
            _explained(),
            joblib.parallel_config(
                backend="loky",
                inner_max_num_threads=1,
                # Before any task: the parent may not live to hand one out.
                initializer=_begin_worker,
                initargs=(os.getpid(),),
            ),
        ):
            self._found = joblib.Parallel(
                n_jobs=n_workers, return_as="generator", batch_size=1
            )(joblib.delayed(function)(*task) for task in tasks)

    def __next__(self) -> T:
        """The next one; raises WorkerError if a process was killed."""
        if not self._is_shared:
            return next(self._found)
        with _explained():
            return next(self._found)

    def close(self) -> None:
        """End what is still being done."""
        with warnings.catch_warnings():
            # That results were not used is why it is closed.
            warnings.simplefilter("ignore", UserWarning)
            self._found.close()


def warm_up(n_workers: int, ready: Callable[[], None]) -> threading.Thread:
    """Start processes and have them import what they need, meanwhile.

    Parameters
    ----------
    n_workers : int
        As `count_workers` counts them; none are started for 1 or less.
    ready : callable
        Does nothing; its module imports what the tasks need.

    Returns
    -------
    Thread
        To be joined before anything is fitted.
    """

    def start() -> None:
        if n_workers > 1:
            # What they can do is found out when they are needed.
            with contextlib.suppress(WorkerError):
                for _ in Outcomes(ready, [()] * n_workers, n_workers):
                    pass

    thread = threading.Thread(target=start, name="warm_up", daemon=True)
    thread.start()
    return thread


def count_workers(
    n_tasks: int, n_jobs: int | None = None, *, least_per_worker: int
) -> int:
    """Processes to share tasks among; 1 or less means this one.

    Parameters
    ----------
    n_tasks : int
    n_jobs : int, optional
        Processes that were asked for; by default one per core.
    least_per_worker : int
        Tasks that are worth the start of a process; not asked of `n_jobs`.

    Examples
    --------
    >>> count_workers(170, 2, least_per_worker=4)
    2
    >>> count_workers(3, 8, least_per_worker=4)
    3
    """
    if n_jobs is not None:
        return min(n_jobs, n_tasks)
    return min(count_cores(), n_tasks // least_per_worker)


def count_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say what keeps processes from sharing the work."""
    try:
        yield
    except SwiftBoltError:
        raise
    except TerminatedWorkerError as error:
        raise WorkerError(
            "A worker process was killed, perhaps for want of memory. "
            "What was finished is kept; run the same command again with "
            "a smaller --jobs."
        ) from error
    except OSError as error:
        # A task's own error comes with what it left in the other process.
        if isinstance(error.__cause__, _RemoteTraceback):
            raise
        if error.errno == errno.ENOMEM:
            raise WorkerError(
                "There is not enough memory for another process. End other "
                "programs, or run the same command again with a smaller "
                "--jobs."
            ) from error
        if error.errno not in NOT_SHARED:
            raise
        raise WorkerError(
            f"Processes cannot share the work: {error}. They do so through "
            "/dev/shm or the temporary folder: see that there is room and "
            "that both can be written to (of a container: --shm-size=1g), "
            "or run the same command again with --jobs 1."
        ) from error


def end_workers() -> None:
    """End the processes of this one, whatever they are doing."""
    from joblib.externals.loky import reusable_executor

    if reusable_executor._executor is not None:
        reusable_executor._executor.shutdown(wait=False, kill_workers=True)


def _begin_worker(parent: int) -> None:
    """Begin the life of a process that ends with the one that started it."""
    # Ctrl-C reaches all processes of a terminal; the parent sees to the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)
