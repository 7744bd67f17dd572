"""Opens what a directory comes in (a folder, a zip or one file) and hands out its texts.

Nothing is unpacked to disk. A zip that reaches outside itself or swells absurdly is refused. What
the texts mean is not known here.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dreamlab.errors import DirectoryError

READ = (".csv", ".json", ".toml", ".jsonl")
MOST_FILES = 10_000
MOST_BYTES = 1 << 30
MOST_SWELLING = 200
"""A zip may unpack to this many times its size, once it is beyond `SMALL`."""
SMALL = 10 << 20
DEPTH = 3
"""Folders below the given one that are looked into."""


@dataclass
class Package:
    """The files of a directory by their name, and remarks on how they had to be read."""

    name: str
    _readers: dict[str, Callable[[], bytes]]
    remarks: list[str] = field(default_factory=list)
    _texts: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files, sorted."""
        return tuple(sorted(self._readers))

    def text(self, name: str) -> str:
        """The text of a file: UTF-8, UTF-16 with its mark, else Windows-1252 with a remark.

        Raises:
            DirectoryError: the file is missing, unreadable or no text; the message names it.
        """
        if name not in self._readers:
            raise DirectoryError(f"{self.name} has no file {name}")
        if name not in self._texts:
            self._texts[name] = self._decoded(name, self._readers[name]())
        return self._texts[name]

    def _decoded(self, name: str, data: bytes) -> str:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return _decode(data, "utf-16", name)
        if b"\0" in data:
            raise DirectoryError(f"{_where(data, data.index(0), name)}: a NUL byte; is it text?")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            text = _decode(data, "cp1252", name)
            where = _where(data, error.start, name)
            self.remarks.append(f"{where}: not UTF-8; the file was read as Windows-1252")
            return text


def _decode(data: bytes, encoding: str, name: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        where = _where(data, error.start, name)
        raise DirectoryError(f"{where}: not {encoding} text; save it as UTF-8") from None


def _where(data: bytes, offset: int, name: str) -> str:
    line = data.count(b"\n", 0, offset) + 1
    column = offset - data.rfind(b"\n", 0, offset)
    return f"{name} line {line} column {column}"


def open_package(path: Path) -> Package:
    """The files of a folder, zip or single file.

    Of several folders inside, the one with `datapackage.json` counts, else the one with most
    files.

    Raises:
        DirectoryError: the path is missing, unreadable, unsafe, or holds nothing to read.
    """
    try:
        if path.is_dir():
            readers = _folder(path)
        elif path.is_file() and path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
            return Package(path.name, {path.name: lambda: _read(path)})
        elif path.is_file():
            readers = _zip(path)
        else:
            raise DirectoryError(f"{path} does not exist: give a folder, zip, JSON or CSV file")
    except OSError as error:
        raise DirectoryError(f"cannot read {path}: {error.strerror or error}") from None
    inside = _innermost(readers)
    if not inside:
        raise DirectoryError(f"{path} holds no CSV or JSON file")
    return Package(path.name, inside)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DirectoryError(f"{path} is larger than {MOST_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise DirectoryError(f"cannot read {path}: {error.strerror or error}") from None


def _folder(folder: Path) -> dict[str, Callable[[], bytes]]:
    readers: dict[str, Callable[[], bytes]] = {}
    for level in range(1, DEPTH + 1):
        for path in folder.glob("/".join(["*"] * level)):
            name = path.relative_to(folder).as_posix()
            if _wanted(name) and path.is_file():
                readers[name] = lambda path=path: _read(path)  # type: ignore[misc]
                if len(readers) > MOST_FILES:
                    raise DirectoryError(f"{folder} holds more than {MOST_FILES} files")
    return readers


def _zip(path: Path) -> dict[str, Callable[[], bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise DirectoryError(f"{path.name} is no intact zip: {error}") from None
    _check(entries, path)
    return {e.filename: _unzipper(path, e) for e in entries if _wanted(e.filename)}


def _check(entries: list[zipfile.ZipInfo], path: Path) -> None:
    """Refuse an archive that reaches outside itself or swells beyond reason."""
    if len(entries) > MOST_FILES:
        raise DirectoryError(f"{path.name} holds more than {MOST_FILES} files")
    for entry in entries:
        name = entry.filename.replace("\\", "/")
        if name.startswith("/") or ".." in PurePosixPath(name).parts or ":" in name.split("/")[0]:
            raise DirectoryError(f"{path.name} reaches outside itself: {entry.filename!r}")
    unpacked, packed = sum(e.file_size for e in entries), path.stat().st_size
    if unpacked > MOST_BYTES or unpacked > max(SMALL, MOST_SWELLING * packed):
        raise DirectoryError(
            f"{path.name} would swell from {packed:,} to {unpacked:,} bytes: refused"
        )


def _unzipper(path: Path, entry: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(entry) as file:
                data = file.read(entry.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
            raise DirectoryError(f"{path.name}: {entry.filename} is damaged: {error}") from None
        except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed unusually
            raise DirectoryError(f"{path.name}: cannot unpack {entry.filename}: {error}") from None
        if len(data) > entry.file_size:
            raise DirectoryError(f"{path.name}: {entry.filename} is larger than it says")
        return data

    return read


def _wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return not hidden and len(parts) <= DEPTH and name.lower().endswith(READ)


def _innermost(readers: dict[str, Callable[[], bytes]]) -> dict[str, Callable[[], bytes]]:
    """The files below `datapackage.json`, else of the folder with most, the outermost of them."""
    roots = [name.rpartition("/")[0] for name in readers if name.endswith("datapackage.json")]
    if roots:
        root = min(roots, key=lambda folder: (folder.count("/") + bool(folder), folder))
        start = f"{root}/" if root else ""
        return {n.removeprefix(start): r for n, r in readers.items() if n.startswith(start)}
    folders: dict[str, dict[str, Callable[[], bytes]]] = {}
    for name in sorted(readers):
        folder, _, file = name.rpartition("/")
        folders.setdefault(folder, {})[file] = readers[name]
    ranked = sorted(folders, key=lambda f: (-len(folders[f]), f.count("/") + bool(f), f))
    return folders[ranked[0]] if ranked else {}
