"""Files of bars as odd as they come, with what is true of each.

`odd_file(seed, folder)` writes one: a small market in a random notation, with
random damage to some of its rows, or to the file.
"""

import gzip
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

DAYS = ("2024-06-24", "2024-06-25", "2024-06-26", "2024-06-27", "2024-06-28")
SYMBOLS = ("ACME", "BRK.B", "7203", "Ünïcode")
FIELDS = ("symbol", "timeframe", "ts", "open", "high", "low", "close", "volume")
NAMES = {
    "symbol": ("symbol", "Symbol", "TICKER", "<TICKER>", "sym"),
    "timeframe": ("timeframe", "Interval", "<PER>", "resolution"),
    "ts": ("ts", "Date", "timestamp", "DateTime", "<DATE>", "Time"),
    "open": ("open", "Open", "<OPEN>", "o"),
    "high": ("high", "High", "<HIGH>", "h"),
    "low": ("low", "Low", "<LOW>", "l"),
    "close": ("close", "Close", "<CLOSE>", "c"),
    "volume": ("volume", "Volume", "<VOL>", "v", "<TICKVOL>"),
}
SPELLINGS = {
    "d1": ("d1", "1d", "D", "1Day", "day", "1440", "D1"),
    "m15": ("m15", "15Min", "15", "M15", "15m", "15 mins"),
    "h1": ("h1", "1h", "60", "H1", "1Hour", "60min"),
}
INTRADAY_TIMES = (
    *("%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M+00:00"),
    *("%Y%m%d %H:%M:%S UTC", "%Y/%m/%d %H:%M:%SZ", "%Y.%m.%d %H:%M:%S+0000"),
    *("%d.%m.%Y %H:%M:%SZ", "%d %b %Y %H:%M:%SZ", "%m/%d/%Y %I:%M %pZ"),
    *("s", "ms", "us", "ns"),
)
DAILY_TIMES = (
    *("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%m/%d/%Y"),
    *("%d/%m/%Y", "%d-%b-%Y", "%b %d, %Y", "%Y-%m-%d 00:00:00", "s", "ms"),
)
UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
# What makes a cell no value of its field, and its row none to store.
SPOILT = {
    "number": ("", "n/a", "abc", "--", "inf", "1e999", "0x1F", "1..5", "nan"),
    "ts": ("", "yesterday", "2024-13-45", "soon", "0", "2024-06-31"),
    "timeframe": ("", "fortnight", "7h", "0"),
    "symbol": ("",),
}
ROW_DAMAGE = (
    *("spoilt number", "spoilt ts", "spoilt timeframe", "spoilt symbol"),
    *("nul", "bytes", "open quote", "cell missing", "cell more"),
    *("header again", "torn", "long line", "negative"),
)
# Damage for which a file may be refused; only the first kind must be.
FILE_DAMAGE = (
    *("column missing", "parquet type", "cut parquet", "cut gzip", "empty"),
    *("no parquet", "column twice"),
)


@dataclass
class OddFile:
    """A file, and what is true of its rows.

    Parameters
    ----------
    path : Path
    description : str
        For whoever has to find out what is wrong.
    rows : dict of int to tuple
        Bars by number of their row in the file.
    damaged : set of int
        Rows that are no bars any more; those not in `rows` never were.
    may_be_refused, must_be_refused : bool
    options : dict
        Of the load.
    """

    path: Path
    description: str
    rows: dict[int, tuple[Any, ...]]
    damaged: set[int] = field(default_factory=set)
    may_be_refused: bool = False
    must_be_refused: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def odd_file(seed: int, folder: Path) -> OddFile:
    """Write the file of a seed."""
    chance = random.Random(seed)
    bars = _market(chance)
    if chance.random() < 0.2:
        return _parquet(chance, bars, folder, seed)
    return _text(chance, bars, folder, seed)


