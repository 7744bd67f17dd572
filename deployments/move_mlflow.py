"""Move what MLflow keeps: to another path, to another database, to an object store.

    python deployments/move_mlflow.py relocate DATABASE OLD NEW    # places below OLD are below NEW
    python deployments/move_mlflow.py copy DATABASE                # to $MLFLOW_BACKEND_STORE_URI
    python deployments/move_mlflow.py upload FOLDER STORE          # files, to s3://bucket

DATABASE is an SQLAlchemy address such as sqlite:////var/lib/dreamlab/mlflow/mlflow.db; OLD and NEW
are beginnings of addresses of files, such as file:///var/lib/dreamlab/mlflow/artifacts and
mlflow-artifacts:. Nothing may use the databases meanwhile; stop the lab and its servers. Each verb
is one transaction, or may be run again.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import sqlalchemy as sa

PLACES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
    "datasets": "dataset_source",
}
"""Tables and columns of MLflow's database that hold places of files."""

VERSION = "alembic_version"
BATCH = 1000


def relocate(database: str, old: str, new: str) -> int:
    """Rewrites the places that begin with `old` to begin with `new`; returns how many."""
    old, new = old.rstrip("/") + "/", new.rstrip("/") + "/"
    changed = 0
    with sa.create_engine(database).begin() as connection:
        for name, column in PLACES.items():
            table = sa.table(name, sa.column(column))
            place = table.c[column]
            found = connection.execute(
                sa.update(table)
                .where(place.contains(old, autoescape=True))
                .values({column: sa.func.replace(place, old, new)})
            )
            changed += found.rowcount
    return changed


def copy(source: str, target: str) -> int:
    """Copies every row of MLflow's database `source` into `target`, which must hold no runs.

    Returns:
        The number of rows copied.

    Raises:
        ValueError: the schemas differ in version, or `target` is in use.
    """
    from mlflow.store.db.utils import _initialize_tables

    here, there = sa.create_engine(source), sa.create_engine(target)
    _initialize_tables(there)
    for engine in (here, there):
        with engine.connect() as connection:
            shown = connection.execute(sa.text(f"SELECT version_num FROM {VERSION}")).scalar_one()
        if engine is here:
            expected = shown
    if shown != expected:
        raise ValueError(
            f"the old database has schema {expected}, this MLflow makes {shown}: "
            f"run `mlflow db upgrade {source}` first"
        )
    kept = sa.MetaData()
    kept.reflect(there)
    count = 0
    with here.connect() as reading, there.begin() as writing:
        if writing.execute(sa.text("SELECT count(*) FROM runs")).scalar_one():
            raise ValueError("the new database holds runs already; give an empty one")
        tables = [table for table in kept.sorted_tables if table.name != VERSION]
        for table in reversed(tables):  # what a fresh database comes with, such as `Default`
            writing.execute(sa.delete(table))
        for table in tables:
            count += _copy_table(table, reading, writing)
            _set_sequence(table, writing)
    return count


def _copy_table(table: sa.Table, reading: sa.Connection, writing: sa.Connection) -> int:
    names = [column.name for column in table.columns if column.computed is None]
    plain = sa.table(table.name, *(sa.column(name, table.c[name].type) for name in names))
    rows = [dict(row._mapping) for row in reading.execute(sa.select(plain))]
    for start in range(0, len(rows), BATCH):
        writing.execute(sa.insert(table), rows[start : start + BATCH])
    return len(rows)


def _set_sequence(table: sa.Table, writing: sa.Connection) -> None:
    """Lets the next row of a numbered table come after those copied."""
    key = list(table.primary_key.columns)
    if writing.dialect.name != "postgresql" or len(key) != 1:
        return
    named = sa.func.pg_get_serial_sequence(table.name, key[0].name)
    if writing.execute(sa.select(named)).scalar_one() is None:
        return
    last = writing.execute(sa.select(sa.func.max(key[0]))).scalar_one()
    if last is not None:
        writing.execute(sa.select(sa.func.setval(named, last)))


def upload(folder: Path, store: str) -> None:
    """Copies the files of a folder into an artifact store that MLflow knows, such as S3."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    get_artifact_repository(store).log_artifacts(str(folder))


def main() -> None:
    """Does what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("relocate")
    for name in ("database", "old", "new"):
        verb.add_argument(name)
    verbs.add_parser("copy").add_argument("database")
    verb = verbs.add_parser("upload")
    verb.add_argument("folder", type=Path)
    verb.add_argument("store")
    given = parser.parse_args()
    if given.verb == "relocate":
        print(f"{relocate(given.database, given.old, given.new)} places rewritten.")
    elif given.verb == "upload":
        upload(given.folder, given.store)
        print(f"{given.folder} is in {given.store}.")
    else:
        target = os.environ.get("MLFLOW_BACKEND_STORE_URI")
        if not target:
            sys.exit("Error: set MLFLOW_BACKEND_STORE_URI to the new database")
        try:
            print(f"{copy(given.database, target)} rows copied.")
        except ValueError as error:
            sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
