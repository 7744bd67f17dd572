"""Where directories lie: those shipped with the package, and imported ones in the data folder.

An imported directory `NAME` is the folder `directories/NAME`: each import is a subfolder of its
own, and the file `current` names the one in force. Replacing that one file replaces the
directory, all of it at once.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from dreamlab.directory.rows import MANIFEST, Manifest, read_manifest, read_services
from dreamlab.errors import DirectoryError, StorageError
from dreamlab.files import write_atomic
from dreamlab.records import Service
from dreamlab.settings import Settings

SHIPPED = Path(__file__).parent / "data"
CURRENT = "current"
CLOSED = "closed.csv"
"""Beside the rows of an import: the services that imports before it listed and it does not."""
_NAME = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")


def shipped() -> dict[str, Manifest]:
    """The manifests of the directories that come with the package, by directory name."""
    manifests = (read_manifest(path.parent) for path in sorted(SHIPPED.glob(f"*/{MANIFEST}")))
    return {name: manifest for manifest in manifests for name in manifest.rows}


def list_directories(settings: Settings) -> tuple[str, ...]:
    """Names of the directories that can be opened: shipped and imported ones, sorted."""
    imported = settings.directories_path.glob(f"*/{CURRENT}")
    names = {path.parent.name for path in imported if _NAME.fullmatch(path.parent.name)}
    return tuple(sorted({*shipped(), *names}))


def find(name: str, settings: Settings) -> Manifest:
    """The manifest of a directory: of a shipped one, else of an imported one.

    Raises:
        DirectoryError: there is no directory of that name, or its manifest is broken.
    """
    manifest = shipped().get(name)
    if manifest is None:
        pointer = settings.directories_path / name / CURRENT
        if not _NAME.fullmatch(name) or not pointer.is_file():
            known = ", ".join(list_directories(settings))
            raise DirectoryError(f"no directory {name!r}: there are {known}")
        manifest = read_manifest(pointer.parent / _pointed(pointer))
    if name not in manifest.rows:
        raise DirectoryError(f"{manifest.folder / MANIFEST} has no rows file for {name}")
    return manifest


@cache
def _shipped_folders() -> dict[str, Path]:
    return {name: manifest.folder for name, manifest in shipped().items()}


def stamp(name: str, settings: Settings) -> tuple[object, ...]:
    """What differs as soon as the files of a directory are replaced or changed; cheap to ask."""
    folder = _shipped_folders().get(name)
    if folder is None:
        pointer = settings.directories_path / name / CURRENT
        folder = pointer.parent / _pointed(pointer)
    try:
        with os.scandir(folder) as entries:
            found = [(e.name, e.stat()) for e in entries if e.is_file()]
    except OSError:
        found = []
    return (str(folder), *sorted((n, s.st_mtime_ns, s.st_size, s.st_ino) for n, s in found))


def read_closed(folder: Path) -> tuple[Service, ...]:
    """The services beside a directory's rows that are not listed any more.

    Raises:
        DirectoryError: the file is damaged.
    """
    path = folder / CLOSED
    return read_services(path) if path.is_file() else ()


def check_name(name: str) -> None:
    """Refuse a name that an import may not take.

    Raises:
        DirectoryError: other characters than letters, digits and dashes, or a shipped one's name.
    """
    if not _NAME.fullmatch(name) or len(name) > 60:
        raise DirectoryError(f"bad directory name {name!r}: use letters, digits and dashes")
    if name in shipped():
        raise DirectoryError(f"{name} is a directory of the package: choose another name")


def put(name: str, files: Mapping[str, str], settings: Settings) -> Path:
    """Store the files of a directory and put them in force, all at once; returns their folder.

    The import before this one is kept aside, for whoever is reading it; older ones are deleted.

    Raises:
        StorageError: the data folder cannot be written, or the disk is full.
    """
    folder = settings.directories_path / name
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    version = digest[:12] + os.urandom(4).hex()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = _pointed(folder / CURRENT)
        _write(folder, version, files)
        write_atomic(folder / CURRENT, version + "\n")
        for old in folder.iterdir():
            if old.is_dir() and old.name not in (version, before) and old.name[0] != ".":
                shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise StorageError(
            f"cannot write {folder}: {error.strerror}; free space, fix its rights or set"
            " DREAMLAB_HOME"
        ) from None
    return folder / version


def _write(folder: Path, name: str, files: Mapping[str, str]) -> None:
    """A subfolder with the files, synced: written under another name, then renamed."""
    made = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
    try:
        for file, text in files.items():
            with (made / file).open("w", encoding="utf-8", newline="") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
        made.chmod(0o755)
        made.rename(folder / name)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _pointed(pointer: Path) -> str:
    """The subfolder that a `current` file names; empty when there is none."""
    try:
        named = pointer.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return named if re.fullmatch(r"[0-9a-f]+", named) else ""
