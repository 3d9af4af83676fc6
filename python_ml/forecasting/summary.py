"""What a run issued, for people and for machines."""

import datetime
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from python_ml.console.json_text import to_plain
from python_ml.console.text_tables import some_names
from python_ml.examples.series import Series
from python_ml.forecasting.due import awaiting_deployment, without_ensemble


@dataclass(frozen=True, slots=True)
class ForecastSummary:
    """What one run issued.

    Parameters
    ----------
    run_kind : str
        `live` or `replay`.
    n_forecasts : int
        Rows added to the ledger.
    n_late : int
        Of these, issued later than the grace period; always 0 for a replay.
    n_series : int
        Series that got one or more.
    n_versions : int
        Versions that issued them.
    first_closed_at, last_closed_at : datetime or None
        Of the bars forecast; None if there were none.
    series_without_ensemble : tuple of Series
        Nothing was ever deployed for these, and they are not set aside.
    series_awaiting_deployment : tuple of Series
        Their first deployment takes effect after their last bar.
    failures : tuple of str
        Why versions could not forecast; their series are left out.
    """

    run_kind: str
    n_forecasts: int
    n_late: int
    n_series: int
    n_versions: int
    first_closed_at: datetime.datetime | None
    last_closed_at: datetime.datetime | None
    series_without_ensemble: tuple[Series, ...]
    series_awaiting_deployment: tuple[Series, ...]
    failures: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Fields ready for JSON."""
        plain: dict[str, Any] = to_plain(asdict(self))
        for name in ("series_without_ensemble", "series_awaiting_deployment"):
            plain[name] = [
                [series["ticker"], series["timeframe"]]
                for series in plain[name]
            ]
        return plain

    def to_text(self) -> str:
        """What a person wants to know, in a few lines."""
        if self.first_closed_at and self.last_closed_at:
            lines = [
                f"{self.n_forecasts} {self.run_kind} forecasts of "
                f"{self.n_series} series by {self.n_versions} versions, for "
                f"bars closed from {self.first_closed_at:%Y-%m-%d %H:%M} to "
                f"{self.last_closed_at:%Y-%m-%d %H:%M} UTC."
            ]
        else:
            lines = [f"0 {self.run_kind} forecasts: none were due."]
            if self.run_kind == "replay":
                lines.append(
                    "A bar is replayed once, by what was live then. Where "
                    "nothing was, train first: swiftbolt train --all --as-of "
                    "DATE"
                )
        if self.n_late:
            lines.append(
                f"{self.n_late} were issued late and count in no accuracy."
            )
        if self.series_without_ensemble:
            lines.append(
                "No ensemble is deployed for "
                f"{some_names(self.series_without_ensemble)}. Train them: "
                "swiftbolt train --all"
            )
        if self.series_awaiting_deployment:
            lines.append(
                "Deployed only after their last bar, so forecast from the next "
                f"one on: {some_names(self.series_awaiting_deployment)}."
            )
        lines += [f"Failed: {failure}" for failure in self.failures]
        return "\n".join(lines)


def summarise(
    rows: pd.DataFrame,
    n_inserted: int,
    *,
    run_kind: str,
    series: pd.DataFrame,
    failures: Sequence[str] = (),
) -> ForecastSummary:
    """Count what was issued.

    Parameters
    ----------
    rows : DataFrame
        Forecasts as they were issued.
    n_inserted : int
        Of these, the ones that were new to the ledger.
    run_kind : {"live", "replay"}
    series : DataFrame
        Series that were to be forecast, as `due.read_series` returns them.
    failures : sequence of str, optional
        Why versions could not forecast.
    """
    counts: dict[str, Any] = {"n_late": 0, "n_series": 0, "n_versions": 0}
    first = last = None
    if not rows.empty:
        counts = {
            "n_late": int(rows["is_late"].sum()),
            "n_series": len(rows[["symbol_id", "timeframe"]].drop_duplicates()),
            "n_versions": rows["version_id"].nunique(),
        }
        first = rows["closed_at"].min().to_pydatetime()
        last = rows["closed_at"].max().to_pydatetime()
    return ForecastSummary(
        run_kind=run_kind,
        n_forecasts=n_inserted,
        **counts,
        first_closed_at=first,
        last_closed_at=last,
        series_without_ensemble=tuple(without_ensemble(series)),
        series_awaiting_deployment=tuple(awaiting_deployment(series)),
        failures=tuple(failures),
    )
