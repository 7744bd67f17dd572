"""Vectors of texts that stay the same: embedded once, kept on disk by model and content."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np


class Embedding(Protocol):
    """Texts to unit vectors."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 of shape [len(texts), dimension], rows of length 1."""


KEPT = 8
"""Sets of texts of one name that are kept, the latest made: those of a few directories, and of a
directory before it changed, whose vectors are used again."""

Keys = np.ndarray
"""A number for each text, uint64 [n], by model and content."""


def cached_vectors(
    name: str, texts: Sequence[str], embedder: Embedding, cache: Path | None
) -> np.ndarray:
    """Vectors of texts, float32 [n, dimension], kept as `NAME-HASH.npz` in the folder `cache`.

    Of a set that differs from those kept only the texts that none of them has are embedded.
    """
    if cache is None or not texts:
        return embedder.embed(list(texts))
    keys = np.array([_key(embedder.name, text) for text in texts], np.uint64)
    path = cache / f"{name}-{hashlib.sha256(keys.tobytes()).hexdigest()[:16]}.npz"
    kept = _read(path)
    if kept and np.array_equal(kept[0], keys):
        return kept[1]
    files = _files(name, cache)
    vectors = _made(texts, keys, embedder, files)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part.npz")
        np.savez(part, keys=keys, vectors=vectors)
        part.replace(path)
        for old in files[KEPT - 1 :]:
            old.unlink(missing_ok=True)
    except OSError:
        pass  # a folder that cannot be written costs time, not answers
    return vectors


def _made(
    texts: Sequence[str], keys: Keys, embedder: Embedding, files: Sequence[Path]
) -> np.ndarray:
    """The vectors of texts, as many as possible from the files."""
    known: dict[int, np.ndarray] = {}
    for file in files:
        if found := _read(file):
            known.update(zip(found[0].tolist(), found[1], strict=True))
    rows = keys.tolist()
    new = [i for i, key in enumerate(rows) if key not in known]
    if new:
        made = embedder.embed([texts[i] for i in new])
        known.update((rows[i], vector) for i, vector in zip(new, made, strict=True))
    return np.stack([known[key] for key in rows])


def _key(model: str, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{model}\x00{text}".encode()).digest()[:8])


def _files(name: str, cache: Path) -> list[Path]:
    """The files of sets of that name, the latest first."""
    found = []
    for path in cache.glob(f"{name}-{'[0-9a-f]' * 16}.npz"):
        with suppress(OSError):
            found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found, reverse=True)]


def _read(path: Path) -> tuple[Keys, np.ndarray] | None:
    """Keys and vectors of a file; None if it is not there, cut short or of another form."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            keys, vectors = kept["keys"], kept["vectors"]
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    return (keys, vectors) if len(keys) == len(vectors) else None
