"""Imports a directory into the data folder, replacing the one of that name all at once."""

from __future__ import annotations

from pathlib import Path

from dreamlab.directory.hsds import OWN, read_directory
from dreamlab.directory.package import open_package
from dreamlab.directory.report import ImportReport
from dreamlab.directory.rows import MANIFEST, ROWS, format_manifest, format_rows
from dreamlab.directory.shelf import check_name, put
from dreamlab.settings import Settings

COMPANIONS = ("phrases.toml", "questions.jsonl")
"""Files beside our own CSV that come along: a phrase bank and benchmark questions."""


def import_directory(
    path: Path, name: str, settings: Settings, title: str = "", helpline: str = ""
) -> ImportReport:
    """Read the directory at `path` and put it in force as `name`; see `read_directory`.

    `title` and `helpline` (such as 2-1-1) default to what the source says.

    Raises:
        DirectoryError: the name is bad or taken, or the source is broken or empty; a directory
            imported under that name before stays in force.
        StorageError: the data folder cannot be written.
    """
    check_name(name)
    services, report = read_directory(path)
    manifest = format_manifest(name, title or report.title or name, helpline or report.helpline)
    files = {ROWS: format_rows(services), MANIFEST: manifest}
    if report.format == OWN and path.is_dir():
        package = open_package(path)
        files |= {file: package.text(file) for file in COMPANIONS if file in package.files}
    put(name, files, settings)
    return report
