"""Supervised fine-tuning: a completion is learnt word for word, the loss on completions only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dreamlab.models.decoder import StartModel, best_device, half
from dreamlab.training.frame import Job, Trained, adapted_model, arguments, following
from dreamlab.training.order import BATCH, batches


def supervised(job: Job, before: Trained | None = None) -> Any:
    """A TRL trainer over rows with a `prompt` and its `completion`, after the stage `before`."""
    adapted = adapted_model(job)
    if not getattr(job.start.model, "is_quantized", False):  # else it is where it belongs
        adapted = adapted.to(best_device())
    loss = job.start.pass_of(adapted, half(job.settings), job.settings.training_compile)
    encoded = [_encoded(job.start, row) for row in job.rows]
    order = batches([len(e["input_ids"]) for e in encoded], job.settings.training_epochs, job.seed)
    common = arguments(job, math.ceil(len(order) / BATCH))
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    base: Any = following(SFTTrainer, job, before)

    class Trainer(base):
        """TRL's trainer with the start model's own loss."""

        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, Any],
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> torch.Tensor:
            # TRL's fused head would skip what lies between the encoder and the output rows.
            self.tokens_seen += job.start.token_count(inputs)
            # Several processes average gradients in the wrapper that the written-out pass skips.
            return loss(inputs) if model is adapted else job.start.loss(model, inputs)

    return Trainer(
        model=adapted,
        args=SFTConfig(
            **{**common, "bf16": False},  # the pass knows what to multiply in
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
            max_length=None,
        ),
        data_collator=job.start.collate,
        train_dataset=Dataset.from_list(encoded).select(order),
        processing_class=job.start.tokenizer,
    )


def _encoded(start: StartModel, row: Mapping[str, Any]) -> dict[str, Any]:
    prompt = start.prompt(str(row["prompt"]))
    completion = start.completion(str(row["completion"]))
    return {"input_ids": [*prompt, *completion], "prompt": len(prompt)}
