"""Forgetting what a person left: the questions, what was dreamt and written from them, and where
they went in training. A version that learnt from them is marked; its weights are not changed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from dreamlab.errors import QuestionError, RecallError
from dreamlab.files import write_atomic
from dreamlab.lab import Lab
from dreamlab.orchestration import queue
from dreamlab.orchestration.dreaming import PLAN
from dreamlab.orchestration.learning import REPORT, line_of
from dreamlab.orchestration.traces import forget_traces
from dreamlab.records import (
    Experience,
    Plan,
    Reflection,
    TaskKind,
    TrainingReport,
    from_json,
    to_json,
)
from dreamlab.training.examples import DATASET, LINEAGE, lineage_of

SHORTEST = 3
"""Letters and digits that a text to look for needs, so that it does not mean everything."""

PHONE_DIGITS = 7
"""Digits from which a text is compared as a number, however it is written."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What memory and training hold of some questions.

    `questions` are what people asked, or whatever was named; `dreams` imitate their wording;
    `notes` rest on either or quote them; `deferred` are tasks left for the night. `trainings` are
    the keys of those that learnt from any of them, `versions` what came of these, descendants
    among them.
    """

    questions: tuple[Experience, ...] = ()
    dreams: tuple[Experience, ...] = ()
    notes: tuple[Reflection, ...] = ()
    deferred: tuple[queue.Deferred, ...] = ()
    trainings: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """Keys of the experiences among them."""
        return frozenset(e.id for e in (*self.questions, *self.dreams))

    def __bool__(self) -> bool:
        return bool(self.questions or self.dreams or self.notes or self.deferred)

    def __str__(self) -> str:
        counted = (
            _count(len(self.questions), "question"),
            _count(len(self.dreams), "dream") + " worded like them",
            _count(len(self.notes), "note"),
            *((_count(len(self.deferred), "deferred task"),) if self.deferred else ()),
        )
        learnt = f"; learnt from in {', '.join(self.trainings)}" if self.trainings else ""
        return ", ".join(counted) + learnt


def traces_of(
    lab: Lab,
    *,
    containing: Sequence[str] = (),
    ids: Sequence[str] = (),
    asked_before: datetime | None = None,
) -> Traces:
    """Whatever fits any of the criteria, and everything that came of it.

    Args:
        lab: the lab that is to forget.
        containing: texts such as a name or a phone number; case, accents and, in numbers,
            everything but the digits are ignored.
        ids: keys of experiences, `night/task`.
        asked_before: questions of people from before this moment.

    Raises:
        QuestionError: a text is too short to mean anybody.
        RecallError: memory has nothing of such an id.
    """
    for text in containing:
        if sum(c.isalnum() for c in text) < SHORTEST:
            raise QuestionError(
                f"{text!r} is too short to look for: give at least {SHORTEST} letters or digits"
            )
    known = lab.memory.experiences()
    if missing := sorted(set(ids) - {e.id for e in known}):
        raise RecallError(
            f"nothing is remembered as {missing[0]}: `dreamlab memories --query …` shows the ids"
        )
    questions = [
        e
        for e in known
        if e.id in ids
        or _holds(e.task.question, containing)
        or (asked_before and e.task.kind == TaskKind.ASKED and e.created_at < asked_before)
    ]
    found = {e.id for e in questions}
    phrases = {f"asked.{id_}" for id_ in found}
    dreams = [e for e in known if e.id not in found and phrases & set(e.task.provenance)]
    gone = found | {e.id for e in dreams}
    quoted = [f'"{e.task.question}"' for e in (*questions, *dreams)]
    notes = [
        n
        for n in lab.memory.reflections()
        if gone & set(n.sources)
        or _holds(n.text, containing)
        or any(quote in n.text for quote in quoted)
    ]
    deferred = [
        task
        for task in (*queue.waiting(lab), *queue.answered(lab))
        if _holds(task.question, containing) or (asked_before and task.added_at < asked_before)
    ]
    trainings = tuple(path.parent.name for path in _lineages(lab) if gone & set(lineage_of(path)))
    versions = _descendants(lab, trainings)
    return Traces(
        tuple(questions), tuple(dreams), tuple(notes), tuple(deferred), trainings, versions
    )


def forget(lab: Lab, traces: Traces) -> int:
    """Remove these traces from memory, plans, queue and datasets for good, and mark the versions
    that learnt from them; the rows removed from memory.

    May be repeated: versions and files come first, memory, which the traces are found by, last.

    Raises:
        StorageError: a file cannot be written, or memory is being written for too long.
        RegistryError: the registry cannot be reached.
    """
    when = lab.now().astimezone(lab.settings.zone).date()
    for number in traces.versions:
        lab.registry.mark(number, "forgotten", str(when))
    for key in traces.trainings:
        _cut_dataset(lab, lab.settings.training_data_path / key, traces.ids)
    for path in sorted(lab.settings.nights_path.glob(f"*/{PLAN}")):
        plan = from_json(Plan, path.read_bytes())
        kept = tuple(t for t in plan.tasks if t.key not in traces.ids)
        if len(kept) < len(plan.tasks):
            write_atomic(path, to_json(replace(plan, tasks=kept)))
    for task in traces.deferred:
        queue.remove(lab, task.id)
    forget_traces(lab, [*traces.questions, *traces.dreams])
    return lab.memory.forget([*traces.questions, *traces.dreams, *traces.notes])


def _lineages(lab: Lab) -> list[Path]:
    return sorted(lab.settings.training_data_path.glob(f"*/{LINEAGE}"))


def _descendants(lab: Lab, trainings: Iterable[str]) -> tuple[int, ...]:
    """The versions of these trainings, and those trained from them, through rejected
    challengers too: they carry on the weights."""
    marked: list[int] = []
    for version in lab.registry.versions():
        if set(line_of(lab, version.key)) & set(trainings) or version.parent in marked:
            marked.append(version.number)
    return tuple(marked)


def _cut_dataset(lab: Lab, folder: Path, ids: frozenset[str]) -> None:
    """Take the rows of these experiences out of a training's dataset, here and at its run."""
    lineage = json.loads((folder / LINEAGE).read_text(encoding="utf-8"))
    learnt = lineage["experiences"]
    rows = [r for r in (folder / DATASET).read_text(encoding="utf-8").split("\n") if r]
    kept = [i for i, id_ in enumerate(learnt) if id_ not in ids]
    if len(rows) == len(learnt):  # else it was cut before, by one that stopped half-way
        write_atomic(folder / DATASET, "".join(rows[i] + "\n" for i in kept))
    report = folder / REPORT
    run = from_json(TrainingReport, report.read_bytes()).run_id if report.exists() else ""
    if run:
        lab.registry.log_file(run, folder / DATASET, "dataset")
    lineage["forgotten"] = lineage.get("forgotten", 0) + len(learnt) - len(kept)
    lineage["experiences"] = [learnt[i] for i in kept]
    write_atomic(folder / LINEAGE, json.dumps(lineage, indent=1) + "\n")
    if run:
        lab.registry.log_file(run, folder / LINEAGE, "dataset")


def _holds(text: str, wanted: Iterable[str]) -> bool:
    folded, digits = _folded(text), re.sub(r"\D", "", text)
    for one in wanted:
        number = re.sub(r"\D", "", one)
        plain_number = len(number) >= PHONE_DIGITS and not re.search(r"[^\W\d_]", one)
        if _folded(one) in folded or (plain_number and number in digits):
            return True
    return False


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFD", text.casefold())
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).split())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
