"""Learning to retrieve, on a small world of random vectors."""

from __future__ import annotations

import numpy as np
import pytest

from dreamlab.models.projection import Projection
from dreamlab.training.retrieval import learn_projection

SIZE, ROWS = 24, 10


def units(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.normal(size=(count, SIZE)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def rows() -> np.ndarray:
    return units(np.random.default_rng(0), ROWS)


def asked(rows: np.ndarray, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Questions that speak of rows in another tongue: each is its row turned, and some noise."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(SIZE, SIZE)))
    wanted = rng.integers(ROWS, size=count)
    questions = rows[wanted] @ turned + 0.3 * units(rng, count)
    questions /= np.linalg.norm(questions, axis=1, keepdims=True)
    return questions.astype(np.float32), np.eye(ROWS, dtype=bool)[wanted]


def found(projection: Projection | None, rows: np.ndarray, seed: int) -> float:
    """The share of unseen questions whose row is the nearest."""
    questions, fitting = asked(rows, seed, 200)
    moved = [projection(q) if projection else q for q in questions]
    return float(fitting[np.arange(200), (np.array(moved) @ rows.T).argmax(axis=1)].mean())


def test_questions_that_were_not_seen_find_their_rows(rows: np.ndarray) -> None:
    questions, fitting = asked(rows, 2, 300)
    projection, loss = learn_projection(questions, rows, fitting, "e")
    assert found(None, rows, 3) < 0.3
    assert found(projection, rows, 3) > 0.9
    assert 0 < loss < 2.3  # chance has ln 10


def test_it_goes_on_from_where_it_began(rows: np.ndarray) -> None:
    questions, fitting = asked(rows, 2, 40)
    first, before = learn_projection(questions, rows, fitting, "e")
    _, after = learn_projection(questions, rows, fitting, "e", start=first)
    assert after < before


def test_the_same_questions_teach_the_same(rows: np.ndarray) -> None:
    questions, fitting = asked(rows, 2, 40)
    one, other = (learn_projection(questions, rows, fitting, "e", seed=7)[0] for _ in range(2))
    assert (one.moves == other.moves).all()
    drawn, _ = learn_projection(questions, rows, fitting, "e", seed=8)
    assert (one.moves != drawn.moves).any()


def test_questions_that_no_row_fits_teach_nothing(rows: np.ndarray) -> None:
    questions, fitting = asked(rows, 2, 40)
    lost = np.vstack([fitting, np.zeros_like(fitting)])
    noise = units(np.random.default_rng(5), 40)
    with_them, _ = learn_projection(np.vstack([questions, noise]), rows, lost, "e")
    without, _ = learn_projection(questions, rows, fitting, "e")
    assert (with_them.moves == without.moves).all()
    none, loss = learn_projection(questions, rows, np.zeros_like(fitting), "e")
    assert not none.moves.any()
    assert loss == 0
