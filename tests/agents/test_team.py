from collections.abc import Sequence

import numpy as np
import pytest

from dreamlab.agents.team import Team
from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import PhraseBank
from dreamlab.errors import QuestionError
from dreamlab.records import Answer, Referral, Role, Service
from tests.agents.conftest import WordEmbedder, ask
from tests.agents.test_base import Marking, base_saying, base_with

QUESTIONS = (
    "I need a hot meal",
    "is there a doctor in Westport",
    "a roof over my head and a ride to work, please",
    "what's the phone number for Harbor House",
    "who won the game last night",
    "groceries in Ohio",
    "necesito comida para mi abuelita",
    "my tooth is killing me, and the bus does not come here",
)


def answer(team: Team, question: str, context: Referral | None = None) -> Answer:
    return team.solve(ask(question), context)[0]


def test_one_need_is_answered_from_the_directory(team: Team) -> None:
    got = answer(team, "I need a hot meal")
    assert got.referral == Referral(needs=("food",), service_ids=("s4", "s3"))
    assert "Pantry Express" in got.text


def test_every_need_of_several_is_served(team: Team, catalog: Catalog) -> None:
    got = answer(team, "a hot meal, a ride and a lawyer").referral
    assert got.needs == ("food", "legal", "transportation")
    served = {need for id_ in got.service_ids for need in catalog.get(id_).needs}
    assert set(got.needs) <= served


def test_a_situation_is_understood_without_its_key_word(team: Team) -> None:
    got = answer(team, "The landlord is throwing us out").referral
    assert got.needs == ("housing",)
    assert {"s1", "s2"} >= set(got.service_ids)


@pytest.mark.parametrize(
    ("question", "field", "service", "shown"),
    [
        ("what's the phone number for Harbor House", "phone", "s1", "555-010-0001"),
        ("When is Harbor House open?", "hours", "s1", "24 hours"),
        ("what's the address of the Tenant Union", "address", "s2", "12 Mill Street"),
        ("how much does Pantry Express cost", "fees", "s3", "Free"),
        ("what is the Lunch Club at Silver Kitchen", "description", "s4", "Hot lunch"),
    ],
)
def test_a_fact_about_a_named_service_is_stated(
    team: Team, question: str, field: str, service: str, shown: str
) -> None:
    got = answer(team, question)
    assert (got.referral.field, got.referral.service_ids[0]) == (field, service)
    assert shown in got.text.splitlines()[0]


def test_a_fact_that_is_not_on_record_is_said_to_be_missing(team: Team) -> None:
    got = answer(team, "what's the address of Harbor House")
    assert got.referral.service_ids == ("s1",)
    assert "no entry" in got.text


def test_a_service_that_is_not_listed_is_said_not_to_be(team: Team) -> None:
    got = answer(team, "what's the phone number for Blue Moon Center")
    assert got.referral == Referral(nothing_fits=True)
    assert "lists no service of that name" in got.text
    assert "2-1-1" in got.text


@pytest.mark.parametrize(
    "question", ["who won the game last night", "Is it going to rain Saturday?"]
)
def test_a_question_outside_is_refused_and_pointed_to_the_helpline(
    team: Team, question: str
) -> None:
    got = answer(team, question)
    assert got.referral == Referral(nothing_fits=True)
    assert "2-1-1" in got.text


def test_a_place_elsewhere_is_refused_with_the_nearest_services(team: Team) -> None:
    got = answer(team, "groceries in Ohio")
    assert got.referral == Referral(nothing_fits=True)
    assert "does not cover Ohio" in got.text
    assert got.nearest[0] == "s3"
    assert "555" not in got.text


def test_a_need_that_no_row_meets_for_the_group_is_refused_honestly(
    bank: PhraseBank, embedder: WordEmbedder
) -> None:
    rows = (
        Service("a", "A", "Beds", needs=("housing",), groups=("homeless people",)),
        Service("b", "B", "Soup", needs=("food",), groups=("seniors",)),
    )
    got = answer(Team(Catalog("two", rows), bank, embedder), "a hot meal for gente sin hogar")
    assert got.referral.nothing_fits
    assert got.referral.service_ids == ()
    assert got.nearest


@pytest.mark.parametrize(
    ("question", "place", "groups"),
    [
        ("and in Eastfield?", "Eastfield", ("seniors",)),
        ("what about someone on the streets", "", ("homeless people",)),
    ],
)
def test_a_follow_up_keeps_what_it_does_not_change(
    team: Team, question: str, place: str, groups: tuple[str, ...]
) -> None:
    before = answer(team, "I need a ride for my grandma").referral
    got = answer(team, question, before).referral
    assert (got.needs, got.place, got.groups) == (("transportation",), place, groups)


def test_a_fact_may_follow_up_an_answer(team: Team) -> None:
    before = answer(team, "I need a ride").referral
    got = answer(team, "what's the phone number?", before)
    assert (got.referral.field, got.referral.service_ids) == ("phone", ("s5",))
    assert "555-010-0005" in got.text


def test_a_new_question_is_no_follow_up(team: Team) -> None:
    before = answer(team, "I need a ride for my grandma").referral
    assert answer(team, "my tooth is killing me", before).referral.needs == ("healthcare",)


def test_spanish_is_understood_and_answered_in_spanish(team: Team) -> None:
    got = answer(team, "necesito comida para mi abuelita")
    assert (got.referral.needs, got.referral.groups) == (("food",), ("seniors",))
    assert got.text.startswith("Estos servicios")