def _market(chance: random.Random) -> list[dict[str, Any]]:
    """Bars of some symbols; every value stands once."""
    timeframe = chance.choice(("d1", "m15", "h1"))
    bars = []
    for symbol in chance.sample(SYMBOLS, chance.randint(1, 3)):
        price = chance.choice((0.5, 12.0, 340.0, 61000.0))
        for time in _times(timeframe, chance.randint(8, 20)):
            price *= 1 + chance.uniform(-0.01, 0.01)
            low, high = price * 0.98, price * 1.02
            bars.append(
                {
                    "symbol": symbol,
                    "timeframe": timeframe,
                    "ts": time,
                    "open": round(chance.uniform(low, high), 4),
                    "high": round(high, 4),
                    "low": round(low, 4),
                    "close": round(price, 4),
                    "volume": chance.randint(0, 5_000_000),
                }
            )
    if chance.random() < 0.3:
        bars.reverse()
    return bars


def _times(timeframe: str, n_bars: int) -> list[pd.Timestamp]:
    if timeframe == "d1":
        days = pd.bdate_range("2024-04-01", periods=n_bars, tz="UTC")
        return [*days]
    step = pd.Timedelta("15min" if timeframe == "m15" else "1h")
    per_day = 26 if timeframe == "m15" else 6
    opens = [pd.Timestamp(f"{day} 13:30", tz="UTC") for day in DAYS]
    times = [start + n * step for start in opens for n in range(per_day)]
    return times[:n_bars]


def _truth(bars: list[dict[str, Any]]) -> dict[int, tuple[Any, ...]]:
    return {
        number: tuple(bar[name] for name in FIELDS)
        for number, bar in enumerate(bars, start=1)
    }


@dataclass
class _Notation:
    """How a text file is written."""

    delimiter: str
    decimal: str
    thousands: str
    time: str
    spelling: str
    names: dict[str, str]
    order: list[str]
    encoding: str
    newline: str
    is_quoted: bool
    has_title: bool


def _notation(chance: random.Random, timeframe: str) -> _Notation:
    delimiter = chance.choice((",", ",", ";", "\t"))
    decimal = "." if delimiter == "," else chance.choice(".,")
    is_quoted = chance.random() < 0.2
    thousands = ""
    if (delimiter != "," or is_quoted) and chance.random() < 0.3:
        thousands = chance.choice((" ", "'", "\u202f", ",."[decimal == ","]))
    times = DAILY_TIMES if timeframe == "d1" else INTRADAY_TIMES
    order = [*FIELDS]
    if chance.random() < 0.3:
        chance.shuffle(order)
    if chance.random() < 0.3:
        order.insert(chance.randrange(len(order)), "note")
    names = {name: chance.choice(NAMES[name]) for name in FIELDS}
    return _Notation(
        delimiter,
        decimal,
        thousands,
        chance.choice(times),
        chance.choice(SPELLINGS[timeframe]),
        names,
        order,
        chance.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le")),
        chance.choice(("\n", "\n", "\r\n", "\r")),
        is_quoted,
        chance.random() < 0.1,
    )


def _cell(bar: dict[str, Any], name: str, notation: _Notation) -> str:
    if name == "note":
        return "x"
    value = bar[name]
    if name == "ts":
        return write_time(value, notation.time)
    if name == "timeframe":
        return notation.spelling
    if name == "symbol":
        return str(value)
    mark = notation.thousands
    text = f"{value:,}" if mark else str(value)
    return text.translate(str.maketrans({",": mark, ".": notation.decimal}))


