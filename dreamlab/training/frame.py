"""The frame around every training: what is the same whatever a strategy minimises.

A working folder beside the target that a killed training resumes from, the adapter that is
trained, the clock and the log, and the finished adapter renamed into place with its card. A
strategy (`sft.py` is one) turns a `Job` into a trainer; what it learns is its own affair, and
whether it is any good is decided elsewhere.
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
from typing import Any

from dreamlab.errors import ModelError, TrainingError
from dreamlab.models.adapters import fits
from dreamlab.models.completion import CompletionFormat
from dreamlab.models.decoder import CARD, StartModel, best_device, half, read_card, with_adapter
from dreamlab.settings import Settings
from dreamlab.training.checkpoints import last_checkpoint
from dreamlab.training.order import BATCH

CHECKPOINTS = 6
"""Checkpoints written over one training; the last two are kept."""

_WARMUP = 0.1

Progress = Callable[[int, int], None]

Reward = Callable[[Sequence[str], Sequence[str], Sequence[str]], list[float]]
"""How good completions are, 1 at most: of prompts, the expected completions and those written."""


@dataclass(frozen=True, slots=True)
class Job:
    """One training: everything that decides where it ends, and who is told how far it is.

    `rows` hold the texts that the strategy asks for, `work` is its working folder and `parent` the
    adapter that it goes on from. `reward` judges what a model writes, where a strategy asks.
    """

    strategy: str
    rows: Sequence[Mapping[str, Any]]
    start: StartModel
    format: CompletionFormat
    settings: Settings
    work: Path
    parent: Path | None
    seed: int
    progress: Progress | None = None
    reward: Reward | None = None


Strategy = Callable[[Job], Any]
"""Makes the trainer of a job: a `transformers.Trainer`, or one like it, made by `following`."""


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


def run(job: Job, strategy: Strategy, folder: Path) -> Trained:
    """Train as the strategy says, from the last checkpoint of the same job, and publish."""
    plan = plan_of(job)
    _prepare(job.work, plan)
    trainer = strategy(job)
    trainer.train(resume_from_checkpoint=_resumable(job.work))
    return _publish(job, trainer, plan, folder)


def adapted_model(job: Job) -> Any:
    """The start model in a trainable adapter: the parent's, or a fresh one from the job's seed."""
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    set_seed(job.seed)
    if job.parent:
        model = with_adapter(job.start, job.parent, trainable=True)
    else:
        rank = job.settings.lora_rank
        model = get_peft_model(
            job.start.model, LoraConfig(r=rank, lora_alpha=rank, **job.start.lora)
        )
    # PEFT would write the whole word embeddings beside an adapter that only adds tokens to them.
    model.save_pretrained = functools.partial(model.save_pretrained, save_embedding_layers=False)
    return model


def arguments(job: Job, steps: int) -> dict[str, Any]:
    """What every trainer is configured with, as arguments of `TrainingArguments`."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from datasets import disable_progress_bars

    disable_progress_bars()
    on_cuda = best_device() == "cuda"
    return {
        "output_dir": str(job.work),
        "max_steps": steps,
        "per_device_train_batch_size": BATCH,
        "learning_rate": job.settings.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": max(1, round(steps * _WARMUP)),
        "weight_decay": 0.0,
        "bf16": on_cuda and half(job.settings),
        "use_cpu": best_device() == "cpu",
        "gradient_checkpointing": job.settings.training_checkpointing,
        "remove_unused_columns": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": on_cuda,
        "logging_steps": max(1, steps // 50),
        "save_strategy": "steps",
        "save_steps": max(1, math.ceil(steps / CHECKPOINTS)),
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": job.seed,
    }


def following(trainer_class: Any, job: Job, before: Trained | None = None) -> Any:
    """The trainer class with seconds and tokens in its log, silent, and telling its progress.

    The trainer counts the tokens that it trained on in `tokens_seen`. A resumed training goes on
    from the clock and the count of its checkpoint, one that follows another stage of the same
    training from those of `before`.
    """
    from transformers import TrainerCallback

    class Following(trainer_class):
        """A trainer that keeps its own clock."""

        def __init__(self, *given: Any, **known: Any) -> None:
            super().__init__(*given, **known)
            self.tokens_seen = 0
            self.seconds_before = 0.0
            self.began = 0.0
            self.before = before
            for callback in list(self.callback_handler.callbacks):
                if type(callback).__name__ in ("PrinterCallback", "ProgressCallback"):
                    self.remove_callback(callback)
            self.add_callback(Follow(self))

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            if "loss" in logs:
                spent = self.seconds_before + time.perf_counter() - self.began
                logs = {**logs, "seconds": round(spent, 3), "tokens": self.tokens_seen}
            super().log(logs, start_time)

    class Follow(TrainerCallback):
        """Tells how far the training is; takes clock and token count over from a checkpoint."""

        def __init__(self, trainer: Any) -> None:
            self.trainer = trainer

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            points = _points(state.log_history) or (before.history if before else ())
            self.trainer.seconds_before = points[-1]["seconds"] if points else 0.0
            self.trainer.tokens_seen = int(points[-1]["tokens"]) if points else 0
            self.trainer.began = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if job.progress:
                job.progress(state.global_step, state.max_steps)

    return Following


def continues(parent: Path, start: StartModel, completion_format: CompletionFormat) -> bool:
    """Whether a parent's adapter is one of this start model, and of use for this format."""
    card = read_card(parent)
    return card["base_sha256"] == start.sha256 and fits(card, start, completion_format.tokens)


def plan_of(job: Job) -> str:
    """A hash of all that decides where a training ends, so that only the same one resumes."""
    facts = [
        [job.strategy, [dict(row) for row in job.rows]],
        [job.start.sha256, job.format.tokens, job.seed, BATCH],
        [job.settings.training_epochs, job.settings.learning_rate, job.settings.lora_rank],
        [job.settings.training_precision, job.settings.training_weights],
        read_card(job.parent)["plan"] if job.parent else None,
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


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


def _publish(job: Job, trainer: Any, plan: str, folder: Path) -> Trained:
    before: Trained | None = trainer.before
    done = before.steps if before else 0
    history = [dict(point) for point in before.history] if before else []
    history += [{**p, "step": p["step"] + done} for p in _points(trainer.state.log_history)]
    final = job.work / "final"
    shutil.rmtree(final, ignore_errors=True)
    trainer.model.save_pretrained(str(final))
    job.start.tokenizer.save_pretrained(str(final))
    for page in final.glob("README.md"):  # names a model card that we do not fill in
        page.unlink()
    last = history[-5:]
    card = {
        "strategy": job.strategy,
        "tokens": list(job.format.tokens),
        "base_model": job.start.name,
        "base_sha256": job.start.sha256,
        "parent": read_card(job.parent)["plan"] if job.parent else None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "plan": plan,
        "examples": len(job.rows),
        "steps": done + trainer.state.global_step,
        "seconds": history[-1]["seconds"] if history else 0.0,
        "loss": sum(p["loss"] for p in last) / len(last) if last else 0.0,
        "history": history,
    }
    (final / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(final, folder)
    shutil.rmtree(job.work, ignore_errors=True)
    return finished(folder, plan)


def finished(folder: Path, plan: str) -> Trained:
    """The training that ended in `folder`.

    Raises:
        TrainingError: it was another one, or its card is damaged.
    """
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
