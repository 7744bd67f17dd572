"""Traces: made from experiences alone, without a word of what a person asked unless allowed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dreamlab.records import Answer, Experience, Referral, Role, Task, TaskKind, to_json
from dreamlab.tracing import WITHHELD, leave, trace_of, waiting

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
FOOD = Referral(("food",), place="Northville", service_ids=("a-1", "a-2"))


def experience(kind: TaskKind = TaskKind.ASKED, **known: object) -> Experience:
    task = Task("q1", "My name is Xaviera, who feeds me?", kind, night="2026-11-22-asked")
    answers = (
        Answer(
            Role.TEAM,
            FOOD,
            "Xaviera, these fit",
            notes=("said Xaviera",),
            seconds=1.05,
            version="3",
            steps=(("write", 0.05),),
        ),
        Answer(Role.LEAD, FOOD, seconds=0.3, steps=(("read", 0.2), ("decide", 0.1))),
        Answer(Role.RESOURCE, FOOD, notes=("a-1: Xaviera",), seconds=0.1),
        Answer(
            Role.SEARCH,
            Referral(service_ids=("a-2",)),
            notes=("remembers n1/t1",),
            seconds=0.3,
            steps=(("recall", 0.1), ("compare", 0.2)),
        ),
        Answer(Role.RECOMMENDATION, FOOD, seconds=0.1),
        Answer(Role.BASE, FOOD, seconds=0.2, version="3", well_formed=False),
    )
    return replace(Experience(task, answers, NOW), **known)


def test_the_spans_are_the_roles_work_in_its_order():
    spans = trace_of(experience()).spans
    assert [(s.name, s.kind) for s in spans] == [
        ("team", "AGENT"),
        ("lead reads", "AGENT"),
        ("base model", "LLM"),
        ("resource specialist", "AGENT"),
        ("search specialist", "AGENT"),
        ("recall", "RETRIEVER"),
        ("compare", "RETRIEVER"),
        ("recommendation specialist", "AGENT"),
        ("lead decides", "AGENT"),
        ("write and check", "GUARDRAIL"),
    ]
    assert [s.parent for s in spans] == [None, 0, 0, 0, 0, 4, 4, 0, 0, 0]
    begins = [0, 0, 0.2, 0.4, 0.5, 0.5, 0.6, 0.8, 0.9, 1.0]
    assert [s.begins for s in spans] == pytest.approx(begins)
    ends = [s.begins + s.seconds for s in spans]
    assert ends[0] == max(ends) == pytest.approx(1.05)
    assert spans[5].outputs[0]["metadata"] == {"memory": "n1/t1"}


def test_what_a_person_asked_leaves_no_word_in_a_trace_unless_allowed():
    trace = trace_of(experience())
    assert "Xaviera" not in to_json(trace)
    assert trace.spans[0].inputs == {"question": WITHHELD}
    assert trace.spans[0].outputs == {
        "answer": WITHHELD,
        "needs": ["food"],
        "place": "Northville",
        "cited": ["a-1", "a-2"],
    }


def test_texts_pass_through_what_masks_them():
    trace = trace_of(experience(), lambda text: text.replace("Xaviera", "[name]"))
    assert "Xaviera" not in to_json(trace)
    assert trace.spans[0].inputs == {"question": "My name is [name], who feeds me?"}
    assert trace.spans[0].outputs["notes"] == ["said [name]"]


def test_a_dream_keeps_its_texts_and_ends_with_its_check():
    dream = experience(TaskKind.REFERRAL, verified=False, score=0.5, reasons=("need_missed",))
    trace = trace_of(dream)
    assert trace.name == "dream"
    assert trace.spans[0].inputs == {"question": dream.task.question}
    assert trace.spans[-1].kind == "EVALUATOR"
    assert trace.spans[-1].outputs == {"verified": False, "score": 0.5, "reasons": ["need_missed"]}
    assert trace.tags["verified"] == "no"


def test_a_team_of_fewer_roles_and_no_steps_has_a_trace_too():
    whole = experience()
    alone = replace(whole, answers=(Answer(Role.TEAM, FOOD, "x", seconds=2.0),))
    assert [s.name for s in trace_of(alone).spans] == ["team", "write and check"]
    assert trace_of(alone).spans[0].seconds == 2.0


def test_the_same_experience_has_the_same_trace():
    assert trace_of(experience()) == trace_of(experience())
    later = experience(created_at=NOW.replace(hour=11))
    assert trace_of(later).id != trace_of(experience()).id


def test_traces_wait_in_their_order_until_they_are_removed(tmp_path: Path):
    folder = tmp_path / "traces"
    assert list(waiting(folder)) == []
    traces = [trace_of(experience(created_at=NOW.replace(hour=hour))) for hour in (3, 1, 2)]
    for trace in traces:
        leave(folder, trace)
    (folder / "half.part").write_text("{")
    assert [trace for _, trace in waiting(folder)] == traces
    next(waiting(folder))[0].write_text("damaged")
    assert sorted(trace is None for _, trace in waiting(folder)) == [False, False, True]
    assert folder.stat().st_mode & 0o077 == 0
