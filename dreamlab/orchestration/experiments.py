"""Many nights in one go, in a data folder of their own: the learning curve of one arm.

A course is what it leaves: one entry a night, written when the night is over, so that a killed one
goes on where it was. The nights themselves are lived by the flows, which are handed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dreamlab.errors import SettingsError, StorageError
from dreamlab.files import write_atomic
from dreamlab.lab import Lab
from dreamlab.orchestration import arms, learning
from dreamlab.records import (
    Evaluation,
    NightReport,
    Score,
    TrainingReport,
    from_json,
    to_json,
)
from dreamlab.settings import Settings, load_settings
from dreamlab.training.evaluate import metrics

COURSE = "course.json"
FIRST = datetime(2026, 1, 1, tzinfo=UTC).date()
"""The date of every course's first night: what a night dreams hangs on its date."""

DECISIVE = ("arm", "seed", "benchmark", "directory", "settings")
"""Fields of a course in which its nights must agree."""

KEPT = ("f1", "right", "success", "fact_accuracy", "abstention", "false_abstention", "well_formed")
"""Figures of the version that answers, kept for each night, source and half."""

OPEN = {"open", "judged_good", "judged_bad"}
"""Reasons of the check that find no fault."""

Night = Callable[[Lab, int], tuple[NightReport, TrainingReport]]
"""Lives one night of a lab with a seed: dreams, then training."""


@dataclass(frozen=True, slots=True)
class Lived:
    """One night of a course and the version that answers after it.

    `scores` are its figures by name, `natural/report/f1` and so on; `right` holds for each
    benchmark question, ordered by id, a 1 or 0, and `f1` its F1 in hundredths. `tokens` and
    `loss` are those of the training; seconds are wall-clock time. `wrong` counts the team's answers
    that the check finds fault with, whether or not the arm heeds it.
    """

    night: str
    version: str
    passed: bool
    reasons: tuple[str, ...]
    dreams: int
    verified: int
    wrong: int
    new: int
    replayed: int
    tokens: int
    loss: float
    dream_seconds: float
    training_seconds: float
    scores: dict[str, float]
    right: str
    f1: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """The nights that one arm lived with one seed; `settings` are those that decide its result.

    `before` holds the untouched model's figures, `team` those of the team without a base model
    (``), with the untouched one (`1`) and with the last night's version, `dense` plain retrieval's;
    `team_right` and `dense_right` say which questions they had right and `team_f1` with which F1,
    as in `Lived`.
    """

    arm: str
    seed: int
    benchmark: str
    directory: str
    settings: dict[str, float | str]
    nights: tuple[Lived, ...] = ()
    before: dict[str, float] = field(default_factory=dict)
    dense: dict[str, float] = field(default_factory=dict)
    team: dict[str, dict[str, float]] = field(default_factory=dict)
    team_right: dict[str, str] = field(default_factory=dict)
    dense_right: str = ""
    team_f1: dict[str, tuple[int, ...]] = field(default_factory=dict)


def folder_of(settings: Settings, arm: str, seed: int) -> Path:
    """Where a course lives by default: beside the lab, never in it."""
    return settings.home / "experiments" / f"{arm}-{seed}"


def live(
    settings: Settings,
    arm: str,
    count: int,
    seed: int,
    folder: Path,
    night: Night,
    progress: Callable[[str, int, int], None] | None = None,
    told: Callable[[Lived], None] | None = None,
) -> Course:
    """Live the nights of an arm, up to `count` in all, and return the whole course.

    Each night starts when the downtime window opens on its date, on a clock that runs on from
    there. `told` hears of each night when it is over.

    Raises:
        SettingsError: the arm is unknown, or the folder holds another course.
        StorageError: the folder's course is damaged.
    """
    chosen = arms.arm_named(arm)
    own = load_settings(
        **settings.model_dump(
            include=settings.model_fields_set
            - {"home", "memory_path", "training_data_path", "tracking_uri"}
        ),
        home=folder,
        memory_path=folder / "memory",
        training_data_path=folder / "training",
        tracking_uri="",
        score_team=False,
    )
    lab = Lab(own, arm=chosen)
    if progress:
        lab.progress = progress
    course = _course(lab, seed, folder / COURSE)
    while len(course.nights) < count:
        began = time.monotonic()
        opens = _opening(own, len(course.nights))
        lab.now = lambda began=began, opens=opens: (  # type: ignore[misc]
            opens + timedelta(seconds=time.monotonic() - began)
        )
        dreams, training = night(lab, seed)
        lived = _lived(lab, dreams, training, time.monotonic() - began)
        course = replace(course, nights=(*course.nights, lived), dense_right="")
        write_atomic(folder / COURSE, to_json(course))
        if told:
            told(lived)
    if course.nights and not course.dense_right:
        course = _with_others(lab, course)
        write_atomic(folder / COURSE, to_json(course))
    return course