def test_another_script_is_answered_honestly(team: Team) -> None:
    got = answer(team, "我需要食物")
    assert not got.referral.understood
    assert "English" in got.text


@pytest.mark.parametrize("question", ["help!", "hi", "ayuda por favor", "can you help me?"])
def test_a_question_without_content_is_asked_back(team: Team, question: str) -> None:
    got = answer(team, question)
    assert not got.referral.understood
    assert "2-1-1" in got.text


@pytest.mark.parametrize("question", ["", "\x00", "a" * 5000])
def test_a_question_that_cannot_be_asked_is_refused(team: Team, question: str) -> None:
    with pytest.raises(QuestionError):
        team.solve(ask(question))


def test_every_role_answers_and_the_team_comes_first(catalog: Catalog, team: Team) -> None:
    team.base = base_saying("<need:food>", catalog)
    answers = team.solve(ask("I need a hot meal"))
    assert [a.role for a in answers] == [
        Role.TEAM,
        Role.LEAD,
        Role.RESOURCE,
        Role.SEARCH,
        Role.RECOMMENDATION,
        Role.BASE,
    ]
    assert all(a.seconds >= 0 for a in answers)
    assert answers[0].seconds >= sum(a.seconds for a in answers[2:5])
    assert answers[0].version == answers[-1].version == "3"


def test_the_team_works_without_base_and_memories(team: Team) -> None:
    assert [a.role for a in team.solve(ask("I need a hot meal"))][-1] == Role.RECOMMENDATION


@pytest.mark.parametrize("completion", ["gibberish", "<none>", "<ask:phone>"])
def test_a_base_model_that_cites_no_row_changes_nothing(
    catalog: Catalog, bank: PhraseBank, embedder: WordEmbedder, completion: str
) -> None:
    question = "grocery prices went crazy this month, what now"
    alone = Team(catalog, bank, embedder)
    beside = Team(catalog, bank, embedder, base=base_saying(completion, catalog))
    assert answer(alone, question).referral == answer(beside, question).referral


def test_a_row_that_the_base_model_cites_rises_unless_the_question_is_plain(
    catalog: Catalog, bank: PhraseBank, embedder: WordEmbedder
) -> None:
    team = Team(catalog, bank, embedder)
    cites = Answer(Role.BASE, Referral(("food",), service_ids=("s4", "s3")))
    scores = np.zeros(len(catalog.services))
    at = {service.id: i for i, service in enumerate(catalog.services)}
    (vague, plain) = team.reader.read(
        ["grocery prices went crazy", "a food pantry"], ["en", "en"], [None, None]
    )
    raised = team.lead.backed(vague, scores, cites)
    assert raised[at["s4"]] > raised[at["s3"]] > 0
    assert not team.lead.backed(plain, scores, cites).any()
    assert not team.lead.backed(vague, scores, None).any()


@pytest.mark.parametrize("completion", ["gibberish", "<none>", "<need:legal>", "<ask:phone>"])
def test_a_plain_question_is_answered_alike_whatever_the_base_model_says(
    catalog: Catalog, bank: PhraseBank, embedder: WordEmbedder, completion: str
) -> None:
    alone = Team(catalog, bank, embedder)
    beside = Team(catalog, bank, embedder, base=base_saying(completion, catalog))
    for question in QUESTIONS[:3]:
        assert answer(alone, question).referral == answer(beside, question).referral


def test_many_questions_get_the_answers_of_one_by_one(
    catalog: Catalog, bank: PhraseBank, embedder: WordEmbedder
) -> None:
    team = Team(catalog, bank, embedder, base=base_saying("<need:food>", catalog))
    tasks = [ask(question) for question in QUESTIONS]
    together = team.solve_many(tasks)
    for task, answers in zip(tasks, together, strict=True):
        alone = team.solve(task)
        assert [a.referral for a in answers] == [a.referral for a in alone]
        assert [a.text for a in answers] == [a.text for a in alone]
        assert [a.nearest for a in answers] == [a.nearest for a in alone]


def test_many_questions_are_embedded_and_completed_in_one_batch_each(
    catalog: Catalog, bank: PhraseBank
) -> None:
    class Counting:
        def __init__(self) -> None:
            self.batches: list[int] = []

        def complete(self, questions: Sequence[str]) -> list[str]:
            self.batches.append(len(questions))
            return ["<none>"] * len(questions)

    embedder, decoder = WordEmbedder(), Counting()
    team = Team(catalog, bank, embedder, base=base_with(decoder, catalog, Marking(catalog, ())))
    embedder.calls.clear()
    team.solve_many([ask(question) for question in QUESTIONS])
    assert len(embedder.calls) == 1
    assert decoder.batches == [len(QUESTIONS)]


def test_no_questions_have_no_answers(team: Team) -> None:
    assert team.solve_many([]) == []


def test_a_directory_without_phrases_groups_or_places_is_still_searched(
    embedder: WordEmbedder,
) -> None:
    rows = (
        Service("a", "A", "Soup kitchen", needs=("food",), description="hot soup every day"),
        Service("b", "B", "Night bus", needs=("transport",), description="a bus at night"),
    )
    team = Team(Catalog("bare", rows), PhraseBank(), embedder)
    assert answer(team, "hot soup please").referral.service_ids[:1] == ("a",)
    assert answer(team, "is there transport?").referral == Referral(
        needs=("transport",), service_ids=("b",)
    )
