from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from dreamlab.errors import ModelError
from dreamlab.models import embedding
from dreamlab.models.embedding import (
    MINILM_SHA256,
    TextEmbedder,
    check_sha256,
    open_embedder,
    packaged_minilm,
)
from dreamlab.settings import load_settings

TEXTS = [
    "x",
    "",
    "Where can my dad get a hot meal in Delano, he is 70?",
    "¿Dónde puedo encontrar comida?",
    "食べ物 \x00\x07 control",
    "word " * 1000,
    *(f"a question of length {n}" + " and more" * n for n in range(80)),
]


@pytest.fixture(scope="module")
def embedder() -> TextEmbedder:
    return open_embedder(load_settings(threads=2))


def test_importing_the_module_imports_no_heavy_library() -> None:
    code = (
        "import sys, dreamlab.models.embedding; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_packaged_weights_are_the_published_ones() -> None:
    assert (packaged_minilm() / "model.safetensors").is_file()
    assert MINILM_SHA256.startswith("53aa5117")
    assert MINILM_SHA256.endswith("28d9db")


def test_other_weights_are_refused_by_name_and_hash(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"model\.safetensors has sha256 .* reinstall"):
        check_sha256(weights, MINILM_SHA256)


def test_missing_weights_are_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read"):
        check_sha256(tmp_path / "model.safetensors", MINILM_SHA256)


def test_a_missing_package_is_a_model_error_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedding, "MINILM_PACKAGE", "no-such-package-here")
    with pytest.raises(ModelError, match="pip install no-such-package-here"):
        packaged_minilm.__wrapped__()


def test_vectors_are_those_of_sentence_transformers(embedder: TextEmbedder) -> None:
    settings = load_settings(embedding_model=str(packaged_minilm()), threads=2)
    reference = open_embedder(settings)
    assert reference.dimension == embedder.dimension == 384
    assert np.abs(reference.embed(TEXTS) - embedder.embed(TEXTS)).max() < 1e-5


def test_vectors_are_float32_unit_rows_in_the_order_of_the_texts(embedder: TextEmbedder) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for i in (0, 2, 5, len(TEXTS) - 1):
        assert np.abs(embedder.embed([TEXTS[i]])[0] - vectors[i]).max() < 1e-5


def test_no_texts_give_no_rows(embedder: TextEmbedder) -> None:
    assert embedder.embed([]).shape == (0, 384)


def test_a_lone_surrogate_is_read_as_a_replacement(embedder: TextEmbedder) -> None:
    assert np.array_equal(embedder.embed(["a\ud800b"]), embedder.embed(["a?b"]))


def test_threads_may_share_an_embedder(embedder: TextEmbedder) -> None:
    expected = embedder.embed(TEXTS)
    worst: list[float] = []

    def embed_all() -> None:
        worst.append(float(np.abs(embedder.embed(TEXTS) - expected).max()))

    threads = [threading.Thread(target=embed_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(worst) == 4
    assert max(worst) < 1e-5


def test_a_question_asked_again_is_not_encoded_again() -> None:
    seen: list[list[str]] = []

    def encode(texts: list[str]) -> np.ndarray:
        seen.append(texts)
        return np.ones((len(texts), 1), dtype=np.float32)

    embedder = TextEmbedder("counting", 1, encode)
    first = embedder.embed(["same"])
    first[:] = 7
    assert embedder.embed(["same"]) == [[1.0]]
    assert seen == [["same"]]


def test_an_unknown_local_model_is_a_model_error_that_names_it() -> None:
    with pytest.raises(ModelError, match=r"'/nowhere/at/all'.*DREAMLAB_EMBEDDING_MODEL") as caught:
        open_embedder(load_settings(embedding_model="/nowhere/at/all"))
    assert "\n" not in str(caught.value)
