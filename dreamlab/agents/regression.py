"""How much a text is of each label, from examples: kernel ridge regression over vectors.

Fitted when made, in half a second for two thousand examples; what the examples are and how
vectors come about is known elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Regression:
    """How much a text is of each label, by kernel ridge regression over labelled examples.

    The kernel is the squared cosine, where it is positive: near examples count, far ones do not,
    and opposing ones balance each other (Saunders, Gammerman and Vovk 1998).

    Args:
        points: vectors of the examples, float32 [n, dimension], rows of length 1.
        labels: the label of each example.
        values: every label there is, in the order of the scores.
        ridge: how little to trust a single example.
        weights: how much more than one each example counts, [n].
    """

    def __init__(
        self,
        points: np.ndarray,
        labels: Sequence[object],
        values: Sequence[object],
        ridge: float = 0.3,
        weights: np.ndarray | None = None,
    ) -> None:
        self._points = points
        self._coefficients = np.zeros((len(labels), len(values)), dtype=np.float32)
        if not len(labels):
            return
        targets = np.array([[float(label == value) for value in values] for label in labels])
        kernel = _kernel(points, points).astype(np.float64)
        kernel[np.diag_indices_from(kernel)] += ridge / (1.0 if weights is None else weights)
        self._coefficients = np.linalg.solve(kernel, targets).astype(np.float32)

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """How much each text is of each label, [texts, values]: about 0 (not) to 1 (surely)."""
        if not len(self._points):
            return np.zeros((len(vectors), self._coefficients.shape[1]), dtype=np.float32)
        return _kernel(vectors, self._points) @ self._coefficients


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(a @ b.T, 0.0) ** 2
