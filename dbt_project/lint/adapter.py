"""Stands in for dbt's `adapter` where SQL is linted without a database."""

from collections.abc import Callable


def dispatch(name: str) -> Callable[..., str]:
    """Spell a macro that warehouses spell differently as a plain call."""

    def spelled(*arguments: object) -> str:
        spelled_out = [
            ", ".join(map(str, argument))
            if isinstance(argument, list)
            else str(argument)
            for argument in arguments
        ]
        return f"{name}({', '.join(spelled_out)})" if arguments else ""

    return spelled
