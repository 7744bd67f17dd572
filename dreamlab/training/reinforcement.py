"""Reinforcement with a checkable reward: what the base model draws and the check likes is made
likelier (TRL's GRPO).

Only questions are trained on whose answers the warm start gets right some of the time: where all
completions of a question earn the same, there is nothing to learn. Source: Shao et al.,
"DeepSeekMath", arXiv 2402.03300.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from dreamlab.training.frame import Job, adapted_model, arguments, following
from dreamlab.training.order import batches
from dreamlab.training.policy import (
    Draw,
    as_called,
    budget,
    check_reward,
    drawn,
    length,
    supervised_on,
    text_of,
    warm_start,
)

GROUP, PROMPTS = 8, 4
"""Completions drawn of a question at a time, and questions in a batch."""

RATE = 0.1
"""Peak learning rate, as a share of the setting's."""

DRAWS = 3
"""Completions drawn of a row to see whether there is something to learn."""

NEW_TOKENS = 64
"""Tokens that a completion may have, as TRL counts them; the base model stops earlier itself."""


def reinforced(job: Job) -> Any:
    """A TRL trainer that draws completions and learns from their rewards, from a warm start; a
    supervised one where all that the warm start writes of a question is worth the same.

    Raises:
        TrainingError: the job has no reward.
    """
    reward = check_reward(job)
    warm, before = warm_start(job)
    model = adapted_model(replace(job, parent=warm))
    chosen = undecided(drawn(job, model, DRAWS))
    if not chosen:
        model.unload()
        return supervised_on(job, warm, before)
    lengths = [length(job, row) for row in chosen]
    steps = max(1, round(budget(job) / (fmean(lengths) * GROUP * PROMPTS)))
    # A whole order makes resuming exact, which TRL's own is not beyond the first pass, and fills
    # its batches: of fewer questions than a batch has it would draw none.
    order = batches(lengths, steps * PROMPTS / len(chosen), job.seed, PROMPTS)[: steps * PROMPTS]
    asked = [job.rows[chosen[i]] for i in order]
    common = arguments(job, steps)
    common["per_device_train_batch_size"] = GROUP * PROMPTS
    common["learning_rate"] *= RATE
    import torch
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    base: Any = following(GRPOTrainer, job, before)

    class Trainer(base):
        """TRL's trainer that reads the embedded model's pointer."""

        def _get_per_token_logps_and_entropies(self, model: Any, *given: Any, **known: Any) -> Any:
            called = as_called(job, model, self.temperature)
            return super()._get_per_token_logps_and_entropies(called, *given, **known)

        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, Any],
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> torch.Tensor:
            self.tokens_seen += int(inputs["prompt_mask"].sum() + inputs["completion_mask"].sum())
            return super().compute_loss(model, inputs)

    def rollout(prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        drawing = trainer.accelerator.unwrap_model(trainer.model)
        drawing.eval()
        with torch.no_grad():
            # TRL repeats every prompt, one after the other.
            written = job.start.sample(drawing, prompts[::GROUP], GROUP, trainer.temperature)
        drawing.train()
        read = [job.start.prompt(prompt) for prompt in prompts]
        return {"prompt_ids": read, "completion_ids": written, "logprobs": None}

    def rewarded(
        prompts: Sequence[str],
        completion_ids: Sequence[Sequence[int]],
        expected: Sequence[str],
        **_: Any,
    ) -> list[float]:
        return reward(prompts, expected, [text_of(job, ids) for ids in completion_ids])

    tokenizer = copy.deepcopy(job.start.tokenizer)  # what is published stays as it is
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(job.start.end)
    return Trainer(
        model=model,
        reward_funcs=rewarded,
        rollout_func=rollout,
        args=GRPOConfig(
            **common,
            num_generations=GROUP,
            max_completion_length=NEW_TOKENS,
            temperature=1.0,
            beta=0.0,
            shuffle_dataset=False,
            disable_dropout=True,
        ),
        train_dataset=Dataset.from_list(
            [{"prompt": str(r["prompt"]), "expected": str(r["completion"])} for r in asked]
        ),
        processing_class=tokenizer,
    )


def undecided(draws: Sequence[Draw]) -> list[int]:
    """The rows whose drawn completions earn unequal rewards."""
    return [draw.row for draw in draws if max(draw.rewards) > min(draw.rewards)]