def _opening(settings: Settings, number: int) -> datetime:
    date = FIRST + timedelta(days=number)
    return datetime(
        date.year, date.month, date.day, settings.downtime_start_hour, tzinfo=settings.zone
    )


def _course(lab: Lab, seed: int, path: Path) -> Course:
    """The course in the folder, or a new one."""
    s = lab.settings
    decisive = (
        *("dream_task_count", "training_epochs", "training_tokens", "learning_rate"),
        *("lora_rank", "max_loss_share", "base_model", "directory", "training_strategy"),
    )
    new = Course(
        lab.arm.name,
        seed,
        lab.benchmark.hash,
        lab.catalog.fingerprint,
        {name: getattr(s, name) for name in decisive},
    )
    if not path.exists():
        return new
    try:
        found = from_json(Course, path.read_bytes())
    except ValueError:
        raise StorageError(
            f"{path} is damaged; remove its folder to live the nights anew"
        ) from None
    if any(getattr(found, name) != getattr(new, name) for name in DECISIVE):
        raise SettingsError(
            f"{path.parent} holds the nights of another arm, seed, directory, benchmark or "
            "settings; give another --folder"
        )
    return found


def _lived(lab: Lab, dreams: NightReport, training: TrainingReport, seconds: float) -> Lived:
    champion = lab.registry.champion()
    if champion is None:
        raise StorageError(f"no version is registered in {lab.settings.home}; remove the folder")
    found = learning.kept_evaluation(lab, learning.BASE, champion.key)
    verdict = training.verdict
    card = learning.trained_card(lab, training.training.key) if verdict else {}
    points = card.get("history") or [{}]
    return Lived(
        night=dreams.night,
        version=str(champion.number),
        passed=bool(training.version),
        reasons=verdict.reasons if verdict else (training.training.skipped,),
        dreams=dreams.solved,
        verified=dreams.verified,
        wrong=sum(bool(set(e.reasons) - OPEN) for e in lab.memory.experiences(night=dreams.night)),
        new=training.training.new,
        replayed=training.training.replayed,
        tokens=int(points[-1].get("tokens", 0)),
        loss=round(float(card.get("loss", 0.0)), 4),
        dream_seconds=round(dreams.seconds, 1),
        training_seconds=round(max(0.0, seconds - dreams.seconds), 1),
        scores=_figures(found),
        right=_right(found),
        f1=_f1(found),
    )


def _with_others(lab: Lab, course: Course) -> Course:
    """The course with what its last version is compared with: the teams, dense retrieval."""
    versions = dict.fromkeys(("", "1", course.nights[-1].version))
    teams = {
        number: learning.evaluation(
            lab,
            learning.TEAM,
            f"version-{number or 'none'}",
            lambda number=number: learning.team_answers(  # type: ignore[misc]
                lab.team(lab.version(number) if number else None)
            ),
        )
        for number in versions
    }
    dense = learning.kept_evaluation(lab, learning.DENSE, "")
    return replace(
        course,
        before=_figures(learning.kept_evaluation(lab, learning.BASE, learning.UNTOUCHED)),
        dense=_figures(dense),
        dense_right=_right(dense),
        team={number: _figures(found) for number, found in teams.items()},
        team_right={number: _right(found) for number, found in teams.items()},
        team_f1={number: _f1(found) for number, found in teams.items()},
    )


def _figures(found: Evaluation) -> dict[str, float]:
    return {
        name: round(value, 4)
        for name, value in metrics(found).items()
        if name.count("/") == 2 and name.rsplit("/", 1)[1] in KEPT
    }


def _ordered(found: Evaluation) -> Sequence[Score]:
    return sorted(found.scores, key=lambda s: s.question_id)


def _right(found: Evaluation) -> str:
    return "".join("01"[s.right] for s in _ordered(found))


def _f1(found: Evaluation) -> tuple[int, ...]:
    return tuple(round(100 * s.f1) for s in _ordered(found))


def table(course: Course) -> list[list[str]]:
    """Rows for people: the night, the version that answers, and its figures on the report half."""
    names = ("generated/report/f1", "natural/report/success", "natural/report/f1")
    before = [["-", "1", "", "", "", *_cells(course.before, names)]] if course.before else []
    return before + [
        [
            lived.night,
            lived.version,
            "passed" if lived.passed else lived.reasons[0],
            str(lived.verified),
            f"{lived.dream_seconds + lived.training_seconds:.0f}",
            *_cells(lived.scores, names),
        ]
        for lived in course.nights
    ]


def _cells(scores: dict[str, float], names: Sequence[str]) -> list[str]:
    return [f"{scores[name]:.2f}" if name in scores else "-" for name in names]
