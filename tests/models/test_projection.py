"""The learnt map of question vectors, as it lies beside an adapter."""

from pathlib import Path

import numpy as np
import pytest

from dreamlab.errors import ModelError
from dreamlab.models.projection import FILE, Projection, load_projection


class Encoder:
    name, dimension = "encoder", 3


def unit(*values: float) -> np.ndarray:
    return np.array(values, np.float32) / np.linalg.norm(values)


def test_zeros_leave_a_vector_where_it_is_and_others_move_it_at_length_one() -> None:
    question = unit(1, 2, 3)
    assert np.allclose(Projection(np.zeros((3, 3)), "encoder")(question), question)
    moved = Projection(np.diag([4.0, 0, 0]), "encoder")(question)
    assert np.linalg.norm(moved) == pytest.approx(1)
    assert np.allclose(moved, unit(5, 2, 3))


def test_it_is_read_as_it_was_saved(tmp_path: Path) -> None:
    moves = np.arange(9, dtype=np.float32).reshape(3, 3)
    Projection(moves, "encoder").save(tmp_path)
    loaded = load_projection(tmp_path, Encoder())  # type: ignore[arg-type]
    assert loaded is not None
    assert (loaded.moves == moves).all()
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_versions_without_one_or_with_another_encoders_have_none(tmp_path: Path) -> None:
    assert load_projection(None, Encoder()) is None  # type: ignore[arg-type]
    assert load_projection(tmp_path, Encoder()) is None  # type: ignore[arg-type]
    Projection(np.zeros((5, 5)), "another").save(tmp_path)
    assert load_projection(tmp_path, Encoder()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["cut", "shape", "nan"])
def test_a_damaged_one_is_named_with_the_remedy(tmp_path: Path, damage: str) -> None:
    moves = np.full((3, 3), np.nan) if damage == "nan" else np.zeros((3, 2 + (damage == "cut")))
    Projection(moves, "encoder").save(tmp_path)
    if damage == "cut":
        path = tmp_path / FILE
        path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelError, match=rf"{FILE} is damaged.*roll back"):
        load_projection(tmp_path, Encoder())  # type: ignore[arg-type]
