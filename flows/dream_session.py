"""Tonight's dreams: plan, solve, check, reflect, remember, account."""

from __future__ import annotations

from prefect import flow

from dreamlab.orchestration import tasks
from dreamlab.records import NightReport


@flow(name="dream-session", log_prints=False)
def dream_session(
    count: int | None = None,
    strategy: str | None = None,
    need: str = "",
    group: str = "",
    seed: int | None = None,
    again: bool = False,
    force: bool = False,
) -> NightReport:
    """Dream tonight's tasks inside the downtime window, resuming a night left unfinished.

    Args:
        count: dreams to plan; empty means the setting dream_task_count.
        strategy: weakness, breadth or random; empty means the setting dream_strategy.
        need: dream of this need only.
        group: dream of this group only.
        seed: reproduces a night.
        again: dream another night although tonight's is finished.
        force: run outside the window; the manifest records it.
    """
    budget = tasks.open_session(force=force)
    tasks.first_version()
    plan = tasks.plan(count, strategy, need, group, seed, again, force)
    stopped = ""
    for batch in tasks.batches(plan):
        if stopped := tasks.spent(budget):
            break
        tasks.solve(plan, batch)
    tasks.reflect(plan)
    return tasks.close(plan, stopped)
