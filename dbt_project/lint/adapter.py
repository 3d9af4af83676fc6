"""Stands in for dbt's `adapter` where SQL is linted without a database."""

from collections.abc import Callable


def dispatch(name: str) -> Callable[..., str]:
    """Spell a macro that warehouses spell differently as a plain call."""

    def spelled(*arguments: object) -> str:
        return f"{name}({', '.join(map(str, arguments))})" if arguments else ""

    return spelled
