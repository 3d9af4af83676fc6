"""Claims on the names of artifacts, until the database holds their rows.

Training claims a version id before it writes the file and drops the claim
once the database holds the row. A claim that outlives its process marks what
the next run sweeps away; files of other warehouses that share the folder are
never touched.
"""

import hashlib
import re
from collections.abc import Callable, Set
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.registry.artifacts import SUFFIX, temporary_path
from python_ml.settings import Settings
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

CLAIM_SUFFIX = ".claim"


def slug(ticker: str) -> str:
    """Ticker as part of a file name; odd ones get a digest to stay unique.

    Examples
    --------
    >>> slug("AAPL"), slug("BRK.B"), slug("../EUR/USD")
    ('AAPL', 'BRK.B', 'EUR-USD-de2e05')
    """
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", ticker).strip("-.") or "series"
    if plain == ticker and len(plain) <= 40:
        return plain
    digest = hashlib.sha256(ticker.encode()).hexdigest()[:6]
    return f"{plain[:40]}-{digest}"


def claim_version_id(
    folder: Path,
    *,
    ticker: str,
    timeframe: str,
    created_at: datetime,
    owner: str,
) -> str:
    """Reserve the name of a new version.

    Parameters
    ----------
    folder : Path
        Of the artifacts; made if missing.
    ticker, timeframe : str
        The series.
    created_at : datetime
        With time zone; part of the name, to the second, in UTC.
    owner : str
        Who may sweep the claim; see `claim_owner`.

    Returns
    -------
    str
        Name without `.joblib`; has a suffix `-2`, `-3`, ... when taken.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stem = (
        f"{slug(ticker)}_{slug(timeframe)}_"
        f"{created_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    )
    number = 1
    while True:
        version_id = stem if number == 1 else f"{stem}-{number}"
        if not (folder / f"{version_id}{SUFFIX}").exists() and not any(
            folder.glob(f"{version_id}.*{CLAIM_SUFFIX}")
        ):
            _claim_path(folder, version_id, owner).touch(exist_ok=False)
            return version_id
        number += 1


def release_claim(folder: Path, version_id: str, *, owner: str) -> None:
    """Drop a claim: its version is on record, or its file is gone."""
    _claim_path(folder, version_id, owner).unlink(missing_ok=True)


def sweep_claims(
    folder: Path, *, owner: str, on_record: Callable[[Set[str]], Set[str]]
) -> list[str]:
    """Remove what a killed training left: files without a row.

    Call it only under the lock that training holds.

    Parameters
    ----------
    folder : Path
        Of the artifacts.
    owner : str
        Only its claims are looked at.
    on_record : callable
        Given version ids, returns those that the database holds.

    Returns
    -------
    list of str
        Version ids whose files were removed.
    """
    ending = f".{owner}{CLAIM_SUFFIX}"
    claimed = {
        path.name.removesuffix(ending) for path in folder.glob(f"*{ending}")
    }
    if not claimed:
        return []
    recorded = on_record(claimed)
    removed = sorted(claimed - recorded)
    for version_id in removed:
        for path in _files_of(folder, version_id):
            path.unlink(missing_ok=True)
        log_event(logger, "orphan_removed", version_id=version_id)
    for version_id in claimed:
        release_claim(folder, version_id, owner=owner)
    return removed


def claim_owner(settings: Settings, *, database: str) -> str:
    """Short name of a warehouse, for claims in a folder it may share.

    Parameters
    ----------
    settings : Settings
        Target and schema prefix count.
    database : str
        Server and database of target `postgres`.
    """
    where = database if settings.target == "postgres" else str(settings.home)
    identity = f"{settings.target} {where} {settings.schema_prefix}"
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def sweep_orphans(warehouse: Warehouse) -> str:
    """Remove artifacts that a killed run left without a row.

    Call it only under the lock that training holds.

    Returns
    -------
    str
        Owner of the claims of this run; see `claim_owner`.
    """

    def on_record(names: Set[str]) -> set[str]:
        found: set[str] = set()
        with warehouse.begin() as connection:
            for column in (
                schema.ensembles.c.version_id,
                schema.pooled_members.c.pooled_member_id,
            ):
                query = sa.select(column).where(column.in_(names))
                found |= set(connection.execute(query).scalars())
        return found

    parameters = warehouse.parameters
    owner = claim_owner(
        warehouse.settings,
        database=f"{parameters.host}:{parameters.port}/{parameters.database}",
    )
    sweep_claims(
        warehouse.settings.artifacts_dir, owner=owner, on_record=on_record
    )
    return owner


def _claim_path(folder: Path, version_id: str, owner: str) -> Path:
    return folder / f"{version_id}.{owner}{CLAIM_SUFFIX}"


def _files_of(folder: Path, version_id: str) -> tuple[Path, Path]:
    path = folder / f"{version_id}{SUFFIX}"
    return path, temporary_path(path)
