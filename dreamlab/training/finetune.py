"""The training door: examples and a parent in, an adapter folder out (TRL, PEFT, torch).

Supervised fine-tuning of a LoRA adapter with the loss on completions only. Everything is written
to a working folder beside the target, which a killed training resumes from, and the finished
adapter is renamed into place. What is learnt and whether it is any good is decided elsewhere.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from dreamlab.errors import DreamLabError, ModelError, TrainingError
from dreamlab.models.completion import CompletionFormat
from dreamlab.models.decoder import (
    CARD,
    StartModel,
    best_device,
    load_start,
    read_card,
    with_adapter,
)
from dreamlab.settings import Settings
from dreamlab.training.checkpoints import last_checkpoint

BATCH = 16
CHECKPOINTS = 6
"""Checkpoints written over one training; the last two are kept."""

_WARMUP = 0.1
_WINDOW = 8

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training: its adapter folder and how it went.

    `seconds` is wall-clock time in training steps, all attempts together; `loss` the mean over
    the last points of `history`, whose points are {step, loss, learning_rate, seconds, tokens}.
    """

    folder: Path
    seconds: float
    steps: int
    examples: int
    loss: float
    history: tuple[Mapping[str, float], ...] = ()


def finetune(
    rows: Sequence[Mapping[str, Any]],
    *,
    base_model: str,
    format: CompletionFormat,
    settings: Settings,
    folder: Path,
    parent: Path | None,
    seed: int,
    progress: Progress | None = None,
) -> Trained:
    """Train an adapter on `rows` and leave it in `folder`, in safetensors with its card.

    It goes on from the parent's adapter, or afresh where the parent has another completion
    format or base model. The same arguments again resume a killed training, and return a
    finished one; same arguments, same adapter.

    Args:
        rows: each with the texts `prompt` (a question) and `completion` (the canonical one).
        base_model: `embedded`, a hub id or a local folder.
        format: the parts a completion may have.
        settings: epochs, peak learning rate, rank and threads.
        folder: where the adapter shall be; its working folder lies beside it.
        parent: adapter folder of the version to go on from.
        seed: of the order of examples, of dropout and of the adapter's start.
        progress: called with (steps done, steps in all).

    Raises:
        TrainingError: there are no rows, `folder` is in use, or it cannot be written.
        ModelError: the base model or the parent's adapter cannot be loaded.
    """
    if not rows:
        raise TrainingError("there are no examples to train on; dream first")
    start = load_start(base_model, format, settings)
    parent = parent if parent and _continues(parent, start, format) else None
    plan = _plan(rows, start, format, settings, parent, seed)
    if (folder / CARD).is_file():
        return _finished(folder, plan)
    work = folder.with_name(f".{folder.name}.training")
    try:
        _prepare(work, plan)
        trainer = _trainer(start, rows, settings, work, parent, seed, progress)
        trainer.train(resume_from_checkpoint=_resumable(work))
        return _publish(start, trainer, format, plan, parent, len(rows), work, folder)
    except DreamLabError:
        raise
    except Exception as error:  # a door: a full disk surfaces as several unrelated classes
        raise TrainingError(
            f"training in {folder.parent} stopped: {_line(error)}; free space, fix its rights or "
            "set DREAMLAB_HOME, then run it again to resume"
        ) from error


def batches(lengths: Sequence[int], epochs: float, seed: int, size: int = BATCH) -> list[int]:
    """The order in which rows are trained on, `size` at a time: a pure function of its arguments.

    Each epoch is shuffled, cut into windows of eight batches and each window sorted by length, so
    that rows of like length meet in a batch; the batches of a window are shuffled again. A whole
    order that is fixed beforehand makes resuming exact.
    """
    rng = Random(seed)
    stream: list[int] = []
    while len(stream) < math.ceil(len(lengths) * epochs):
        stream += rng.sample(range(len(lengths)), len(lengths))
    stream = stream[: math.ceil(len(lengths) * epochs)]
    order: list[int] = []
    for begin in range(0, len(stream), size * _WINDOW):
        window = sorted(stream[begin : begin + size * _WINDOW], key=lambda i: lengths[i])
        grouped = [window[k : k + size] for k in range(0, len(window), size)]
        whole, rest = [g for g in grouped if len(g) == size], [g for g in grouped if len(g) < size]
        rng.shuffle(whole)
        order += [i for group in [*whole, *rest] for i in group]
    return order


