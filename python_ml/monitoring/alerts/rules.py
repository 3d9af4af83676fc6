"""What the seed `alert_rules` says of each kind."""

import datetime
from dataclasses import dataclass

import pandas as pd

from python_ml.exceptions import SettingsError
from python_ml.settings import Settings
from python_ml.warehouse.seeds import read_seed

SEVERITIES = ("warning", "critical")


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One row of the seed.

    Parameters
    ----------
    severity : {"warning", "critical"}
    threshold : float or None
        What the kind's statement compares with.
    repeat_after : timedelta or None
        After which an open alert is told again; None for never.
    """

    severity: str
    threshold: float | None
    repeat_after: datetime.timedelta | None


def read_rules(settings: Settings) -> dict[str, AlertRule]:
    """Rules by kind.

    Raises
    ------
    SettingsError
        If a severity is unknown, or a time to repeat after is none.

    Examples
    --------
    >>> from python_ml.settings import load_settings
    >>> read_rules(load_settings({}))["no_forecast"].threshold
    1.0
    """
    rules = {}
    for row in read_seed(settings, "alert_rules").to_dict("records"):
        hours = row["repeat_hours"]
        if row["severity"] not in SEVERITIES or hours <= 0:
            raise SettingsError(
                f"The seed alert_rules has {row['kind']}: severity "
                f"{row['severity']!r}, repeat_hours {hours}; severities are "
                f"{' and '.join(SEVERITIES)}, hours above 0 or empty. Change "
                "dbt_project/seeds/alert_rules.csv."
            )
        rules[str(row["kind"])] = AlertRule(
            str(row["severity"]),
            None if pd.isna(row["threshold"]) else float(row["threshold"]),
            None if pd.isna(hours) else datetime.timedelta(hours=float(hours)),
        )
    return rules
