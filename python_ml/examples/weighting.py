"""How the weights of each timeframe are fitted, from its seed."""

from python_ml.exceptions import SettingsError
from python_ml.scoring.weights import WeightSettings
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.seeds import read_seed


def read_weighting(warehouse: Warehouse) -> dict[str, WeightSettings]:
    """How weights are fitted, by timeframe, from the seed `weighting`.

    Raises
    ------
    SettingsError
        If a timeframe is missing or a value cannot be used.
    """
    settings = warehouse.settings
    try:
        weighting = WeightSettings.from_seed(read_seed(settings, "weighting"))
    except SettingsError as error:
        raise SettingsError(
            f"{error} Mend dbt_project/seeds/weighting.csv."
        ) from error
    timeframes = read_seed(settings, "timeframes")["timeframe"]
    if missing := sorted(set(timeframes) - set(weighting)):
        raise SettingsError(
            f"The seed weighting has no row for {', '.join(missing)}. Mend "
            "dbt_project/seeds/weighting.csv."
        )
    return weighting
