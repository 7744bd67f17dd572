"""What the registry says of its versions, and a cache of it that costs no MLflow to read.

The cache is only a copy: `registry.py` writes it after everything it changes or reads, with a
stamp of MLflow's database file. A stamp that no longer fits (another process, or the MLflow UI,
has written since) makes it void.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from dreamlab.errors import RegistryError, StorageError
from dreamlab.files import write_atomic
from dreamlab.records import from_json, to_json

PREFIX, SCORE = "dreamlab.", "score."
LOW, HIGH, COUNT = "_low", "_high", "/questions"
FIGURE = re.compile(r"[-+.\w]+")
UNSAFE = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
"""Endings of files that may hold pickles; safetensors and JSON hold data only."""


@dataclass(frozen=True, slots=True)
class Version:
    """One registered version of a directory's base model.

    `champion` marks the one that answers: where the alias points, else the latest. `parent` is
    the version it was trained from; `key` the training's, unique; `dataset`, `benchmark` and
    `sha256` are hashes of the training set, of the questions and of the files at `location`.
    Version 1 is `untouched`: the starting model, without an adapter. `forgotten` is the date on
    which something that it, or a version before it, was trained on has last been forgotten.
    """

    number: int
    created: datetime
    champion: bool = False
    untouched: bool = False
    parent: int | None = None
    night: str = ""
    key: str = ""
    dataset: str = ""
    benchmark: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    description: str = ""
    run_id: str = ""
    sha256: str = ""
    location: str = ""
    forgotten: str = ""


def points(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores without the bounds of their intervals and the counts of questions.

    The counts are the benchmark's: the same for all, they tell no version from another.
    """
    return {k: v for k, v in scores.items() if not k.endswith((LOW, HIGH, COUNT))}


def version_tags(scores: Mapping[str, float], **known: object) -> dict[str, str]:
    """The tags that a version is registered with; what is empty is left out.

    A score is one tag with its interval, `0.389 [0.292, 0.486]`. Scores of a part of a source
    (`natural/fact/f1`) are left to the version's run.
    """
    tags = {f"{PREFIX}{name}": str(value) for name, value in known.items() if value != ""}
    for name, value in points(scores).items():
        if name.count("/") > 1:
            continue
        bounds = [scores[name + end] for end in (LOW, HIGH) if name + end in scores]
        tags[SCORE + name] = f"{value:.6g}" + (
            f" [{bounds[0]:.6g}, {bounds[1]:.6g}]" if len(bounds) == 2 else ""
        )
    return tags


def _scores(tags: Mapping[str, str]) -> dict[str, float]:
    """The scores that `version_tags` made tags of, bounds and all."""
    found: dict[str, float] = {}
    for tag, text in sorted(tags.items()):
        if not tag.startswith(SCORE):
            continue
        name = tag.removeprefix(SCORE)
        figures = [float(figure) for figure in FIGURE.findall(text)]
        found.update(zip((name, name + LOW, name + HIGH), figures, strict=False))
    return found


def version_from(
    *,
    number: int,
    created: datetime,
    tags: Mapping[str, str],
    description: str,
    run_id: str,
    location: str,
) -> Version:
    """The version that bears these tags; tags of others are ignored."""

    def tag(name: str) -> str:
        return tags.get(PREFIX + name, "")

    return Version(
        number=number,
        created=created,
        untouched=bool(tag("untouched")),
        parent=int(tag("parent")) if tag("parent") else None,
        night=tag("night"),
        key=tag("key"),
        dataset=tag("dataset"),
        benchmark=tag("benchmark"),
        scores=_scores(tags),
        description=description,
        run_id=run_id,
        sha256=tag("sha256"),
        location=location,
        forgotten=tag("forgotten"),
    )


@dataclass(frozen=True, slots=True)
class _Cached:
    stamp: str
    versions: tuple[Version, ...]


def stamp(database: Path) -> str:
    """What changes whenever an SQLite file is written: times and sizes of it and of its log."""
    files = (database, database.with_name(database.name + "-wal"))
    found = (file.stat() for file in files if file.exists())
    return " ".join(f"{entry.st_mtime_ns}:{entry.st_size}" for entry in found)


def read_cache(path: Path, stamp: str) -> tuple[Version, ...] | None:
    """The cached versions, or None if there are none that bear this stamp."""
    try:
        cached = from_json(_Cached, path.read_bytes())
    except (OSError, ValueError):
        return None
    return cached.versions if cached.stamp == stamp else None


def write_cache(path: Path, stamp: str, versions: tuple[Version, ...]) -> None:
    """Caches the versions; a folder that cannot be written is no failure of the registry."""
    with contextlib.suppress(StorageError):
        write_atomic(path, to_json(_Cached(stamp, versions)))


def folder_hash(folder: Path) -> str:
    """SHA-256 over the names and contents of all files in a folder; '' if it holds none.

    Raises:
        OSError: a file cannot be read.
    """
    total = hashlib.sha256()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {digest}\n".encode())
    return total.hexdigest() if files else ""


def safe_hash(folder: Path) -> str:
    """The folder's hash, once it is known to hold data only.

    Raises:
        RegistryError: the folder is empty or missing, or a file in it could run code when loaded.
    """
    unsafe = sorted(path.name for path in folder.rglob("*") if path.suffix in UNSAFE)
    if unsafe:
        raise RegistryError(
            f"{folder} holds {unsafe[0]}, which can run code when loaded: save as safetensors"
        )
    if not (sha256 := folder_hash(folder)):
        raise RegistryError(f"nothing to register: {folder} is empty or missing")
    return sha256
