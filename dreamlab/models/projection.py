"""What a version has learnt of retrieval: a linear map of question vectors, kept with its adapter.

The sentence encoder stays as it is, so every version searches the same vectors of rows; what
moves is where a question points. Learnt in `training/retrieval.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dreamlab.errors import ModelError
from dreamlab.files import write_atomic
from dreamlab.models.vectors import Embedding

FILE = "projection.safetensors"
"""In an adapter's folder; one that was trained before there were projections has none."""

_NAME, _EMBEDDER = "moves", "embedder"


class Projection:
    """Maps a question's vector x to x + xM, of length 1; rows that fit lie nearer to that.

    Args:
        moves: M, float32 of shape [d, d]; zeros leave every vector where it is.
        embedder: name of the sentence encoder whose vectors it maps.
    """

    def __init__(self, moves: np.ndarray, embedder: str) -> None:
        self.moves = moves
        self.embedder = embedder

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        """A question's vector [d] as it is moved, of length 1."""
        moved = vector + vector @ self.moves
        return moved / max(float(np.linalg.norm(moved)), 1e-12)

    def save(self, folder: Path) -> None:
        """Write it into an adapter's folder, in safetensors and whole or not at all."""
        from safetensors.numpy import save

        content = save({_NAME: self.moves.astype(np.float32)}, {_EMBEDDER: self.embedder})
        write_atomic(folder / FILE, content)


def load_projection(folder: Path | None, embedder: Embedding) -> Projection | None:
    """The projection in an adapter's folder; None where there is none for this encoder.

    Raises:
        ModelError: the file is damaged.
    """
    if folder is None or not (path := folder / FILE).is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            made_for = (file.metadata() or {}).get(_EMBEDDER, "")
            moves: np.ndarray = file.get_tensor(_NAME)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} is damaged ({error}); restore it or roll back") from None
    size = (embedder.dimension, embedder.dimension)
    if made_for != embedder.name:
        return None
    if moves.shape != size or not np.isfinite(moves).all():
        raise ModelError(f"{path} is damaged ({moves.shape}); restore it or roll back")
    return Projection(moves, made_for)
