"""What was learnt becomes a version: dataset, train, evaluate, gate, register."""

# Annotations are evaluated here: Prefect reads them through the decorator.
from typing import Annotated

from prefect import flow
from pydantic import Field

from dreamlab.orchestration import report, runs, tasks
from dreamlab.records import TrainingReport


@flow(name="finetune-base-model", flow_run_name="training", result_serializer="json")
@runs.told(tasks.current_lab, report.training_ending, nightly="training")
def finetune_base_model(
    min_examples: Annotated[int, Field(ge=1)] | None = None, seed: int = 0, force: bool = False
) -> TrainingReport:
    """Fine-tune the base model on verified experiences; register it if the gate lets it pass.

    Args:
        min_examples: examples, new since the last training, without which none starts; empty
            means the setting min_examples_for_training.
        seed: of the training's shuffling and initialisation.
        force: run outside the downtime window; the run records it.
    """
    budget = tasks.open_session(force=force)
    tasks.first_version(budget)
    training = tasks.gather(budget, min_examples, seed, force)
    if training.skipped:
        return TrainingReport(training)
    tasks.train(budget, training)
    tasks.evaluate(budget, training)
    verdict = tasks.decide(training)
    return tasks.conclude(training, verdict)
