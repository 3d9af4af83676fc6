"""The warehouse that the settings name."""

from typing import TYPE_CHECKING

from python_ml.settings import Settings, load_settings

if TYPE_CHECKING:
    from python_ml.warehouse.connection import Warehouse


def open_warehouse(
    settings: Settings | None = None,
    *,
    migrate: bool = True,
    role: str | None = None,
) -> "Warehouse":
    """Open it, by default with the settings of the environment.

    Parameters
    ----------
    settings : Settings, optional
    migrate : bool, default=True
    role : {"loader", "trainer"}, optional
        What the command needs; by default all that the login may do.
    """
    from python_ml.warehouse import connection

    opened = connection.open_warehouse(
        settings or load_settings(), migrate=migrate
    )
    if role is None:
        return opened
    from python_ml.warehouse.roles import acting_as

    return acting_as(opened, role)
