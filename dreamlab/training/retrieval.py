"""Learning to retrieve: question vectors are moved towards the rows that fit.

Query-side adaptation of dense retrieval with the rows' vectors frozen, by a contrastive loss with
several positives (van den Oord et al., 2018, InfoNCE; Khosla et al., 2020). A linear map is all
that is learnt, in seconds: every version shares the encoder and what it has embedded. What was
tried is in docs/lab-log.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dreamlab.models.compute import load_torch
from dreamlab.models.projection import Projection

STEPS, BATCH, RATE = 400, 256, 1e-3
TEMPERATURE = 0.07
"""Cosines are divided by it before they compete."""
DECAY = 3e-3
"""Weight of the squared size of the map in the loss: what no question asks for stays in place."""


def learn_projection(
    questions: np.ndarray,
    rows: np.ndarray,
    fitting: np.ndarray,
    embedder: str,
    *,
    start: Projection | None = None,
    seed: int = 0,
    threads: int = 1,
) -> tuple[Projection, float]:
    """The projection that these questions teach, and its loss over all of them.

    Args:
        questions: unit vectors, [n, d].
        rows: the directory's unit vectors, [rows, d].
        fitting: whether a row fits what a question asks for, bool [n, rows]; questions that none
            fits teach nothing.
        embedder: name of the encoder that made the vectors.
        start: the projection to go on from, of the same encoder.
        seed: of the order of questions.
        threads: to compute on.
    """
    torch = load_torch(threads)
    taught = fitting.any(axis=1)
    wanted = torch.tensor(fitting[taught], dtype=torch.float32)
    wanted /= wanted.sum(dim=1, keepdim=True)
    asked = torch.tensor(questions[taught], dtype=torch.float32)
    found = torch.tensor(rows, dtype=torch.float32)
    size = questions.shape[1]
    begun = start.moves if start else np.zeros((size, size))
    moves = torch.tensor(begun, dtype=torch.float32, requires_grad=True)

    def loss(some: Any) -> Any:
        moved = torch.nn.functional.normalize(asked[some] + asked[some] @ moves, dim=1)
        scores = torch.log_softmax(moved @ found.T / TEMPERATURE, dim=1)
        return -(wanted[some] * scores).sum(dim=1).mean()

    if len(asked):
        optimizer = torch.optim.Adam([moves], lr=RATE)
        drawn = torch.Generator().manual_seed(seed)
        for _ in range(STEPS):
            optimizer.zero_grad()
            some = torch.randint(len(asked), (BATCH,), generator=drawn)
            (loss(some) + DECAY * (moves**2).sum()).backward()
            optimizer.step()
    with torch.no_grad():
        reached = float(loss(slice(None))) if len(asked) else 0.0
    return Projection(moves.detach().numpy(), embedder), reached