def write_time(time: pd.Timestamp, wanted: str) -> str:
    """Write a time in a format, or as a number since 1970."""
    if wanted in UNITS:
        return str(time.as_unit("ns").value // UNITS[wanted])
    return time.strftime(wanted)


def _line(cells: list[str], notation: _Notation) -> str:
    needs = notation.delimiter
    quoted = [
        f'"{cell}"' if notation.is_quoted or needs in cell else cell
        for cell in cells
    ]
    return notation.delimiter.join(quoted)


def _text(
    chance: random.Random, bars: list[dict[str, Any]], folder: Path, seed: int
) -> OddFile:
    notation = _notation(chance, bars[0]["timeframe"])
    header = _line(
        [notation.names.get(name, "note") for name in notation.order], notation
    )
    lines = [
        _line([_cell(bar, name, notation) for name in notation.order], notation)
        for bar in bars
    ]
    ending = chance.choice((".csv", ".csv", ".CSV", ".txt", ".csv.gz"))
    made = OddFile(folder / f"{seed}{ending}", str(notation), _truth(bars))
    made.may_be_refused = _is_ambiguous(notation, lines, bars)
    if chance.random() < 0.7:
        n_damages = chance.randint(1, max(1, len(lines) // 8))
        for number in chance.sample(range(1, len(lines) + 1), n_damages):
            damage = chance.choice(ROW_DAMAGE)
            line = _damaged(chance, damage, bars[number - 1], notation, header)
            if line is None:
                continue
            lines[number - 1] = line
            made.damaged.add(number)
            made.description += f", row {number}: {damage}"
    all_lines = [header, *lines]
    if notation.has_title:
        all_lines.insert(0, "Downloaded from a vendor")
    if chance.random() < 0.15:
        all_lines.insert(chance.randrange(1, len(all_lines)), "")
    text = notation.newline.join(all_lines)
    text += notation.newline if chance.random() < 0.8 else ""
    content = text.encode(notation.encoding)
    # Put in as a mark: half a character of UTF-16 would shift all others.
    if not notation.encoding.startswith("utf-16"):
        content = content.replace("\u2620".encode(), b"\xff\xc3")
    if chance.random() < 0.08:
        content = _damaged_text_file(chance, made, content, lines, notation)
    if made.path.name.endswith(".gz"):
        content = gzip.compress(content)
        if chance.random() < 0.2:
            made.must_be_refused = True
            made.description += ", cut gzip"
            content = content[: len(content) - chance.randint(1, 40)]
    made.path.write_bytes(content)
    return made


def _is_ambiguous(
    notation: _Notation, lines: list[str], bars: list[dict[str, Any]]
) -> bool:
    """Whether days and months, or decimals and thousands, look alike."""
    if notation.time in ("%d/%m/%Y", "%m/%d/%Y"):
        return all(bar["ts"].day <= 12 for bar in bars)
    return False


def _damaged(
    chance: random.Random,
    damage: str,
    bar: dict[str, Any],
    notation: _Notation,
    header: str,
) -> str | None:
    """Line of a bar after some damage, or None if it cannot have that."""
    cells = {name: _cell(bar, name, notation) for name in notation.order}
    number = chance.choice(("open", "high", "low", "close", "volume"))
    any_name = chance.choice(FIELDS)
    line = _line([*cells.values()], notation)
    if damage == "spoilt number":
        cells[number] = chance.choice(SPOILT["number"])
    elif damage.startswith("spoilt "):
        name = damage.removeprefix("spoilt ")
        cells[name] = chance.choice(SPOILT[name])
    elif damage == "nul":
        cells[any_name] += "\x00"
    elif damage == "bytes":
        if notation.encoding.startswith("utf-16"):
            return None
        cells[any_name] += "\u2620"
    elif damage == "negative":
        cells[number] = "-1"
    elif damage == "open quote":
        return line + '"' if line.count('"') % 2 == 0 else None
    elif damage == "cell missing":
        cells.popitem()
    elif damage == "cell more":
        cells["more"] = "7"
    elif damage == "header again":
        return header
    elif damage == "torn":
        return line[: chance.randrange(1, max(2, len(line) // 2))]
    elif damage == "long line":
        return line + "x" * 20_000
    return _line([*cells.values()], notation)


def _damaged_text_file(
    chance: random.Random,
    made: OddFile,
    content: bytes,
    lines: list[str],
    notation: _Notation,
) -> bytes:
    damage = chance.choice(("column missing", "empty", "column twice"))
    made.description += f", {damage}"
    made.must_be_refused = True
    if damage == "empty":
        return b""
    name = chance.choice(("ts", "open", "high", "low", "close"))
    names = dict(notation.names)
    if damage == "column missing":
        names[name] = "unheard of"
    else:
        other = chance.choice([one for one in ("open", "low") if one != name])
        names[name] = names[other]
    header = _line(
        [names.get(column, "note") for column in notation.order], notation
    )
    return notation.newline.join([header, *lines]).encode(notation.encoding)


def _parquet(
    chance: random.Random, bars: list[dict[str, Any]], folder: Path, seed: int
) -> OddFile:
    frame = pd.DataFrame(bars)
    path = folder / f"{seed}{chance.choice(('.parquet', '.PARQUET'))}"
    made = OddFile(path, "parquet", _truth(bars))
    unit = chance.choice(("s", "ms", "us", "ns", "text", "count", "local"))
    made.description += f", times {unit}"
    frame["ts"] = _typed_times(frame["ts"], unit, chance)
    if unit == "local":
        made.options["time_zone"] = "America/New_York"
        if bars[0]["timeframe"] == "d1":
            frame["ts"] = [bar["ts"].tz_localize(None) for bar in bars]
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if chance.random() < 0.3:
        number = chance.randrange(len(bars))
        name = chance.choice(("open", "high", "low", "close"))
        values = frame[name].tolist()
        values[number] = chance.choice((None, float("inf"), -1.0, 0.0))
        made.damaged.add(number + 1)
        made.description += f", row {number + 1}: {name} {values[number]}"
        table = _with(table, name, pa.array(values, pa.float64()))
    kind = chance.random()
    if kind < 0.3:
        table = _retyped(chance, table, made)
    pyarrow.parquet.write_table(
        table, path, row_group_size=chance.choice((3, 1000))
    )
    if kind > 0.9:
        content = path.read_bytes()
        path.write_bytes(content[: chance.randrange(len(content))])
        made.must_be_refused = True
        made.description += ", cut parquet"
    return made


def _typed_times(
    times: "pd.Series[Any]", unit: str, chance: random.Random
) -> Any:
    if unit == "text":
        return times.dt.strftime("%Y-%m-%d %H:%M:%S%z")
    if unit == "count":
        count = chance.choice([*UNITS])
        return times.dt.as_unit("ns").astype("int64") // UNITS[count]
    if unit == "local":
        return times.dt.tz_convert("America/New_York").dt.tz_localize(None)
    return times.dt.as_unit(unit)


def _with(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def _retyped(chance: random.Random, table: pa.Table, made: OddFile) -> pa.Table:
    """Columns in types that bars can have, or cannot."""
    n_rows = table.num_rows
    good = {
        "large text": ("symbol", table["symbol"].cast(pa.large_string())),
        "dictionary": ("timeframe", table["timeframe"].dictionary_encode()),
        "decimal": ("volume", table["volume"].cast(pa.decimal128(30, 2))),
        "binary": ("symbol", table["symbol"].cast(pa.binary())),
    }
    bad = {
        "boolean": ("close", pa.array([True] * n_rows)),
        "duration": ("volume", pa.array([1] * n_rows, pa.duration("s"))),
        "list": ("symbol", pa.array([["A"]] * n_rows)),
        "struct": ("open", pa.array([{"a": 1.0}] * n_rows)),
        "timestamp": ("volume", pa.array([1] * n_rows, pa.timestamp("us"))),
        "time of day": ("ts", pa.array([1] * n_rows, pa.time64("us"))),
        "float symbol": ("symbol", pa.array([1.5] * n_rows)),
    }
    name = chance.choice([*good, *bad])
    made.must_be_refused = name in bad
    made.description += f", {name}"
    return _with(table, *(good | bad)[name])
