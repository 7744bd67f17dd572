from __future__ import annotations

from dataclasses import replace

import pytest

from dreamlab.memory.reflection import (
    about,
    base_was_right,
    differences,
    importance,
    reflect,
)
from dreamlab.records import Answer, Experience, MemoryKind, Referral, Role
from tests.memory.fakes import experience


def with_answers(made: Experience, *answers: Answer) -> Experience:
    return replace(made, answers=(*made.answers, *answers))


def test_a_reflection_says_what_the_base_model_missed_and_invented() -> None:
    made = experience(needs=("food",), groups=("seniors",), base=Referral(("food", "legal")))
    text = reflect(made).text
    assert "The base model (version 3) invented the need legal, missed the group seniors." in text


def test_a_reflection_says_when_the_base_model_had_it_right() -> None:
    assert "The base model (version 3) had it right." in reflect(experience()).text


def test_a_reflection_names_the_experts_that_found_it() -> None:
    made = with_answers(
        experience(cited=("row-1", "row-2")),
        Answer(Role.SEARCH, Referral(service_ids=("row-2", "row-8"))),
        Answer(Role.RESOURCE, Referral(service_ids=("row-1", "row-2"))),
        Answer(Role.RECOMMENDATION, Referral(service_ids=("row-9",))),
    )
    text = reflect(made).text
    assert "Found by resource_specialist 2 of 2, search_specialist 1 of 2." in text


def test_a_reflection_says_what_was_left_out_and_why() -> None:
    made = with_answers(experience(), Answer(Role.SEARCH, Referral(service_ids=("row-8",))))
    team = replace(made.answers[0], notes=("row-8 is elsewhere", "row-1 is near"))
    text = reflect(replace(made, answers=(team, *made.answers[1:]))).text
    assert text.endswith("Left out: row-8 (search_specialist), because row-8 is elsewhere.")


def test_a_reflection_says_how_the_team_failed() -> None:
    made = experience(needs=("food",), verified=False, reasons=("need_missed",))
    team = replace(made.answers[0], referral=Referral(("legal",), service_ids=("row-4",)))
    text = reflect(replace(made, answers=(team,))).text
    assert "wrong, citing row-4: missed the need food, invented the need legal." in text


def test_a_failure_without_a_difference_is_explained_by_the_check() -> None:
    made = experience(verified=False, reasons=("cited_outside",))
    assert "wrong, citing row-1, row-2: cited_outside." in reflect(made).text


def test_a_malformed_completion_is_called_that() -> None:
    made = experience()
    base = replace(made.answers[1], well_formed=False)
    text = reflect(replace(made, answers=(made.answers[0], base))).text
    assert "gave a malformed completion" in text


def test_a_reflection_is_filed_with_its_experience() -> None:
    made = experience(needs=("food",), groups=("seniors",), place="Taft")
    note = reflect(made)
    assert note.kind is MemoryKind.REFLECTION
    assert (note.night, note.needs, note.groups, note.place) == (
        made.task.night,
        ("food",),
        ("seniors",),
        "Taft",
    )
    assert note.sources == (made.id,)
    assert note.created_at == made.created_at
    assert reflect(made) == note


def test_no_answers_at_all_still_make_a_reflection() -> None:
    assert "The team gave no answer." in reflect(replace(experience(), answers=())).text


def test_a_failure_is_more_important_than_a_miss_of_the_base_and_that_than_success() -> None:
    success = importance(experience())
    missed = importance(experience(base=Referral(("legal",))))
    failed = importance(experience(verified=False))
    assert 0 <= success < missed < failed <= 1


@pytest.mark.parametrize(
    ("given", "goal", "how"),
    [
        (Referral(("a",)), Referral(("a",)), ()),
        (Referral(("b", "a")), Referral(("a", "b")), ()),
        (Referral(), Referral(("a",)), ("understood nothing",)),
        (Referral(nothing_fits=True), Referral(("a",)), ("refused it",)),
        (Referral(("a",)), Referral(nothing_fits=True), ("did not refuse it",)),
        (Referral(nothing_fits=True), Referral(nothing_fits=True), ()),
        (
            Referral(("a",), place="X"),
            Referral(("a",), place="Y"),
            ("took the place for X instead of Y",),
        ),
        (
            Referral(("a",)),
            Referral(field="phone", service_ids=("r",)),
            ("looked for services instead of the phone",),
        ),
        (Referral(field="phone"), Referral(field="phone", service_ids=("r",)), ()),
        (
            Referral(field="phone", service_ids=("q",)),
            Referral(field="phone", service_ids=("r",)),
            ("took q for r",),
        ),
        (
            Referral(field="phone"),
            Referral(("a",)),
            ("missed the need a", "took it for a question about the phone"),
        ),
    ],
)
def test_differences_are_told_in_words(
    given: Referral, goal: Referral, how: tuple[str, ...]
) -> None:
    assert differences(given, goal) == how


def test_nobody_knows_whether_the_base_was_right_on_an_open_question() -> None:
    made = experience(verified=None)
    made = replace(made, task=replace(made.task, expected=None))
    assert base_was_right(made) is None
    assert about(made) == made.answers[0].referral
