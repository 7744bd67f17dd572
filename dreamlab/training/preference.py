"""Preference training: the right completion is made likelier than a wrong one (TRL's DPO).

The pairs are the team's verified completion over the base model's own: what it said when the dream
was dreamt, where that was worse, and what it writes now, where the reward says so. Source:
Rafailov et al., "Direct Preference Optimization", arXiv 2305.18290.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dreamlab.models.completion import CompletionFormat
from dreamlab.records import Example
from dreamlab.training.frame import Job, adapted_model, arguments, following
from dreamlab.training.order import BATCH, batches
from dreamlab.training.policy import (
    Draw,
    as_called,
    budget,
    check_reward,
    drawn,
    supervised_on,
    warm_start,
)

BETA = 0.1
"""How dearly leaving the warm start is paid for."""

SFT_WEIGHT = 0.5
"""Weight of the supervised loss on the chosen completion beside the preference loss."""

RATE = 0.1
"""Peak learning rate, as a share of the setting's."""

DRAWS, PASSES = 3, 4
"""Completions drawn of a row to find wrong ones, and passes over the pairs at most."""


def preferred(job: Job) -> Any:
    """A TRL trainer over pairs of completions, from a warm start; a supervised one where the warm
    start writes nothing wrong.

    Raises:
        TrainingError: the job has no reward.
    """
    check_reward(job)
    warm, before = warm_start(job)
    model = adapted_model(replace(job, parent=warm))
    rows = [_encoded(job, *pair) for pair in pairs(job, drawn(job, model, DRAWS))]
    if not rows:
        model.unload()
        return supervised_on(job, warm, before)
    sizes = [2 * len(r["prompt_ids"]) + len(r["chosen_ids"] + r["rejected_ids"]) for r in rows]
    passes = min(PASSES, budget(job) / sum(sizes))
    order = batches(sizes, passes, job.seed, BATCH // 2)
    used = sorted(set(order))
    common = arguments(job, math.ceil(len(order) / (BATCH // 2)))
    common["per_device_train_batch_size"] = BATCH // 2
    common["learning_rate"] *= RATE
    import torch
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    base: Any = following(DPOTrainer, job, before)

    class Trainer(base):
        """TRL's trainer that reads the embedded model's pointer, with its own reference pass."""

        def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
            return dataset

        def _precompute_ref_logps(self, dataset: Dataset, *_: Any) -> Dataset:
            self.model.eval()
            found: dict[str, list[float]] = {"ref_chosen_logps": [], "ref_rejected_logps": []}
            for begin in range(0, len(dataset), BATCH // 2):
                batch = self.data_collator([dataset[i] for i in _span(begin, len(dataset))])
                batch = self._prepare_inputs(batch)
                logps = self.compute_ref_log_probs(self.model, batch)
                for name, values in zip(found, logps, strict=True):
                    found[name] += values.tolist()
            for name, column in found.items():
                dataset = dataset.add_column(name, column)
            return dataset

        def compute_ref_log_probs(self, model: Any, inputs: Any) -> Any:
            return super().compute_ref_log_probs(as_called(job, model), inputs)

        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, Any],
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> torch.Tensor:
            self.tokens_seen += int(inputs["attention_mask"].sum())
            return super().compute_loss(as_called(job, model), inputs)

    trainer = Trainer(
        model=model,
        args=DPOConfig(
            **common,
            train_sampling_strategy="sequential",
            beta=BETA,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, SFT_WEIGHT],
            max_length=None,
            disable_dropout=True,
            precompute_ref_log_probs=True,
        ),
        train_dataset=Dataset.from_list([rows[i] for i in used]),
        processing_class=job.start.tokenizer,
    )
    trainer.train_dataset = trainer.train_dataset.select([used.index(i) for i in order])
    model.delete_adapter("ref")  # its odds are known now; saved beside the other it would mislead
    return trainer


def with_rejected(
    rows: Sequence[Mapping[str, Any]],
    examples: Sequence[Example],
    completion_format: CompletionFormat,
) -> list[dict[str, Any]]:
    """The rows of these examples, each with what the base model said wrongly then, if it did."""
    return [
        {**row, "rejected": completion_format.encode(example.rejected)}
        if example.rejected and completion_format.covers(example.rejected)
        else dict(row)
        for row, example in zip(rows, examples, strict=True)
    ]


def pairs(job: Job, draws: Sequence[Draw]) -> list[tuple[str, str, str]]:
    """Prompts with a right and a wrong completion each, none twice.

    Wrong is what was drawn with a lower reward than the expected completion's, the worst of a row
    first, and what a row names as `rejected`.
    """
    found: dict[tuple[str, str, str], None] = {}
    for row in job.rows:
        if row.get("rejected"):
            found[str(row["prompt"]), str(row["completion"]), str(row["rejected"])] = None
    for draw in draws:
        prompt, right = (str(job.rows[draw.row][name]) for name in ("prompt", "completion"))
        for reward, text in sorted(zip(draw.rewards, draw.written, strict=True)):
            if reward < draw.expected and text:
                found[prompt, right, text] = None
    return list(found)


def _encoded(job: Job, prompt: str, chosen: str, rejected: str) -> dict[str, list[int]]:
    return {
        "prompt_ids": job.start.prompt(prompt),
        "chosen_ids": job.start.completion(chosen),
        "rejected_ids": job.start.completion(rejected),
    }


def _span(begin: int, end: int) -> range:
    return range(begin, min(begin + BATCH // 2, end))
