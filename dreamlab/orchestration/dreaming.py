"""The steps of a night's dreams, each a function of a lab: plan, solve, reflect, close.

Every step may be repeated: a plan is fixed on disk before the first dream is solved, rows are
keyed by night and task, and the manifest is written last. It decides nothing about when.
"""

from __future__ import annotations

import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from dreamlab.errors import NightError, NothingToDo, StorageError, WindowClosed
from dreamlab.files import write_atomic
from dreamlab.lab import Lab
from dreamlab.orchestration import arms, traces
from dreamlab.orchestration.budget import Budget
from dreamlab.orchestration.report import dreams_markdown
from dreamlab.orchestration.retention import expire_questions
from dreamlab.orchestration.window import Window
from dreamlab.records import (
    OPEN_KINDS,
    Experience,
    MemoryKind,
    ModelUse,
    NightReport,
    Plan,
    Role,
    Task,
    TaskKind,
    from_json,
    to_json,
)
from dreamlab.training.registry import NIGHTS

R = TypeVar("R")
_writing = threading.Lock()  # batches may be under way in several threads; memory has one writer
BATCH = 12
"""Dreams solved in one step: the window is asked between steps."""
PLAN, MANIFEST, REPORT = "plan.json", "manifest.json", "report.md"


def window_of(lab: Lab) -> Window:
    """The lab's downtime window."""
    s = lab.settings
    return Window(s.downtime_start_hour, s.downtime_end_hour, s.zone)


def open_session(lab: Lab, *, force: bool) -> Budget:
    """What a session that starts now may spend; a forced one is not bound by the window.

    Raises:
        WindowClosed: the window is closed and `force` is not set.
    """
    lab.refresh()
    now, window = lab.now(), window_of(lab)
    if not force and not window.contains(now):
        opens = window.opens(now).astimezone(window.zone)
        raise WindowClosed(
            f"outside the downtime window ({window}), which opens {opens:%a %H:%M}; "
            "use --force to run now"
        )
    closes = None if force else window.closes(now)
    return Budget(now, lab.settings.dream_duration, closes)


def manifest(lab: Lab, night: str) -> NightReport | None:
    """The manifest of a night, None while it has none.

    Raises:
        StorageError: the file is damaged.
    """
    return _read(lab.settings.nights_path / night / MANIFEST, NightReport)


def last_manifest(lab: Lab) -> NightReport | None:
    """The manifest of the latest finished night, None before the first."""
    nights = sorted(lab.settings.nights_path.glob(f"*/{MANIFEST}"))
    return _read(nights[-1], NightReport) if nights else None


def tonight(lab: Lab) -> NightReport | None:
    """The manifest of the night that it is now, if it is finished and nothing is left over."""
    return None if unfinished(lab) else manifest(lab, window_of(lab).night(lab.now()))


def unfinished(lab: Lab) -> list[Plan]:
    """Plans of nights that have no manifest yet, the oldest first: they are resumed."""
    folders = sorted(p.parent for p in lab.settings.nights_path.glob(f"*/{PLAN}"))
    plans = [_read(f / PLAN, Plan) for f in folders if not (f / MANIFEST).exists()]
    return [plan for plan in plans if plan]


def plan_night(
    lab: Lab,
    *,
    count: int | None = None,
    strategy: str | None = None,
    need: str = "",
    group: str = "",
    seed: int | None = None,
    again: bool = False,
    force: bool = False,
) -> Plan:
    """The plan to dream now: an unfinished night's, else a new one for tonight, kept on disk.

    Args:
        lab: the lab that dreams.
        count: dreams to plan; by default the setting `dream_task_count`.
        strategy: how to choose them; by default the setting `dream_strategy`.
        need: dream of this need only.
        group: dream of this group only.
        seed: reproduces a night; by default derived from its key.
        again: plan another night although tonight's is finished.
        force: the session may run outside the window; recorded.

    Raises:
        NightError: tonight is finished and `again` is not asked for, or no dream can be made.
    """
    pending = unfinished(lab)
    if pending:
        return pending[0]
    now = lab.now()
    first = window_of(lab).night(now)
    night = free_key(first, lambda key: manifest(lab, key) is not None)
    if night != first and not again:
        raise NothingToDo(f"night {first} is already dreamt; use --again to dream another one")
    seed = zlib.crc32(night.encode()) if seed is None else seed
    strategy = strategy or lab.arm.strategy or lab.settings.dream_strategy
    from dreamlab.exploration.planning import plan_dreams

    champion = lab.registry.champion()
    base = lab.base() if champion and not champion.untouched else None
    dreams = plan_dreams(
        night=night,
        count=count or lab.settings.dream_task_count,
        strategy=strategy,
        need=need,
        group=group,
        seed=seed,
        catalog=lab.catalog,
        phrases=lab.phrases,
        experiences=lab.memory.experiences(),
        questions=lab.benchmark.questions,
        embed=lab.embedder.embed,
        open_count=lab.settings.llm_open_dreams if lab.has_language_lead else 0,
        propose=base.propose if base else None,
        as_asked=lab.arm.asked,
    )
    if not dreams.tasks:
        raise NightError(
            f"night {night} is empty: {dreams.notes[-1] if dreams.notes else 'no dream'}"
        )
    plan = Plan(
        night,
        dreams.tasks,
        strategy,
        seed,
        now,
        version=str(champion.number) if champion else "",
        forced=force,
        gaps=dreams.gaps,
        notes=dreams.notes,
    )
    write_atomic(lab.settings.nights_path / night / PLAN, to_json(plan))
    return plan


