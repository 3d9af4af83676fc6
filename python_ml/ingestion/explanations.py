"""Why a row was rejected and what mends it, for people."""

from python_ml.ingestion.base import REMEDIES

EXPLANATIONS = {
    "malformed_row": "other columns than the header, or bytes that are no text",
    "missing_ticker": "no symbol in the row: fill it in, or give --symbol",
    "unknown_timeframe": REMEDIES["unknown_timeframe"],
    "unreadable_time": "no time: write it like 2024-01-02 14:30:00+00:00, or "
    "say how times are written with --date-format",
    "time_without_zone": REMEDIES["time_without_zone"],
    "unclear_local_time": "the clocks showed it twice or never: write the "
    "offset to UTC",
    "in_the_future": "later than now: see --timezone and --date-format",
    "wrong_zone": REMEDIES["wrong_zone"],
    "off_grid": "no bar begins there: see --timezone, and --stamp close if "
    "times are those of closes",
    "outside_session": "the exchange is closed: see --timezone and --calendar",
    "no_session": "no trading on that day: see --calendar, for example 24/7",
    "not_closed_yet": "load it once it has closed",
    "unreadable_ticker": "the symbol holds what cannot be printed",
    "price_out_of_bounds": "no market has such a price: see --columns and "
    "--decimal",
    "volume_out_of_bounds": "no market has such a volume: see --columns and "
    "--decimal",
    "unreadable_price": "no number: see --decimal and --columns",
    "infinite_price": "no price is infinite",
    "price_not_positive": "prices are above 0",
    "high_below_low": "see --columns whether high and low are meant",
    "open_outside_range": "see --columns whether open, high and low are meant",
    "close_outside_range": "see --columns whether close, high and low are "
    "meant",
    "unreadable_volume": "no number: see --decimal and --columns",
    "infinite_volume": "no volume is infinite",
    "negative_volume": "volumes are 0 or above",
    "out_of_order": REMEDIES["out_of_order"],
    "identical_duplicate": "the same bar again; nothing to do",
    "conflicting_duplicate": "a bar that an earlier row gives other values: "
    "leave one",
}


def explain(reason: str) -> str:
    """What a reason means and what mends it; the reason if nothing is known."""
    known = EXPLANATIONS.get(reason) or REMEDIES.get(reason)
    return known or reason.replace("_", " ")
