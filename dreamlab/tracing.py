"""What a solve leaves for whoever watches: its trace, and the folder where traces wait.

A trace is made from an experience after the answer is given: the roles' own seconds, laid out in
the order of work. To keep one is to write a small file; nothing here knows where traces are shown
(`training/traces.py` does), so that no solve waits for it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dreamlab.records import Answer, Experience, Referral, Role, TaskKind, from_json, to_json

WITHHELD = "not kept"
"""Stands where a text would: what people ask is kept only where a setting says so."""

REMEMBERS = "remembers "

Keep = Callable[[str], str]
"""What may be kept of a text: all of it, or the text masked."""


@dataclass(frozen=True, slots=True)
class Span:
    """One part of the work: when it began after the start, in seconds, and how long it took.

    `kind` is AGENT, LLM, RETRIEVER, GUARDRAIL or EVALUATOR; `parent` the index in its trace of
    the span that it is part of, None for the whole.
    """

    name: str
    kind: str
    begins: float
    seconds: float
    parent: int | None = 0
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Any = None


@dataclass(frozen=True, slots=True)
class Trace:
    """How one task was solved. The same experience gives the same `id`, 32 hexadecimal digits.

    `spans` begin with the whole; `version` is the base model's; `night` the night it belongs to.
    """

    id: str
    name: str
    started_at: datetime
    spans: tuple[Span, ...]
    night: str = ""
    version: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def trace_id(experience: Experience) -> str:
    """The id of an experience's trace; masking its texts does not change it."""
    moment = f"{experience.id} {experience.created_at.isoformat()}"
    return hashlib.sha256(moment.encode()).hexdigest()[:32]


def trace_of(experience: Experience, keep: Keep | None = None) -> Trace:
    """The trace of an experience.

    Args:
        experience: a task with its answers, the team's first.
        keep: what may be kept of the texts of a task that a person asked; None: nothing of them,
            only facets, cited ids and times. Dreams are nobody's: their texts are kept.
    """
    task = experience.task
    dreamt = task.kind is not TaskKind.ASKED
    if dreamt:
        keep = str
    team = experience.answers[0]
    spans = list(_parts(experience, keep))
    ends = max((span.begins + span.seconds for span in spans), default=0.0)
    whole = Span(
        "team",
        "AGENT",
        0.0,
        max(team.seconds, ends),
        parent=None,
        inputs={"question": keep(task.question) if keep else WITHHELD},
        outputs={"answer": keep(team.text) if keep else WITHHELD, **_said(team, keep)},
    )
    tags = {"kind": str(task.kind), "language": task.language, "strategy": task.strategy}
    if experience.verified is not None:
        tags["verified"] = "yes" if experience.verified else "no"
    if experience.reasons:
        tags["reasons"] = ", ".join(experience.reasons)
    return Trace(
        id=trace_id(experience),
        name="dream" if dreamt else "solve",
        started_at=experience.created_at,
        spans=(whole, *spans),
        night=task.night,
        version=team.version,
        tags={name: value for name, value in tags.items() if value},
    )


def _parts(experience: Experience, keep: Keep | None) -> Iterator[Span]:
    """The parts of the team's work in its order, from what each role says it took."""
    asked = {"question": keep(experience.task.question) if keep else WITHHELD}
    given = {answer.role: answer for answer in experience.answers}
    now, count = 0.0, 0

    def span(name: str, kind: str, seconds: float, inputs: Any, outputs: Any) -> Span:
        nonlocal now, count
        made = Span(name, kind, now, seconds, inputs=inputs, outputs=outputs)
        now, count = now + seconds, count + 1
        return made

    lead, base = given.get(Role.LEAD), given.get(Role.BASE)
    reading = dict(lead.steps).get("read", 0.0) if lead else 0.0
    if lead:
        yield span("lead reads", "AGENT", reading, asked, _facets(lead.referral))
    if base:
        said = {**_said(base, keep), "well_formed": base.well_formed, "version": base.version}
        yield span("base model", "LLM", base.seconds, asked, said)
    for role in (Role.RESOURCE, Role.SEARCH, Role.RECOMMENDATION):
        if answer := given.get(role):
            began = now
            yield span(role.replace("_", " "), "AGENT", answer.seconds, asked, _said(answer, keep))
            parent = count
            for name, seconds in answer.steps:
                retrieved = _remembered(answer) if name == "recall" else None
                yield Span(name, "RETRIEVER", began, seconds, parent, asked, retrieved)
                began, count = began + seconds, count + 1
    if lead:
        yield span("lead decides", "AGENT", lead.seconds - reading, {}, _said(lead, keep))
    team = experience.answers[0]
    writing = dict(team.steps).get("write", 0.0)
    cited = {"cited": list(team.referral.service_ids)}
    shown = {"rendered from": "the cited rows alone"}
    yield span("write and check", "GUARDRAIL", writing, cited, shown)
    if experience.verified is not None:
        checked = {
            "verified": experience.verified,
            "score": experience.score,
            "reasons": list(experience.reasons),
        }
        expected = experience.task.expected
        known = {"expected": _facets(expected)} if expected else {}
        yield span("check of the dream", "EVALUATOR", 0.0, known, checked)


def _facets(referral: Referral) -> dict[str, Any]:
    names = ("needs", "groups", "place", "field", "nothing_fits")
    found = {name: getattr(referral, name) for name in names}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items() if v}


def _said(answer: Answer, keep: Keep | None) -> dict[str, Any]:
    """An answer without its text; its notes may quote the question."""
    said = {
        **_facets(answer.referral),
        "cited": list(answer.referral.service_ids),
        "nearest": list(answer.nearest),
        "notes": [keep(note) for note in answer.notes] if keep else [],
    }
    return {name: value for name, value in said.items() if value}


def _remembered(answer: Answer) -> list[dict[str, Any]]:
    """The memories recalled, as the documents that MLflow shows of a retriever."""
    ids = [note.removeprefix(REMEMBERS) for note in answer.notes if note.startswith(REMEMBERS)]
    return [{"page_content": id_, "metadata": {"memory": id_}} for id_ in ids]


# Where traces wait


def leave(folder: Path, trace: Trace) -> None:
    """Leaves a trace to be sent; it is not synced to disk, which would slow the solve.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{trace.id}.json"
    part = path.with_suffix(".part")
    part.write_text(to_json(trace), encoding="utf-8")
    os.replace(part, path)


def withdraw(folder: Path, id_: str) -> None:
    """Removes a trace that waits, if there is one of this id."""
    (folder / f"{id_}.json").unlink(missing_ok=True)


def waiting(folder: Path) -> Iterator[tuple[Path, Trace | None]]:
    """The traces that wait to be sent, the oldest first; None where a file is damaged."""
    times = []
    for path in folder.glob("*.json"):
        try:
            times.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:  # another sender was faster
            continue
    for _, path in sorted(times):
        try:
            yield path, from_json(Trace, path.read_bytes())
        except FileNotFoundError:
            continue
        except ValueError:
            yield path, None
