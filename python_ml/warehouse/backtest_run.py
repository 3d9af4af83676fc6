"""What a backtest stands in for: its own decisions, forecasts and outcomes.

Training, promotion, weight updates and forecasts run through history by the
code that runs live. Of what they read, four relations are a run's own and
none of them is mixed with what is live: which versions were deployed, the
forecasts that were issued, those of them that count, and what came of them.
Queries name these in braces, as they name schemas, and `Warehouse.sql` fills
in the ones of the run.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from python_ml.exceptions import SettingsError

BACKTEST = "backtest"
LIVE = "live"
NAME_PATTERN = r"[a-z0-9][a-z0-9_]{0,29}"

LIVE_RELATIONS = {
    "deployments": "{ml}.deployments",
    "deployment_spans": "{ml}.deployment_spans",
    "issued": f"(select * from {{ml}}.forecasts where run_kind = '{LIVE}')",
    "counted": "{forecasting}.ledger",
    "outcomes": "{forecasting}.forecast_outcomes",
}

_ISSUED = f"""(
    select *
    from {{ml}}.forecasts
    where run_kind = '{BACKTEST}' and run_name = 'NAME'
)"""

# A label is what a forecast settles by, at the close of its target bar.
_OUTCOMES = f"""(
    select
        forecasts.forecast_id,
        forecasts.symbol_id,
        forecasts.timeframe,
        labels.label as outcome,
        labels.label_end_at as settled_at
    from {{ml}}.forecasts as forecasts
    inner join {{features}}.labels as labels
        on
            forecasts.symbol_id = labels.symbol_id
            and forecasts.timeframe = labels.timeframe
            and forecasts.horizon = labels.horizon
            and forecasts.bar_number = labels.bar_number
    where
        forecasts.run_kind = '{BACKTEST}'
        and forecasts.run_name = 'NAME'
        and labels.label is not null
        and labels.label_end_at <= cast('AT' as timestamptz)
)"""


@dataclass(frozen=True)
class BacktestRun:
    """A backtest at one time of the history that it runs through.

    Parameters
    ----------
    name : str
        Of the run: lower-case letters, digits and underscores, 30 at most.
    at : datetime
        With time zone; nothing that settled later is an outcome.

    Raises
    ------
    SettingsError
        If the name holds anything else.

    Examples
    --------
    >>> from datetime import UTC
    >>> run = BacktestRun("monthly", datetime(2012, 6, 29, tzinfo=UTC))
    >>> run.relations["deployments"]
    "(select * from {ml}.backtest_deployments where run_name = 'monthly')"
    """

    name: str
    at: datetime

    kind: ClassVar[str] = BACKTEST

    def __post_init__(self) -> None:
        check_run_name(self.name)

    @property
    def relations(self) -> dict[str, str]:
        """By the name in braces, what stands for it in `from`."""
        own = f"where run_name = '{self.name}'"
        issued = _ISSUED.replace("NAME", self.name)
        return {
            "deployments": f"(select * from {{ml}}.backtest_deployments {own})",
            "deployment_spans": (
                f"(select * from {{ml}}.backtest_deployment_spans {own})"
            ),
            "issued": issued,
            "counted": issued,
            "outcomes": _OUTCOMES.replace("NAME", self.name).replace(
                "AT", self.at.isoformat()
            ),
        }


def check_run_name(name: str) -> None:
    """Refuse what cannot name a run.

    Raises
    ------
    SettingsError
        If it is empty, too long or holds other characters.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise SettingsError(
            f"The run name {name!r} cannot be used; take at most 30 lower-case "
            "letters, digits and underscores, with --name."
        )


def fill_relations(text: str, run: BacktestRun | None) -> str:
    """Replace `{deployments}` and the like by what they are in a run.

    Parameters
    ----------
    text : str
        SQL. Other names in braces stay.
    run : BacktestRun or None
        None for what is live.

    Examples
    --------
    >>> fill_relations("select * from {deployments} as d", None)
    'select * from {ml}.deployments as d'
    """
    relations = LIVE_RELATIONS if run is None else run.relations
    for name, relation in relations.items():
        text = text.replace(f"{{{name}}}", relation)
    return text
