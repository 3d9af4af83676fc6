"""What the warehouse says of features, horizons and sessions."""

import pandas as pd

from python_ml.exceptions import SchemaError
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse


def read_feature_names(warehouse: Warehouse) -> tuple[str, ...]:
    """Features in catalog order: those of a row, then those of its horizons.

    Raises
    ------
    SchemaError
        If there are none.
    """
    return (
        *read_row_feature_names(warehouse),
        *read_horizon_feature_names(warehouse),
    )


def read_row_feature_names(warehouse: Warehouse) -> tuple[str, ...]:
    """Features of `features.feature_rows` in catalog order.

    Raises
    ------
    SchemaError
        If the catalog is empty.
    """
    names = tuple(
        read_frame(
            warehouse,
            "select feature from {features}.feature_catalog "
            "order by sort_order",
        )["feature"]
    )
    if not names:
        raise SchemaError(
            "features.feature_catalog is empty. Build it with: swiftbolt run"
        )
    return names


def read_horizon_feature_names(warehouse: Warehouse) -> tuple[str, ...]:
    """Features that each horizon of a row has its own number of."""
    return tuple(
        read_frame(
            warehouse,
            "select feature from {features}.horizon_feature_catalog "
            "order by sort_order",
        )["feature"]
    )


def read_horizons(warehouse: Warehouse) -> pd.DataFrame:
    """Horizons of every calendar that bars were loaded of.

    Those of the seed, and for calendars and timeframes that it lacks those by
    rule.

    Returns
    -------
    DataFrame of shape (n_horizons, 4)
        calendar, timeframe, horizon and horizon_bars, the shortest first.
    """
    return read_frame(
        warehouse,
        """
        select calendar, timeframe, horizon, horizon_bars
        from {intermediate}.int_horizons_completed_with_defaults
        order by calendar, timeframe, horizon_bars
        """,
    )


def read_session_bars(
    warehouse: Warehouse, calendar: str, timeframe: str
) -> int:
    """Grid bars of a full session; 1 where the grid has none."""
    return int(
        read_frame(
            warehouse,
            """
            select coalesce(max(full_session_bars), 1) as session_bars
            from {features}.bar_grid
            where calendar = :calendar and timeframe = :timeframe
            """,
            {"calendar": calendar, "timeframe": timeframe},
        )["session_bars"].iloc[0]
    )