def _trainer(
    start: StartModel,
    rows: Sequence[Mapping[str, Any]],
    settings: Settings,
    work: Path,
    parent: Path | None,
    seed: int,
    progress: Progress | None,
) -> Any:
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    import torch
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig, get_peft_model
    from transformers import TrainerCallback, set_seed
    from trl import SFTConfig, SFTTrainer

    disable_progress_bars()
    set_seed(seed)
    if parent:
        model = with_adapter(start, parent, trainable=True)
    else:
        rank = settings.lora_rank
        model = get_peft_model(start.model, LoraConfig(r=rank, lora_alpha=rank, **start.lora))
    # PEFT would write the whole word embeddings beside an adapter that only adds tokens to them.
    model.save_pretrained = functools.partial(model.save_pretrained, save_embedding_layers=False)
    encoded = [_encoded(start, row) for row in rows]
    order = batches([len(e["input_ids"]) for e in encoded], settings.training_epochs, seed)
    steps = math.ceil(len(order) / BATCH)
    on_cuda = best_device() == "cuda"

    class Trainer(SFTTrainer):
        """TRL's trainer with the start model's own loss, and seconds and tokens in its log."""

        tokens_seen = 0
        seconds_before = 0.0
        began = 0.0

        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, Any],
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> torch.Tensor:
            # TRL's fused head would skip what lies between the encoder and the output rows.
            self.tokens_seen += int(inputs["input_ids"].numel())
            return start.loss(model, inputs)

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            if "loss" in logs:
                spent = self.seconds_before + time.perf_counter() - self.began
                logs = {**logs, "seconds": round(spent, 3), "tokens": self.tokens_seen}
            super().log(logs, start_time)

    class Follow(TrainerCallback):
        """Tells how far the training is; takes clock and token count over from a checkpoint."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            points = _points(state.log_history)
            trainer.seconds_before = points[-1]["seconds"] if points else 0.0
            trainer.tokens_seen = int(points[-1]["tokens"]) if points else 0
            trainer.began = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if progress:
                progress(state.global_step, state.max_steps)

    trainer = Trainer(
        model=model,
        args=SFTConfig(
            output_dir=str(work),
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            train_sampling_strategy="sequential",
            learning_rate=settings.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=max(1, round(steps * _WARMUP)),
            weight_decay=0.0,
            bf16=on_cuda and torch.cuda.is_bf16_supported(),
            use_cpu=best_device() == "cpu",
            gradient_checkpointing=False,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
            max_length=None,
            dataloader_num_workers=0,
            dataloader_pin_memory=on_cuda,
            logging_steps=max(1, steps // 50),
            save_strategy="steps",
            save_steps=max(1, math.ceil(steps / CHECKPOINTS)),
            save_total_limit=2,
            report_to="none",
            disable_tqdm=True,
            seed=seed,
        ),
        data_collator=start.collate,
        train_dataset=Dataset.from_list(encoded).select(order),
        processing_class=start.tokenizer,
        callbacks=[Follow()],
    )
    for name in ("PrinterCallback", "ProgressCallback"):
        for callback in list(trainer.callback_handler.callbacks):
            if type(callback).__name__ == name:
                trainer.remove_callback(callback)
    return trainer


def _encoded(start: StartModel, row: Mapping[str, Any]) -> dict[str, Any]:
    prompt = start.prompt(str(row["prompt"]))
    completion = start.completion(str(row["completion"]))
    return {"input_ids": [*prompt, *completion], "prompt": len(prompt)}


def _continues(parent: Path, start: StartModel, completion_format: CompletionFormat) -> bool:
    card = read_card(parent)
    return bool(
        card["base_sha256"] == start.sha256 and card["tokens"] == list(completion_format.tokens)
    )


def _plan(
    rows: Sequence[Mapping[str, Any]],
    start: StartModel,
    completion_format: CompletionFormat,
    settings: Settings,
    parent: Path | None,
    seed: int,
) -> str:
    """A hash of all that decides where a training ends, so that only the same one resumes."""
    facts = [
        [[row["prompt"], row["completion"]] for row in rows],
        [start.sha256, completion_format.tokens, seed, BATCH],
        [settings.training_epochs, settings.learning_rate, settings.lora_rank],
        read_card(parent)["plan"] if parent else None,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _prepare(work: Path, plan: str) -> None:
    mark = work / "plan"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != plan:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        mark.write_text(plan, encoding="utf-8")


def _resumable(work: Path) -> str | None:
    checkpoint = last_checkpoint(work)
    for path in work.glob("checkpoint-*"):
        # What lies beyond would be found first by the next look, broken as it is.
        if checkpoint is None or path.stat().st_mtime > checkpoint.stat().st_mtime:
            shutil.rmtree(path, ignore_errors=True)
    return str(checkpoint) if checkpoint else None


def _publish(
    start: StartModel,
    trainer: Any,
    completion_format: CompletionFormat,
    plan: str,
    parent: Path | None,
    examples: int,
    work: Path,
    folder: Path,
) -> Trained:
    history = _points(trainer.state.log_history)
    final = work / "final"
    shutil.rmtree(final, ignore_errors=True)
    trainer.model.save_pretrained(str(final))
    start.tokenizer.save_pretrained(str(final))
    for page in final.glob("README.md"):  # names a model card that we do not fill in
        page.unlink()
    last = history[-5:]
    card = {
        "tokens": list(completion_format.tokens),
        "base_model": start.name,
        "base_sha256": start.sha256,
        "parent": read_card(parent)["plan"] if parent else None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "plan": plan,
        "examples": examples,
        "steps": trainer.state.global_step,
        "seconds": history[-1]["seconds"] if history else 0.0,
        "loss": sum(p["loss"] for p in last) / len(last) if last else 0.0,
        "history": history,
    }
    (final / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(final, folder)
    shutil.rmtree(work, ignore_errors=True)
    return _finished(folder, plan)


def _finished(folder: Path, plan: str) -> Trained:
    try:
        card = read_card(folder)
    except ModelError as error:
        raise TrainingError(str(error)) from None
    if card["plan"] != plan:
        raise TrainingError(f"{folder} holds the result of another training; choose another folder")
    return Trained(
        folder=folder,
        seconds=card["seconds"],
        steps=card["steps"],
        examples=card["examples"],
        loss=card["loss"],
        history=tuple(card["history"]),
    )


def _points(log: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    names = ("step", "loss", "learning_rate", "seconds", "tokens")
    return [{name: float(entry[name]) for name in names} for entry in log if "loss" in entry]


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
