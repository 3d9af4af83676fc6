"""Why rows were rejected and what mends it, for people."""

# What mends the reasons that concern a whole file or series.
REMEDIES = {
    "unreadable_time": (
        "Times that cannot be read: write them like 2024-01-02 14:30:00+00:00, "
        "days like 2024-01-02."
    ),
    "time_without_zone": (
        "Say which zone times without one are in, for example: --timezone "
        "America/New_York"
    ),
    "wrong_zone": (
        "Times of rejected series fit the sessions only if read in another "
        "zone: write them in UTC, or without a zone and name it with "
        "--timezone."
    ),
    "unknown_timeframe": (
        "Bars are m15, h1, h4, d1 or w1: roll finer ones up to m15 before you "
        "load them."
    ),
    "stamped_at_close": (
        "Intraday series with bars at the close of sessions and none at the "
        "open are named by each bar's close: load them with --stamp close, or "
        "write each bar's open."
    ),
    "wrong_day": (
        "Days of rejected series fit the sessions only if moved by one: they "
        "are named by the evening before or by their end. Write the date of "
        "each session, without a time."
    ),
    "unclear_day": (
        "Times that name one session by their date and another by its open: "
        "write the date of each session, without a time."
    ),
    "unclear_local_time": (
        "Times that the clocks of --timezone show twice or never: write them "
        "with their offset."
    ),
    "in_the_future": (
        "Times later than now are likely in another zone than was said: name "
        "it with --timezone, or write times in UTC."
    ),
    "price_jump": (
        "Prices that are 10,000 times those before them are in another unit, "
        "such as cents for dollars: write all of a series in one."
    ),
    "out_of_order": (
        "Rows within a series are expected in the order of their times, "
        "either way; sort the file and load it again."
    ),
}

# What to say of a single row.
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
