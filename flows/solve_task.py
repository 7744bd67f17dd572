"""One question, answered by the team now."""

from __future__ import annotations

from prefect import flow

from dreamlab.orchestration import tasks
from dreamlab.records import Experience


@flow(name="solve-task", log_prints=False)
def solve_task(task: str) -> Experience:
    """Answer a question about social services with the team and the champion base model.

    Args:
        task: the question, as a person asks it.
    """
    return tasks.answer(task)
