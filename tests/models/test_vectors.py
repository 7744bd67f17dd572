from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dreamlab.models.vectors import KEPT, cached_vectors


class Lengths:
    """An encoder that counts letters and how often it is asked."""

    name = "lengths"
    dimension = 2

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(list(texts))
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


def test_vectors_are_embedded_once_and_then_read_from_the_folder(tmp_path: Path) -> None:
    first, second = Lengths(), Lengths()
    made = cached_vectors("rows", ["a roof", "a ride"], first, tmp_path / "vectors")
    read = cached_vectors("rows", ["a roof", "a ride"], second, tmp_path / "vectors")
    assert np.array_equal(made, read)
    assert (len(first.calls), len(second.calls)) == (1, 0)


def test_changed_texts_are_embedded_anew(tmp_path: Path) -> None:
    cached_vectors("rows", ["a roof"], Lengths(), tmp_path)
    embedder = Lengths()
    cached_vectors("rows", ["a ride"], embedder, tmp_path)
    assert embedder.calls == [["a ride"]]


def test_of_changed_texts_only_those_that_are_new_are_embedded(tmp_path: Path) -> None:
    cached_vectors("rows", ["a roof", "a ride", "a meal"], Lengths(), tmp_path)
    embedder = Lengths()
    made = cached_vectors("rows", ["a meal", "shelter", "a roof"], embedder, tmp_path)
    assert embedder.calls == [["shelter"]]
    assert made[:, 0].tolist() == [6, 7, 6]
    cached_vectors("rows", ["a roof", "a ride"], embedder, tmp_path)
    assert len(embedder.calls) == 1


def test_a_set_of_another_name_or_model_is_another_set(tmp_path: Path) -> None:
    cached_vectors("rows", ["a roof"], Lengths(), tmp_path)
    embedder, other = Lengths(), Lengths()
    other.name = "other"
    cached_vectors("rows-all", ["a roof"], embedder, tmp_path)
    cached_vectors("rows", ["a roof"], other, tmp_path)
    assert len(embedder.calls) == len(other.calls) == 1


def test_only_the_latest_sets_are_kept(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        cached_vectors("rows", [f"text {number}"], Lengths(), tmp_path)
    cached_vectors("rows-all", ["a roof"], Lengths(), tmp_path)
    assert len([*tmp_path.iterdir()]) == KEPT + 1


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    made = cached_vectors("rows", ["a roof"], Lengths(), tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"not an array")
    assert np.array_equal(cached_vectors("rows", ["a roof"], Lengths(), tmp_path), made)


def test_a_folder_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert cached_vectors("rows", ["a roof"], Lengths(), blocked / "deeper").shape == (1, 2)
