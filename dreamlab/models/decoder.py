"""The base model as it answers: a start model, with or without a version's adapter, completing.

It writes freely: whether a completion is well formed is for `completion.py` to say.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dreamlab.errors import ModelError
from dreamlab.models.adapters import WEIGHTS, fits, fitted
from dreamlab.models.completion import CompletionFormat
from dreamlab.models.compute import load_torch, multiplies_bfloat16, one_thread, thread_count
from dreamlab.settings import EMBEDDED, Settings

if TYPE_CHECKING:
    import torch

CARD = "dreamlab.json"
"""Beside every adapter: its format's tokens, base model, parent and training."""


class StartModel(Protocol):
    """An untouched base model and how text becomes its tensors.

    `minilm_decoder.py` is the embedded one, `causal.py` any larger one.
    """

    name: str
    sha256: str
    end: int
    model: Any
    tokenizer: Any

    @property
    def part_ids(self) -> Sequence[int]:
        """The tokens of the format's parts and of the end; none for a model of text."""

    @property
    def lora(self) -> dict[str, Any]:
        """What an adapter adapts, as arguments of `peft.LoraConfig`."""

    def prompt(self, question: str) -> list[int]:
        """The token ids of a question."""

    def completion(self, text: str) -> list[int]:
        """The token ids of a completion, the end token last."""

    def collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """A training batch of rows with `input_ids` and the length of their `prompt`."""

    def token_count(self, batch: dict[str, torch.Tensor]) -> int:
        """The tokens of a training batch that are no padding."""

    def pass_of(
        self, model: Any, half: bool, compiled: bool = False
    ) -> Callable[[dict[str, torch.Tensor]], torch.Tensor]:
        """`loss` as a function of a batch, the fastest there is, for a model in its adapter.

        `half`: whether it may multiply in bfloat16; `compiled`: whether it may be compiled.
        """

    def loss(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean cross-entropy over the completions' tokens."""

    def complete(self, model: Any, questions: Sequence[str]) -> list[str]:
        """The greedy completion of each question."""

    def sample(
        self, model: Any, questions: Sequence[str], times: int = 1, temperature: float = 1.0
    ) -> list[list[int]]:
        """Completions drawn by torch's generator, `times` for each question in turn, as token ids
        with the end token."""


class Decoder:
    """A base model that completes questions. Safe to call from several threads."""

    def __init__(self, start: StartModel, model: Any) -> None:
        self.start = start
        self.model = model.eval()
        self._lock = threading.Lock()  # a fast tokenizer cannot be shared by two threads

    def complete(self, questions: Sequence[str]) -> list[str]:
        """The greedy completion of each question, in the same order, free to be malformed."""
        import torch

        if not questions:
            return []
        # Waking other threads for each of its few tokens costs one question more than it saves.
        threads = torch.get_num_threads()
        alone = one_thread(torch, threads) if len(questions) == 1 else nullcontext()
        with self._lock, torch.inference_mode(), alone:
            return self.start.complete(self.model, questions)


def load_start(
    base_model: str,
    completion_format: CompletionFormat,
    settings: Settings,
    *,
    training: bool = False,
) -> StartModel:
    """The untouched base model: `embedded`, a hub id or a local folder.

    For `training` its weights are loaded as the settings say; else in bfloat16 on a GPU that has
    it and in float32 elsewhere.

    Raises:
        ModelError: it cannot be loaded.
    """
    torch = load_torch(thread_count(settings))
    if base_model == EMBEDDED:
        from dreamlab.models.minilm_decoder import EmbeddedModel

        return EmbeddedModel(completion_format)
    from dreamlab.models.causal import TextModel

    if training:
        return TextModel(base_model, half(settings), settings.training_weights == "4bit")
    on_gpu = best_device() == "cuda"
    return TextModel(base_model, on_gpu and multiplies_bfloat16(torch, "cuda"))


def load_decoder(
    base_model: str, adapter: Path | None, format: CompletionFormat, settings: Settings
) -> Decoder:
    """The base model ready to complete, with the adapter of a version merged into it.

    Raises:
        ModelError: the model or the adapter is missing or corrupt, or the adapter was trained
            for another base model or another directory's facets.
    """
    start = load_start(base_model, format, settings)
    model = start.model
    if adapter is not None:
        check_card(adapter, start, format)
        model = with_adapter(start, adapter).merge_and_unload()
    return Decoder(start, model.to(best_device()))


def half(settings: Settings) -> bool:
    """Whether training multiplies in bfloat16 here."""
    import torch

    if settings.training_precision == "auto":
        return multiplies_bfloat16(torch, best_device())
    return settings.training_precision == "bfloat16"


def with_adapter(start: StartModel, adapter: Path, *, trainable: bool = False) -> Any:
    """The start model wrapped in an adapter by PEFT, which is made to fit the start model's parts;
    the start model is changed.

    Raises:
        ModelError: the adapter is missing or corrupt.
    """
    from peft import PeftModel

    if not (adapter / WEIGHTS).is_file():
        raise ModelError(f"no adapter_model.safetensors in {adapter}; restore it or roll back")
    try:
        with fitted(adapter, read_card(adapter).get("tokens", ()), start) as folder:
            return PeftModel.from_pretrained(start.model, str(folder), is_trainable=trainable)
    except ModelError:
        raise
    except Exception as error:  # a door: a damaged file raises whatever its reader raises
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise ModelError(
            f"cannot load the adapter in {adapter}: {reason}; restore it or roll back"
        ) from error


def read_card(adapter: Path) -> dict[str, Any]:
    """What is written beside an adapter about it.

    Raises:
        ModelError: it is missing or damaged.
    """
    try:
        card: dict[str, Any] = json.loads((adapter / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelError(
            f"{adapter / CARD} is missing or damaged; restore it or roll back"
        ) from None
    return card


def check_card(adapter: Path, start: StartModel, completion_format: CompletionFormat) -> None:
    """Refuse an adapter of another base model or of another directory altogether.

    Raises:
        ModelError: it is one, or its card is missing or damaged.
    """
    card = read_card(adapter)
    if card.get("base_sha256") != start.sha256:
        raise ModelError(
            f"the adapter in {adapter} was trained on {card.get('base_model')!r}, not on "
            f"{start.name!r}; set DREAMLAB_BASE_MODEL to that or train anew"
        )
    if not fits(card, start, completion_format.tokens):
        raise ModelError(
            f"the adapter in {adapter} was trained for other needs, groups or places than most "
            "of this directory's; run `dreamlab rollback 1` and train anew"
        )


def best_device() -> str:
    """`cuda`, else `mps`, else `cpu`."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
