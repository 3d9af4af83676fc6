"""Validate the cuts of a training beside its first fits."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.validation import validate


class BackgroundValidation:
    """Great Expectations on the cuts, in a thread that begins when told.

    A context manager: leaving it waits for the thread.

    Parameters
    ----------
    warehouse : Warehouse
    cut_ids : sequence of int
        Cuts to validate.
    job_run_id : int
        Of the training, for the record.
    """

    def __init__(
        self, warehouse: Warehouse, cut_ids: Sequence[int], job_run_id: int
    ) -> None:
        self.warehouse = warehouse
        self.cut_ids = list(cut_ids)
        self.job_run_id = job_run_id
        self._executor = ThreadPoolExecutor(1, "validation")
        self._verdict: Future[Any] | None = None

    def begin(self) -> Future[Any]:
        """Begin, once."""
        if self._verdict is None:
            self._verdict = self._executor.submit(
                validate,
                self.warehouse,
                cut_ids=self.cut_ids,
                job_run_id=self.job_run_id,
            )
        return self._verdict

    def require(self) -> None:
        """Wait for the verdict.

        Raises
        ------
        ValidationFailedError
            If an expectation failed.
        """
        self.begin().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._executor.shutdown()