def pending_tasks(lab: Lab, plan: Plan) -> list[Task]:
    """The plan's tasks that memory holds no experience of."""
    done = {e.task.id for e in lab.memory.experiences(night=plan.night)}
    return [task for task in plan.tasks if task.id not in done]


def batches(lab: Lab, plan: Plan) -> Iterator[tuple[Task, ...]]:
    """The pending tasks in batches of one step each; reports progress after each batch."""
    pending = pending_tasks(lab, plan)
    done = len(plan.tasks) - len(pending)
    for start in range(0, len(pending), BATCH):
        lab.progress("dreaming", done + start, len(plan.tasks))
        yield tuple(pending[start : start + BATCH])
    lab.progress("dreaming", len(plan.tasks), len(plan.tasks))


def solve_dreams(lab: Lab, plan: Plan, tasks: Sequence[Task]) -> int:
    """Solve, check and remember these tasks of a plan; returns how many rows were added."""
    from dreamlab.exploration.check import check, judged

    lab.account = window_of(lab).night(lab.now())
    team = lab.night_team(plan.version, plan.night)
    experiences = []
    solved = arms.with_errors(lab, tasks, team.solve_many(tasks))
    for task, answers in zip(tasks, solved, strict=True):
        outcome = (
            judged(answers, lab.settings.train_on_judged)
            if task.kind in OPEN_KINDS
            else check(task, answers[0], team.catalog)
        )
        experiences.append(
            Experience(
                task,
                tuple(answers),
                lab.now(),
                outcome.verified if lab.arm.checked else True,
                outcome.score,
                outcome.reasons,
            )
        )
    with _writing:
        return lab.memory.append(experiences)


def models_exhausted(lab: Lab) -> str:
    """The reason code for which the language models' budget stops the session; empty while none."""
    if lab.models and lab.models.exhausted(window_of(lab).night(lab.now())):
        return "tokens_spent"
    return ""


def reflect_on(lab: Lab, night: str) -> int:
    """Write down what the night's experiences teach; returns how many notes were added."""
    from dreamlab.memory.consolidation import insights
    from dreamlab.memory.reflection import lessons, reflect

    experiences = lab.memory.experiences(night=night)
    notes = [reflect(e) for e in experiences] + insights(night, experiences)
    lab.account = window_of(lab).night(lab.now())
    if look_back := lab.look_back(night):
        notes += lessons(night, experiences, look_back)
    return lab.memory.append_reflections(notes)


def close_night(lab: Lab, plan: Plan, *, stopped: str = "") -> NightReport:
    """Forget old questions, tidy memory and account for the night, with a manifest at its end.

    Args:
        lab: the lab that dreamt.
        plan: the night's plan.
        stopped: reason code of what ended the session before the plan was done; the night
            then keeps its plan, gets no manifest and is resumed by the next session.
    """
    expire_questions(lab)
    lab.memory.optimize()
    report = account(lab, plan, stopped=stopped)
    folder = lab.settings.nights_path / plan.night
    write_atomic(folder / REPORT, dreams_markdown(report))
    report = replace(report, run_id=_track(lab, report, folder / REPORT))
    if report.complete:
        write_atomic(folder / MANIFEST, to_json(report))
    return report


