"""Takes nested HSDS 3.x JSON apart into rows of tables that point to each other by id.

Understands a single object, a list, a page of an HSDS API (`contents`), and lists by table name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dreamlab.directory.tables import NAMES, THINGS, Row, Tables
from dreamlab.errors import DirectoryError

WRAPPERS = ("contents", "items", "results", "data", "records")


def _objects(data: Any, file: str) -> Iterator[tuple[str, Any, str]]:
    """The objects at the top of a JSON file with the table of each and where it stands."""
    if isinstance(data, dict):
        wrapped = next((key for key in WRAPPERS if isinstance(data.get(key), list)), "")
        if wrapped:
            data, prefix = data[wrapped], wrapped
        else:
            lists = {k: v for k, v in data.items() if k in NAMES and isinstance(v, list)}
            if "id" in data or ("name" in data and not lists):
                yield _shape(data), data, "the whole file"
                return
            if not lists:
                raise DirectoryError(f"{file}: not HSDS JSON, found no list of services")
            for key, values in lists.items():
                yield from ((NAMES[key], v, f"{key}[{i}]") for i, v in enumerate(values))
            return
    elif isinstance(data, list):
        prefix = ""
    else:
        raise DirectoryError(f"{file}: not HSDS JSON, expected services, found {_kind(data)}")
    for i, value in enumerate(data):
        yield _shape(value), value, f"{prefix}[{i}]"


def _shape(value: Any) -> str:
    """The table that an object belongs to, by the keys it has."""
    if not isinstance(value, dict):
        return "service"
    if "location" in value and "service" in value:
        return "service_at_location"
    if "organization" in value or "organization_id" in value or "status" in value:
        return "service"
    if "services" in value or "legal_status" in value or "website" in value:
        return "organization"
    return "service"


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "nothing" if value is None else kinds.get(type(value), "a number")


class Flattener:
    """Takes the objects of one or more JSON files apart into rows of `tables`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._known: dict[tuple[str, str], dict[str, str]] = {}
        self._listed: set[tuple[str, str]] = set()
        self._told: set[str] = set()
        self._file = ""

    def flatten(self, data: Any, file: str) -> None:
        """Add the objects of a JSON file to the tables.

        Raises:
            DirectoryError: the data has not the shape of HSDS.
        """
        self._file = file
        try:
            for table, value, where in _objects(data, file):
                self._take(table, value, where)
        except RecursionError:
            raise DirectoryError(f"{file}: nested too deeply for HSDS") from None

    def _take(self, table: str, value: Any, where: str) -> None:
        if isinstance(value, dict):
            self._add(table, value, where)
        else:
            row = Row({}, self._file, where)
            self._tables.skipped.append((row, f"expected an object, found {_kind(value)}"))

    def _add(self, table: str, value: Mapping[str, Any], where: str) -> str:
        """Add an object and all within it; returns its id, made up if it has none."""
        cells = {k: _scalar(v) for k, v in value.items() if not isinstance(v, dict | list)}
        key = cells.get("id", "").strip()
        if not key and table != "service":
            key = cells["id"] = f"{self._file} {where}"
        lists = []
        for name, inner in value.items():
            if isinstance(inner, dict) and name in NAMES:
                cells[f"{NAMES[name]}_id"] = self._add(NAMES[name], inner, f"{where}.{name}")
            elif isinstance(inner, list) and name in NAMES:
                lists.append(name)
        if self._is_new(table, key, cells, listed="." not in where):
            self._tables.add(table, Row(cells, self._file, where))
        for name in lists:
            owner = {f"{table}_id": key}
            if NAMES[name] == "attribute":
                owner = {"link_id": key, "link_entity": table}
            for i, child in enumerate(value[name]):
                child = {**child, **owner} if isinstance(child, dict) else child
                self._take(NAMES[name], child, f"{where}.{name}[{i}]")
        return key

    def _is_new(self, table: str, key: str, cells: dict[str, str], listed: bool) -> bool:
        """Whether to keep a row. A thing met again adds what was left out before."""
        if table not in THINGS:
            text = repr((table, sorted(cells.items())))
            new = text not in self._told
            self._told.add(text)
            return new
        before = self._known.setdefault((table, key), cells)
        twice = listed and (table, key) in self._listed
        if listed:
            self._listed.add((table, key))
        if before is cells or twice or not key:
            return True  # a thing listed twice is for the join to complain of
        before.update({k: v for k, v in cells.items() if v and not before.get(k)})
        return False


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
