"""Train, weigh, version, score and watch ensembles on warehouse tables.

For other programs: `load_ensemble("AAPL", "d1")` reads the ensemble that is
live, `list_ensembles()` says what there is.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from python_ml.registry.loader import (
        EnsembleInfo,
        list_ensembles,
        load_ensemble,
    )

__all__ = ["EnsembleInfo", "list_ensembles", "load_ensemble"]


def __getattr__(name: str) -> Any:
    # The command line imports the package too and need not wait for pandas.
    if name in __all__:
        from python_ml.registry import loader

        return getattr(loader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