def _track(lab: Lab, report: NightReport, page: Path) -> str:
    """Keep the night as an MLflow run, found again by its key; returns the run's id."""
    run = lab.registry.start_run(
        NIGHTS,
        report.night,
        key=report.night,
        params={"strategy": report.strategy, "seed": report.seed, "version": report.version},
        tags={"complete": report.complete, "forced": report.forced, "problem": report.problem},
    )
    counts = ("planned", "solved", "verified", "base_right", "reflections", "insights", "seconds")
    lab.registry.log(
        run,
        metrics={
            **{name: float(getattr(report, name)) for name in counts},
            **{f"dropped/{reason}": float(count) for reason, count in report.dropped.items()},
            **{f"models/{name}": figure for name, figure in report.models.items()},
        },
    )
    lab.registry.describe_run(run, page.read_text(encoding="utf-8"))
    lab.registry.log_file(run, page)
    traces.send_dreams(lab, report.night, run)
    traces.send_waiting(lab)
    lab.registry.finish_run(run)
    return run


def account(lab: Lab, plan: Plan, *, stopped: str = "") -> NightReport:
    """Counts and reason codes of a night as memory has it now."""
    experiences = lab.memory.experiences(night=plan.night)
    dropped = Counter(
        reason for e in experiences if not e.verified for reason in e.reasons or ("unverified",)
    )
    missing = len(plan.tasks) - len(experiences)
    if missing:
        dropped[stopped or "not_solved"] = missing
    now = lab.now()
    return NightReport(
        night=plan.night,
        started_at=plan.started_at,
        finished_at=now,
        planned=len(plan.tasks),
        solved=len(experiences),
        verified=sum(e.verified is True for e in experiences),
        remembered=len(experiences),
        reflections=len(lab.memory.reflections(night=plan.night, kind=MemoryKind.REFLECTION)),
        insights=len(lab.memory.reflections(night=plan.night, kind=MemoryKind.INSIGHT)),
        dropped=dict(sorted(dropped.items())),
        planned_kinds=dict(sorted(Counter(str(t.kind) for t in plan.tasks).items())),
        base_right=base_right(experiences, lab),
        gaps=plan.gaps,
        notes=plan.notes,
        seconds=(now - plan.started_at).total_seconds(),
        strategy=plan.strategy,
        seed=plan.seed,
        version=plan.version,
        forced=plan.forced,
        complete=not missing,
        problem="" if any(e.verified for e in experiences) else _problem(plan, experiences),
        models=_models(experiences),
    )


def _models(experiences: Sequence[Experience]) -> dict[str, float]:
    """What the language models had to do with these experiences, summed up."""
    uses = [a.use for e in experiences for a in e.answers if a.use and a.role != Role.TEAM]
    uses += [
        e.answers[0].use for e in experiences if e.task.kind in OPEN_KINDS and e.answers[0].use
    ]
    if not uses:
        return {}
    counts: dict[str, Callable[[ModelUse], float]] = {
        "calls": lambda u: u.calls,
        "tokens": lambda u: u.tokens_in + u.tokens_out,
        "dollars": lambda u: u.dollars,
        "remembered": lambda u: u.remembered,
        "fallbacks": lambda u: bool(u.fallback),
        "cut": lambda u: u.cut,
    }
    return {name: float(sum(map(count, uses))) for name, count in counts.items()}


def base_right(experiences: Sequence[Experience], lab: Lab) -> int:
    """How many checkable dreams the base model alone got right."""
    from dreamlab.exploration.check import check

    right = 0
    for e in experiences:
        answer = e.answer(Role.BASE)
        if answer and answer.well_formed and e.task.expected:
            right += check(e.task, answer, lab.catalog).verified is True
    return right


def _problem(plan: Plan, experiences: Sequence[Experience]) -> str:
    if not experiences:
        return "no dream was solved"
    if all(t.kind in (TaskKind.GAP, *OPEN_KINDS) for t in plan.tasks):
        return "every dream was open: none can be checked"
    return "no answer of the team passed the check; see dropped for the reasons"


def free_key(night: str, taken: Callable[[str], bool]) -> str:
    """The night's own key, or the first of `-02`, `-03` and so on that is not taken."""
    key, number = night, 1
    while taken(key):
        number += 1
        key = f"{night}-{number:02d}"
    return key


def _read(path: Path, kind: type[R]) -> R | None:
    try:
        return from_json(kind, path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror}; fix its rights or set DREAMLAB_HOME"
        ) from None
    except ValueError:
        raise StorageError(
            f"{path} is damaged; move it away: its night is then planned anew, memory is kept"
        ) from None
