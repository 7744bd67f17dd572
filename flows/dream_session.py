"""Tonight's dreams: plan, solve, check, reflect, remember, account."""

# Annotations are evaluated here: Prefect reads them through the decorator.
from typing import Annotated, Literal

from prefect import flow
from pydantic import Field

from dreamlab.orchestration import report, runs, tasks
from dreamlab.records import NightReport


@flow(name="dream-session", flow_run_name="night", result_serializer="json")
@runs.told(tasks.current_lab, report.night_ending, nightly="dreaming")
def dream_session(
    count: Annotated[int, Field(ge=1, le=10_000)] | None = None,
    strategy: Literal["curriculum", "breadth", "random"] | None = None,
    need: str = "",
    group: str = "",
    seed: int | None = None,
    again: bool = False,
    force: bool = False,
) -> NightReport:
    """Dream tonight's tasks inside the downtime window, resuming a night left unfinished.

    Args:
        count: dreams to plan; empty means the setting dream_task_count.
        strategy: curriculum, breadth or random; empty means the setting dream_strategy.
        need: dream of this need only, such as food; `dreamlab directory facets` lists them.
        group: dream of this group only, such as seniors.
        seed: reproduces a night; empty means one derived from its date.
        again: dream another night although tonight's is finished.
        force: run outside the window; the manifest records it.
    """
    budget = tasks.open_session(force=force)
    tasks.first_version(budget)
    plan = tasks.plan(budget, count, strategy, need, group, seed, again, force)
    stopped = tasks.solve_all(budget, plan)
    tasks.reflect(plan)
    return tasks.close(plan, stopped)
