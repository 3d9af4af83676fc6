"""Write the columns of all features into the contracts that list them.

    .venv/bin/python scripts/write_feature_contracts.py

The features are those of the macro `feature_definitions`, in its order.
"""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "dbt_project"
DEFINITIONS = PROJECT / "macros" / "feature_definitions.sql"
CONTRACTS = PROJECT / "models" / "features" / "_features__models.yml"

_DEFINITION = re.compile(r"^        \(\n            '(\w+)'", re.MULTILINE)
_COLUMN = """\
      - name: {name}
        description: "{{{{ doc('feature_{name}') }}}}"
        data_type: double precision
"""
_COLUMNS = re.compile(
    r"(?:      - name: \w+\n"
    r"        description: \"\{\{ doc\('feature_\w+'\) \}\}\"\n"
    r"        data_type: double precision\n)+"
)


def feature_names(definitions: str) -> list[str]:
    """Features in the order of their definitions."""
    return _DEFINITION.findall(definitions)


def with_features(contracts: str, names: list[str]) -> str:
    """Contracts with a column for each feature where features stand."""
    columns = "".join(_COLUMN.format(name=name) for name in names)
    return _COLUMNS.sub(lambda _: columns, contracts)


def main() -> None:
    """Write the file."""
    names = feature_names(DEFINITIONS.read_text())
    CONTRACTS.write_text(with_features(CONTRACTS.read_text(), names))
    print(f"{CONTRACTS.name}: {len(names)} features.")


if __name__ == "__main__":
    main()
