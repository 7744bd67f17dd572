"""Reads Open Referral HSDS into tables, whatever it comes as, without joining them.

CSV files (HSDS 3.x singular names, 1.1/2.0 plural ones, with or without `datapackage.json`) and
nested JSON (HSDS 3.x) become rows of the same tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from dreamlab.directory.nested import Flattener
from dreamlab.directory.package import Package
from dreamlab.directory.rows import read_table
from dreamlab.directory.tables import IGNORED, NAMES, REQUIRED, Row, Tables
from dreamlab.errors import DirectoryError


def read_tables(package: Package) -> Tables:
    """The HSDS tables of a package.

    Raises:
        DirectoryError: nothing of HSDS is in it, or a file is broken; names file, line, column.
    """
    tables = Tables()
    files = _resources(package) or {
        name: _table_of(name) for name in package.files if name.lower().endswith(".csv")
    }
    for file, table in files.items():
        if table in NAMES:
            _read_csv(package, file, NAMES[table], tables)
        elif table in IGNORED:
            tables.ignored.append(file)
        else:
            tables.ignored.append(f"{file} (no table of HSDS)")
    flattener = Flattener(tables)
    for file in package.files:
        if file.lower().endswith(".json") and PurePosixPath(file).name != "datapackage.json":
            flattener.flatten(load_json(package, file), file)
    if not tables.of("service"):
        empty = next((file for file, table in files.items() if NAMES.get(table) == "service"), "")
        if empty:
            raise DirectoryError(f"{empty} has no services: only a header")
        raise DirectoryError(
            f"{package.name} has no services; expected service.csv, services.csv, HSDS JSON or our"
            " own CSV (see docs/importing.md)"
        )
    return tables


def _table_of(file: str) -> str:
    return PurePosixPath(file).stem.lower().replace("-", "_").replace(" ", "_")


def _resources(package: Package) -> dict[str, str]:
    """Files and their tables as `datapackage.json` names them; empty without one."""
    if "datapackage.json" not in package.files:
        return {}
    data = load_json(package, "datapackage.json")
    resources = data.get("resources") if isinstance(data, dict) else None
    if not isinstance(resources, list):
        raise DirectoryError("datapackage.json: `resources` is missing or no list")
    found: dict[str, str] = {}
    for resource in resources:
        path = resource.get("path") if isinstance(resource, dict) else None
        for part in path if isinstance(path, list) else [path]:
            file = PurePosixPath(part).as_posix() if isinstance(part, str) else ""
            if file in package.files and file.lower().endswith(".csv"):
                name = str(resource.get("name", "")).lower()
                found[file] = name if name in NAMES or name in IGNORED else _table_of(file)
    return found


def _read_csv(package: Package, file: str, table: str, tables: Tables) -> None:
    text = package.text(file)
    if not text.strip():
        if table == "service":
            raise DirectoryError(f"{file} is empty: it needs a header line")
        return
    checked = False
    for line, cells in read_table(text, file):
        if not checked:
            _check_columns(table, cells, file)
            checked = True
        tables.add(table, Row(cells, file, f"line {line}"))


def _check_columns(table: str, cells: Mapping[str, str], file: str) -> None:
    for column in REQUIRED.get(table, ()):
        if column not in cells:
            raise DirectoryError(f"{file} line 1: column {column} is missing")


def load_json(package: Package, file: str) -> Any:
    """The value in a JSON file.

    Raises:
        DirectoryError: it is no JSON; the message names file, line and column.
    """
    try:
        return json.loads(package.text(file))
    except json.JSONDecodeError as error:
        where = f"{file} line {error.lineno} column {error.colno}"
        raise DirectoryError(f"{where}: {error.msg}") from None
    except (RecursionError, ValueError) as error:
        raise DirectoryError(f"{file}: not HSDS JSON, {str(error).split(';')[0]}") from None
