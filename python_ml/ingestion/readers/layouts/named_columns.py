"""Files whose columns are called by what they hold, whoever wrote them."""

from python_ml.ingestion.readers.layouts.layout import Layout

NAMED_COLUMNS = Layout(
    name="named columns",
    columns={
        "symbol": ("symbol", "ticker", "sym", "instrument"),
        "timeframe": (
            *("timeframe", "time frame", "interval", "period", "per"),
            *("resolution", "granularity", "bar size"),
        ),
        "ts": (
            *("ts", "date+time", "timestamp", "datetime", "date time"),
            *("date", "time", "open time", "opentime", "ts event"),
            *("window start", "t", "index level 0", "data", "datum"),
        ),
        "open": (
            "open",
            "o",
            "open price",
            "1. open",
            "otwarcie",
            "er\u00f6ffnung",
        ),
        "high": ("high", "h", "high price", "2. high", "najwyzszy", "hoch"),
        "low": ("low", "l", "low price", "3. low", "najnizszy", "tief"),
        "close": (
            *("close", "c", "close price", "4. close", "close/last"),
            *("zamkniecie", "schluss", "schlusskurs"),
        ),
        "volume": (
            *("volume", "vol", "vol.", "v", "tickvol", "tick volume"),
            *("5. volume", "wolumen", "volumen"),
        ),
    },
)
