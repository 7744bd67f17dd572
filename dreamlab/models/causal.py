"""A larger base model: any causal language model of the hub or a local folder, read as text.

It writes the same canonical completion as the embedded one, spelt out. Questions go through the
tokenizer's chat template when it has one. Only safetensors are loaded and no code that comes
with a model is run. No adapter is loaded or trained here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamlab.errors import ModelError
from dreamlab.models.compute import by_length
from dreamlab.models.embedding import quiet_transformers

if TYPE_CHECKING:
    import torch

CONTEXT = 1024
NEW_TOKENS = 64
BATCH = 16
IGNORED = -100
_WANTED = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"]


class TextModel:
    """A causal language model, and how questions and completions become its tensors."""

    part_ids: Sequence[int] = ()

    def __init__(self, base_model: str, half: bool, four_bits: bool = False) -> None:
        """Loads a local folder or a hub id, in bfloat16 or float32.

        `four_bits`: its weights in NF4, for training an adapter on them (QLoRA).

        Raises:
            ModelError: it is missing, unreadable, or has no safetensors, or its weights are to be
                quantized and bitsandbytes is not installed.
        """
        if four_bits and not find_spec("bitsandbytes"):
            raise ModelError(
                "DREAMLAB_TRAINING_WEIGHTS=4bit needs bitsandbytes: pip install 'dreamlab[qlora]'"
            )
        folder = _folder(base_model)
        quiet_transformers()
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        dtype = torch.bfloat16 if half else torch.float32
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            self.model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=dtype,
                quantization_config=_nf4(dtype) if four_bits else None,
            ).eval()
        except Exception as error:  # a door: the libraries below raise a dozen unrelated classes
            raise ModelError(
                f"cannot load base model {base_model!r}: {_line(error)}; DREAMLAB_BASE_MODEL takes "
                "'embedded', a hub id or a local folder with safetensors"
            ) from error
        if self.tokenizer.eos_token_id is None:
            raise ModelError(f"base model {base_model!r} has no end token in its tokenizer")
        if four_bits:
            from peft import prepare_model_for_kbit_training

            self.model = prepare_model_for_kbit_training(
                self.model, use_gradient_checkpointing=False
            )
        self.name = base_model
        self.sha256 = _sha256(folder)
        self.end: int = self.tokenizer.eos_token_id
        known = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        self.context = min(CONTEXT, (known or CONTEXT) - NEW_TOKENS)

    @property
    def lora(self) -> dict[str, Any]:
        """What an adapter adapts, as arguments of `peft.LoraConfig`."""
        return {"target_modules": "all-linear", "task_type": "CAUSAL_LM"}

    def prompt(self, question: str) -> list[int]:
        """The token ids of a question as the model is asked it; of a long one head and tail."""
        question = question.encode("utf-8", "replace").decode()
        ids = self._prompt(question)
        extra = len(ids) - self.context
        if extra > 0:
            words = self.tokenizer(question, add_special_tokens=False)["input_ids"]
            keep = max(2, len(words) - extra - 8)
            words = words[: keep // 2] + words[len(words) - keep // 2 :]
            ids = self._prompt(self.tokenizer.decode(words))[-self.context :]
        return ids

    def completion(self, text: str) -> list[int]:
        """The token ids of a canonical completion, the end token last."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return [*ids, self.end]

    def collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """A training batch, padded on the right: ids, mask and labels, each [B, L]."""
        import torch

        size = max(len(row["input_ids"]) for row in rows)
        ids = torch.full((len(rows), size), self._pad)
        labels = torch.full((len(rows), size), IGNORED)
        mask = torch.zeros((len(rows), size), dtype=torch.long)
        for i, row in enumerate(rows):
            tokens, p = torch.tensor(row["input_ids"]), row["prompt"]
            ids[i, : len(tokens)] = tokens
            mask[i, : len(tokens)] = 1
            labels[i, p : len(tokens)] = tokens[p:]
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    def token_count(self, batch: dict[str, torch.Tensor]) -> int:
        """The tokens of a training batch that are no padding."""
        return int(batch["attention_mask"].sum())

    def pass_of(
        self, model: Any, half: bool, compiled: bool = False
    ) -> Callable[[dict[str, torch.Tensor]], torch.Tensor]:
        """`loss` as a function of a batch, without padding, for a model in its adapter.

        It multiplies in the type that the model was loaded in.
        """
        from dreamlab.models.causal_pass import CausalPass

        return CausalPass(model, compiled).loss

    def loss(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean cross-entropy over the completions' tokens; prompts and padding do not count."""
        return model(**batch, use_cache=False).loss

    def complete(self, model: Any, questions: Sequence[str]) -> list[str]:
        """The greedy completion of each question, free to be malformed, without the end token."""
        prompts = [self.prompt(question) for question in questions]
        written = by_length(prompts, BATCH, partial(self._generate, model, {"do_sample": False}))
        texts = [[i for i in ids if i != self.end] for ids in written]
        return [self.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in texts]

    def sample(
        self, model: Any, questions: Sequence[str], times: int = 1, temperature: float = 1.0
    ) -> list[list[int]]:
        """Completions drawn at random, `times` for each question in turn, as token ids, the end
        token last."""
        prompts = [self.prompt(question) for question in questions for _ in range(times)]
        drawn = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        return by_length(prompts, BATCH, partial(self._generate, model, drawn))

    def _generate(
        self, model: Any, how: dict[str, Any], prompts: Sequence[list[int]]
    ) -> list[list[int]]:
        """The tokens written after each prompt, up to the end token and with it."""
        import torch

        size = max(len(prompt) for prompt in prompts)
        ids = torch.tensor([[self._pad] * (size - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (size - len(p)) + [1] * len(p) for p in prompts])
        output = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=NEW_TOKENS,
            **how,
            eos_token_id=self.end,
            pad_token_id=self._pad,
        )
        new = output[:, size:].tolist()
        return [row[: row.index(self.end) + 1] if self.end in row else row for row in new]

    @property
    def _pad(self) -> int:
        """A padding token that is not the end token: else a model never learns to stop."""
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None and pad != self.end else (0 if self.end != 0 else 1)

    def _prompt(self, question: str) -> list[int]:
        if self.tokenizer.chat_template:
            asked = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": question}],
                add_generation_prompt=True,
                tokenize=False,
            )
            return list(self.tokenizer(asked, add_special_tokens=False)["input_ids"])
        ids: list[int] = list(self.tokenizer(f"{question}\n")["input_ids"])
        return ids[:-1] if ids and ids[-1] == self.end else ids


def _folder(base_model: str) -> Path:
    local = Path(base_model).expanduser()
    if not local.is_dir():
        from huggingface_hub import snapshot_download

        try:
            local = Path(snapshot_download(base_model, allow_patterns=_WANTED))
        except Exception as error:  # a door: a name, the network or the hub may be at fault
            raise ModelError(
                f"cannot get base model {base_model!r}: {_line(error)}; DREAMLAB_BASE_MODEL takes "
                "'embedded', a hub id or a local folder with safetensors"
            ) from error
    if not any(local.glob("*.safetensors")):
        raise ModelError(f"base model {base_model!r} has no safetensors; choose one that has")
    return local


def _nf4(dtype: Any) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
