"""Queries about one symbol, by its key where the reader may look that up."""

from python_ml.web.content import Query

BY_KEY = """symbol_id = (
            select symbol_id from {raw}.symbols where ticker = :symbol
        )"""
BY_TICKER = "ticker = :symbol"


def of_symbol(text: str) -> Query:
    """Ask about the chosen symbol alone.

    A view that looks at rows beside each other does so symbol by symbol, and
    tables are kept in that order: by its key it reads the chosen one's rows, by
    ticker all.

    Parameters
    ----------
    text : str
        A `select` with `IS_CHOSEN` for the condition.

    Returns
    -------
    Query
        Asked by ticker where the reader may read no more than what dbt has
        built.
    """
    return Query(
        text.replace("IS_CHOSEN", BY_KEY),
        otherwise=Query(text.replace("IS_CHOSEN", BY_TICKER)),
    )
