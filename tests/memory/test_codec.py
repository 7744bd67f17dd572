from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamlab.memory.codec import experience_row, reflection_row, remembered
from dreamlab.records import (
    Answer,
    Experience,
    MemoryKind,
    Referral,
    Reflection,
    Role,
    Task,
    TaskKind,
    from_json,
)
from tests.memory.fakes import experience

words = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3).map(tuple)
text = st.text(st.characters(exclude_categories=["Cs"]))
share = st.floats(0, 1)
moments = st.datetimes(timezones=st.just(UTC))
referrals = st.builds(Referral, words, words, text, text, words, st.booleans())
tasks = st.builds(
    Task,
    id=text,
    question=text,
    kind=st.sampled_from(TaskKind),
    night=text,
    language=text,
    expected=st.none() | referrals,
    strategy=text,
    provenance=words,
)
answers = st.builds(
    Answer, st.sampled_from(Role), referrals, text, words, words, share, text, st.booleans()
)
experiences = st.builds(
    Experience,
    tasks,
    st.lists(answers, max_size=4).map(tuple),
    moments,
    st.none() | st.booleans(),
    share,
    words,
)
reflections = st.builds(
    Reflection,
    text,
    text,
    st.sampled_from([MemoryKind.REFLECTION, MemoryKind.INSIGHT]),
    text,
    moments,
    share,
    words,
    words,
    text,
    words,
)


@given(experiences)
def test_an_experience_comes_back_as_it_was(made: Experience) -> None:
    row = experience_row(made)
    assert from_json(Experience, row.record) == made
    memory = remembered(row.key, row.record)
    assert memory.experience == made
    assert (memory.id, memory.text) == (made.id, made.task.question)
    assert (memory.needs, memory.groups, memory.place) == (row.needs, row.groups, row.place)
    assert 0 <= row.importance <= 1


@given(reflections)
def test_a_reflection_comes_back_as_it_was(made: Reflection) -> None:
    row = reflection_row(made)
    assert from_json(Reflection, row.record) == made
    memory = remembered(row.key, row.record)
    assert (memory.id, memory.kind, memory.text) == (made.id, made.kind, made.text)
    assert memory.experience is None


def test_an_experience_is_filed_under_the_known_answer_not_under_what_was_said() -> None:
    made = experience(needs=("food",), groups=("seniors",), place="Taft")
    wrong = replace(made.answers[0], referral=Referral(("legal",)))
    row = experience_row(replace(made, answers=(wrong,)))
    assert (row.needs, row.groups, row.place) == (("food",), ("seniors",), "Taft")


def test_a_question_that_a_person_asked_is_filed_under_what_the_team_understood() -> None:
    made = experience(needs=("food",))
    row = experience_row(replace(made, task=replace(made.task, expected=None)))
    assert row.needs == ("food",)


def test_keys_of_kinds_and_nights_differ() -> None:
    note = Reflection("x", "2026-11-01", MemoryKind.INSIGHT, "", datetime.now(UTC))
    rows = [
        reflection_row(note),
        reflection_row(replace(note, night="2026-11-02")),
        reflection_row(replace(note, kind=MemoryKind.REFLECTION)),
        experience_row(experience(1)),
        experience_row(experience(1, night="2026-11-02")),
    ]
    assert len({row.key for row in rows}) == len(rows)


def test_a_lone_surrogate_in_a_question_is_stored_as_a_replacement() -> None:
    row = experience_row(experience(question="caf\udce9"))
    assert row.text == "caf?"
    assert from_json(Experience, row.record).task.question == "caf?"


def test_text_that_is_no_record_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="task"):
        remembered("experience:x", '{"something": "else"}')
