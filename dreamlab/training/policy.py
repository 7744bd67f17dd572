"""What preference and reinforcement training share: a warm start, own completions, their odds.

Both go on from an adapter that supervised fine-tuning made of the same rows in the same night, and
train on what that adapter itself writes, judged by a reward. Which loss is minimised is theirs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from dreamlab.errors import TrainingError
from dreamlab.files import write_atomic
from dreamlab.models.decoder import CARD, half
from dreamlab.models.minilm_decoder import IGNORED, POINTER, EmbeddedModel
from dreamlab.training.frame import Job, Reward, Trained, finished, plan_of, run
from dreamlab.training.sft import supervised

if TYPE_CHECKING:
    import torch

SHARE = 0.25
"""Share of a training's tokens that come after supervised fine-tuning."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A row of the training and what the warm start wrote for it, with rewards, the expected
    completion's first."""

    row: int
    expected: float
    written: tuple[str, ...]
    rewards: tuple[float, ...]


def warm_start(job: Job) -> tuple[Path, Trained]:
    """The adapter that supervised fine-tuning makes of the job's rows with its share of the
    tokens, and how that went; it is kept in the job's working folder, and resumes there."""
    folder = job.work / "warm"
    epochs = job.settings.training_epochs * (1 - SHARE)
    settings = job.settings.model_copy(update={"training_epochs": epochs})
    warm = replace(job, strategy="sft", settings=settings, work=job.work / ".warm.training")
    if (folder / CARD).is_file():
        return folder, finished(folder, plan_of(warm))
    trainers: list[Any] = []

    def supervised_first(job: Job) -> Any:
        trainers.append(supervised(job))
        return trainers[0]

    trained = run(warm, supervised_first, folder)
    trainers[0].model.unload()  # the start model is free for the next trainer's adapter
    return folder, trained


def supervised_on(job: Job, warm: Path, before: Trained) -> Any:
    """The trainer of a job that has nothing to learn from its own completions: more of the same."""
    settings = job.settings.model_copy(
        update={"training_epochs": job.settings.training_epochs * SHARE}
    )
    return supervised(replace(job, parent=warm, settings=settings), before)


def budget(job: Job) -> int:
    """Tokens that are left for what follows the warm start."""
    passes = sum(length(job, row) for row in range(len(job.rows)))
    return round(passes * job.settings.training_epochs * SHARE)


def length(job: Job, row: int) -> int:
    """Tokens of a row's prompt and completion."""
    prompt, completion = (str(job.rows[row][name]) for name in ("prompt", "completion"))
    return len(job.start.prompt(prompt)) + len(job.start.completion(completion))


def check_reward(job: Job) -> Reward:
    """The job's reward.

    Raises:
        TrainingError: it has none.
    """
    if job.reward is None:
        raise TrainingError(f"the strategy {job.strategy!r} needs a reward; train with 'sft'")
    return job.reward


def drawn(job: Job, model: Any, times: int) -> list[Draw]:
    """What the model writes for a random choice of the rows, `times` each, with its rewards.

    Kept in the working folder, so that a resumed training has the same.
    """
    kept = job.work / "drawn.json"
    if kept.is_file():
        return [Draw(**draw) for draw in json.loads(kept.read_text(encoding="utf-8"))]
    import torch
    from transformers import set_seed

    set_seed(job.seed)
    # As many rows as supervised fine-tuning would have learnt instead.
    count = min(len(job.rows), math.ceil(len(job.rows) * job.settings.training_epochs * SHARE))
    chosen = sorted(Random(job.seed).sample(range(len(job.rows)), count))
    prompts = [str(job.rows[i]["prompt"]) for i in chosen for _ in range(times)]
    expected = [str(job.rows[i]["completion"]) for i in chosen for _ in range(times)]
    model.eval()
    asked = [str(job.rows[i]["prompt"]) for i in chosen]
    with torch.inference_mode():
        written = [text_of(job, ids) for ids in job.start.sample(model, asked, times)]
    reward = check_reward(job)
    found, best = reward(prompts, expected, written), reward(prompts, expected, expected)
    draws = []
    for k, i in enumerate(chosen):
        own = slice(k * times, (k + 1) * times)
        draws.append(Draw(i, best[own.start], tuple(written[own]), tuple(found[own])))
    named = [{name: getattr(d, name) for name in Draw.__slots__} for d in draws]
    write_atomic(kept, json.dumps(named, ensure_ascii=False))
    return draws


def text_of(job: Job, ids: Sequence[int]) -> str:
    """A drawn completion as text, without its end token."""
    words = [i for i in ids if i != job.start.end]
    return str(job.start.tokenizer.decode(words, skip_special_tokens=True)).strip()


class Pointing:
    """The embedded model as TRL's trainers call one: log-probabilities of completions.

    They ask the model for those of its output rows and would skip the pointer; here they are
    those of what the model may write, as it is decoded.
    """

    def __init__(
        self, start: EmbeddedModel, model: Any, temperature: float = 1.0, half: bool = False
    ) -> None:
        self.start = start
        self.model = model
        self.temperature = temperature
        self.half = half

    def __call__(
        self,
        *,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor,
        **_: Any,
    ) -> SimpleNamespace:
        """For tokens [B, L] what TRL reads of its output, each [B, L - 1] and 0 where no
        completion is; `labels` are the completions' tokens."""
        import torch

        rows, begun = [], []
        for ids, seen, label in zip(input_ids, attention_mask.bool(), labels, strict=True):
            prompt = ids[seen & (label == IGNORED)].tolist()
            completion = ids[seen & (label != IGNORED)].tolist()
            rows.append({"input_ids": [*prompt, *completion], "prompt": len(prompt)})
            begun += [(prompt, completion[:k]) for k in range(len(completion))]
        device = input_ids.device
        batch = {name: value.to(device) for name, value in self.start.collate(rows).items()}
        scores, chosen = self._logits(batch)
        scores = scores / self.temperature
        allowed = self.start.allowed(begun).to(device)
        # What stands in a pair but could not have been written keeps its odds finite.
        allowed[torch.arange(len(chosen)), chosen] = True
        odds = scores.masked_fill(~allowed, -torch.inf).log_softmax(-1)
        entropy = -(odds.exp() * odds.masked_fill(~allowed, 0.0)).sum(-1)
        told = {
            "log_probs": odds.gather(-1, chosen[:, None])[:, 0],
            "entropy": entropy,
            "mean_logits": scores.detach().mean(-1),
            "is_top1": odds.argmax(-1) == chosen,
        }
        where = labels != IGNORED
        return SimpleNamespace(
            **{name: _placed(value, where)[:, 1:] for name, value in told.items()}, aux_loss=None
        )

    def _logits(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits of every label [N, vocabulary], and the labels [N]."""
        from peft import PeftModel

        from dreamlab.models.minilm_pass import TrainingPass

        if isinstance(self.model, PeftModel):
            passing = TrainingPass(
                self.model, self.start.part_ids, POINTER, self.half, dropout=False
            )
            return passing.logits(batch)
        learnt = batch["labels"] != IGNORED
        return self.start.logits(self.model, batch)[learnt], batch["labels"][learnt]


def as_called(job: Job, model: Any, temperature: float = 1.0) -> Any:
    """The model as TRL shall call it."""
    start = job.start
    if not isinstance(start, EmbeddedModel):
        return model
    return Pointing(start, model, temperature, half(job.settings))


def _placed(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """A tensor of `where`'s shape that holds the values, in order, where it is True."""
    return values.new_zeros(where.shape).masked_scatter(where, values)
