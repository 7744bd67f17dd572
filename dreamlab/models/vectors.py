"""Vectors of texts that stay the same: embedded once, kept on disk by model and content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
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


def cached_vectors(
    name: str, texts: Sequence[str], embedder: Embedding, cache: Path | None
) -> np.ndarray:
    """Vectors of texts, float32 [n, dimension], kept as `NAME-HASH.npy` in the folder `cache`."""
    if cache is None or not texts:
        return embedder.embed(list(texts))
    key = hashlib.sha256("\x00".join((embedder.name, *texts)).encode()).hexdigest()
    path = cache / f"{name}-{key[:16]}.npy"
    try:
        kept = np.load(path, allow_pickle=False)
        if len(kept) == len(texts):
            return kept
    except (OSError, ValueError, EOFError):
        pass  # not there, or cut short: made again below
    vectors = embedder.embed(list(texts))
    try:
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part.npy")
        np.save(part, vectors, allow_pickle=False)
        part.replace(path)
    except OSError:
        pass  # a folder that cannot be written costs time, not answers
    return vectors
