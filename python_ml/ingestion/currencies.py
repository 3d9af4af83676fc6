"""The currency that prices of a symbol are in, as far as anyone says."""

import re
from collections.abc import Iterable, Mapping

from python_ml.exceptions import IngestionError

CODE = re.compile(r"[A-Z][A-Z0-9]{1,9}")
# What vendors write for hundredths; in capitals it would be another currency.
HUNDREDTHS = {"GBp": "GBX", "ZAc": "ZAC", "ILa": "ILA"}


def currency_code(text: str) -> str | None:
    """Code of a currency in capitals, None if it is none.

    Examples
    --------
    >>> currency_code(" usd "), currency_code("GBp"), currency_code("US Dollar")
    ('USD', 'GBX', None)
    """
    text = text.strip()
    code = HUNDREDTHS.get(text, text.upper())
    return code if CODE.fullmatch(code) else None


def checked_currency(text: str) -> str:
    """Code of a currency that a person named.

    Raises
    ------
    IngestionError
        If it is none.
    """
    code = currency_code(text)
    if code is None:
        raise IngestionError(
            f"{text!r} is no currency; say its code, for example: "
            "--currency USD (or GBX for pence, USDT for a coin)"
        )
    return code


def agreed_currencies(
    said: Iterable[tuple[str, str]],
    where: str,
    *,
    aliases: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Currency of each ticker, which has to be one.

    Parameters
    ----------
    said : iterable of (str, str)
        Tickers and codes, as often as they are said.
    where : str
        Who says so, for what is said if it is refused.
    aliases : mapping of str to str, optional
        Present ticker by former one.

    Raises
    ------
    IngestionError
        If the prices of a ticker are in two.
    """
    agreed: dict[str, str] = {}
    for name, code in said:
        ticker = (aliases or {}).get(name, name)
        if agreed.setdefault(ticker, code) != code:
            raise IngestionError(
                f"{where} has prices of {ticker} in "
                f"{' and in '.join(sorted((agreed[ticker], code)))}; a symbol "
                "has one currency. Load each by itself under a ticker of its "
                f"own, for example: --symbol {ticker}.{code}"
            )
    return agreed
