"""dbt's documentation as one file."""

from pathlib import Path

from python_ml.exceptions import BuildError
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt


def write_documentation(warehouse: Warehouse) -> Path:
    """Write what dbt knows of every table and column, and return where.

    Raises
    ------
    BuildError
        If dbt cannot describe the project, or leaves no page.
    """
    run_dbt(warehouse, ["docs", "generate", "--static"])
    path = warehouse.settings.home / "dbt_target" / "static_index.html"
    if not path.is_file():
        raise BuildError(
            f"dbt left no page at {path}. Build once, then run this again: "
            "swiftbolt build"
        )
    return path
