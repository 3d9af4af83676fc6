"""The warehouse that the settings name."""

from typing import TYPE_CHECKING

from python_ml.settings import Settings, load_settings

if TYPE_CHECKING:
    from python_ml.warehouse.connection import Warehouse


def open_warehouse(
    settings: Settings | None = None, *, migrate: bool = True
) -> "Warehouse":
    """Open it, by default with the settings of the environment."""
    from python_ml.warehouse import connection

    return connection.open_warehouse(
        settings or load_settings(), migrate=migrate
    )
