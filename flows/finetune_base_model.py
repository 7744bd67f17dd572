"""What was learnt becomes a version: dataset, train, evaluate, gate, register."""

from __future__ import annotations

from prefect import flow

from dreamlab.orchestration import tasks
from dreamlab.records import TrainingReport


@flow(name="finetune-base-model", log_prints=False)
def finetune_base_model(
    min_examples: int | None = None, seed: int = 0, force: bool = False
) -> TrainingReport:
    """Fine-tune the base model on verified experiences; register it if the gate lets it pass.

    Args:
        min_examples: examples, new since the last training, without which none starts; empty
            means the setting min_examples_for_training.
        seed: of the training's shuffling and initialisation.
        force: run outside the downtime window; the run records it.
    """
    tasks.open_session(force=force)
    tasks.first_version()
    training = tasks.gather(min_examples, seed, force)
    if training.skipped:
        return TrainingReport(training)
    tasks.train(training)
    tasks.evaluate(training)
    verdict = tasks.decide(training)
    return tasks.conclude(training, verdict)
