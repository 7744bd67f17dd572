"""One question now; or, in the downtime window, the questions deferred to the night."""

# Annotations are evaluated here: Prefect reads them through the decorator.
from typing import Annotated

from prefect import flow
from pydantic import Field

from dreamlab.orchestration import report, runs, tasks
from dreamlab.orchestration.queue import WorkedOff
from dreamlab.records import Experience


@flow(name="solve-task", flow_run_name="question", result_serializer="json")
@runs.told(tasks.current_lab, report.solving_ending)
def solve_task(task: Annotated[str, Field(max_length=4_000)] = "") -> Experience | WorkedOff:
    """Answer a question about social services with the team and the champion base model.

    Args:
        task: the question, as a person asks it. Empty: the tasks deferred to the night are
            answered, inside the downtime window only.
    """
    if task:
        return tasks.answer(task)
    return work_off()


def work_off() -> WorkedOff:
    """Answer the deferred tasks one by one, until the window closes."""
    waiting = tasks.waiting()
    budget = tasks.open_session(force=False)
    answered, stopped = 0, ""
    for deferred in waiting:
        if stopped := tasks.spent(budget):
            break
        tasks.answer_deferred(budget, deferred)
        answered += 1
    return tasks.worked_off(answered, stopped)
