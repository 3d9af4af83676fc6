"""Settings that SQL and Python share: the seeds of the dbt project.

Read from the files and not from the warehouse, because ingestion needs them
before the first build. What is read after a build comes from the warehouse.
"""

import pandas as pd

from python_ml.exceptions import SettingsError
from python_ml.settings import Settings


def read_seed(settings: Settings, name: str) -> pd.DataFrame:
    """Rows of `dbt_project/seeds/<name>.csv`, empty fields as NaN.

    Raises
    ------
    SettingsError
        If there is no such seed.

    Examples
    --------
    >>> from python_ml.settings import load_settings
    >>> read_seed(load_settings({}), "timeframes").columns[0]
    'timeframe'
    """
    path = settings.dbt_project_dir / "seeds" / f"{name}.csv"
    try:
        return pd.read_csv(path)
    except OSError as error:
        raise SettingsError(
            f"Seed {name!r} cannot be read ({error.strerror}): {path}. Get "
            f"the file back with: git checkout -- {path}"
        ) from error


def intraday_minutes(settings: Settings) -> dict[str, int]:
    """Minutes of a bar, by timeframe shorter than a session.

    Examples
    --------
    >>> from python_ml.settings import load_settings
    >>> intraday_minutes(load_settings({}))["h4"]
    240
    """
    timeframes = read_seed(settings, "timeframes")
    minutes = timeframes.set_index("timeframe")["minutes"].dropna()
    return {str(name): int(value) for name, value in minutes.items()}
