from __future__ import annotations

from dataclasses import replace

from dreamlab.memory.consolidation import insights
from dreamlab.records import Answer, Experience, MemoryKind, Referral, Reflection, Role
from tests.memory.fakes import experience

LOST = Referral()


def night() -> list[Experience]:
    """Twelve experiences: the base model is lost on housing and right on food."""
    housing = [
        experience(n, f"apartment trouble number {n}", needs=("housing",), base=LOST)
        for n in range(4)
    ]
    food = [experience(n, f"warm meal number {n}", needs=("food",)) for n in range(4, 10)]
    legal = [
        experience(n, "court", needs=("legal",), verified=False, reasons=("refused",))
        for n in range(10, 13)
    ]
    return housing + food + legal


def found(name: str, experiences: list[Experience]) -> Reflection | None:
    notes = insights("2026-11-01", experiences)
    return next((note for note in notes if note.id.endswith("/" + name)), None)


def test_no_experiences_give_no_insights() -> None:
    assert insights("2026-11-01", []) == []


def test_the_need_on_which_the_base_fails_is_named_with_counts_and_an_example() -> None:
    note = found("base-need-housing", night())
    assert note is not None
    assert note.text == (
        "The base model (version 3) was wrong on 4 of 4 questions about housing, against 31% over "
        'all; mostly: understood nothing (4). For example: "apartment trouble number 0"'
    )
    assert note.needs == ("housing",)
    assert note.importance == 1.0
    assert len(note.sources) == 4


def test_a_need_that_goes_well_is_not_a_weakness() -> None:
    assert found("base-need-food", night()) is None


def test_the_need_on_which_the_team_fails_comes_with_the_reason_codes() -> None:
    note = found("team-need-legal", night())
    assert note is not None
    assert "mostly: refused (3)" in note.text


def test_words_that_misled_are_named() -> None:
    note = found("base-wording", night())
    assert note is not None
    assert '"apartment" (wrong in 4 of 4)' in note.text
    assert "number" not in note.text


def test_groups_places_kinds_and_languages_are_looked_at_too() -> None:
    fine = [experience(n) for n in range(20, 30)]
    lost = [
        experience(n, groups=("veterans",), place="Taft", base=LOST, needs=(f"need {n}",))
        for n in range(3)
    ]
    lost = [replace(e, task=replace(e.task, language="es")) for e in lost]
    names = {note.id.rsplit("/", 1)[1] for note in insights("2026-11-01", fine + lost)}
    assert {"base-group-veterans", "base-place-Taft", "base-language-es"} <= names


def test_two_cases_are_too_few_for_an_insight() -> None:
    assert insights("2026-11-01", [experience(n, base=LOST) for n in range(2)]) == []


def test_the_experts_are_ranked_by_what_they_found() -> None:
    search = Answer(Role.SEARCH, Referral(service_ids=("row-1",)))
    made = [experience(n, base=Referral(("food",))) for n in range(3)]
    made = [replace(e, answers=(*e.answers, search)) for e in made]
    note = found("finders", made)
    assert note is not None
    assert note.text == "Of 3 verified answers, services were proposed by search_specialist in 3."


def test_the_services_cited_most_are_counted() -> None:
    note = found("most-cited", [experience(n, cited=("b", "a", f"x{n}")) for n in range(3)])
    assert note is not None
    assert note.text == "Most cited in verified answers: a (3 times), b (3 times)."


def test_insights_do_not_depend_on_the_order_of_experiences() -> None:
    notes = insights("2026-11-01", night())
    assert insights("2026-11-01", night()[::-1]) == notes
    assert all(note.kind is MemoryKind.INSIGHT for note in notes)
    assert len({note.id for note in notes}) == len(notes)
    assert [n.importance for n in notes] == sorted((n.importance for n in notes), reverse=True)


def test_unchecked_experiences_count_for_nothing() -> None:
    open_ones = [experience(n, verified=None) for n in range(20, 30)]
    open_ones = [replace(e, task=replace(e.task, expected=None)) for e in open_ones]
    texts = [note.text for note in insights("2026-11-01", night())]
    assert [note.text for note in insights("2026-11-01", night() + open_ones)] == texts
