import dataclasses
from datetime import UTC, datetime

import numpy as np
import pytest

from dreamlab.agents.experts import (
    RecommendationSpecialist,
    ResourceSpecialist,
    SearchSpecialist,
    age_range,
    ages_in,
    best,
)
from dreamlab.agents.team import Team
from dreamlab.agents.understanding import Reading
from dreamlab.directory.catalog import Catalog
from dreamlab.records import Answer, Experience, Memory, MemoryKind, Referral, Role
from tests.agents.conftest import WordEmbedder, ask

IDS = ("s1", "s2", "s3", "s4", "s5", "s6")


def reading(team: Team, question: str) -> Reading:
    return team.reader.read([question], ["en"], [None])[0]


def memory(question: str, cited: tuple[str, ...], similarity: float = 0.95) -> Memory:
    then = datetime(2026, 1, 2, tzinfo=UTC)
    referral = Referral(needs=("food",), service_ids=cited)
    task = dataclasses.replace(ask(question), expected=Referral(needs=("food",)))
    experience = Experience(task, (Answer(Role.TEAM, referral),), then, verified=True)
    return Memory(
        "m1",
        "n",
        MemoryKind.EXPERIENCE,
        question,
        then,
        similarity=similarity,
        experience=experience,
    )


def test_the_resource_specialist_executes_the_facets(team: Team, catalog: Catalog) -> None:
    found = ResourceSpecialist(catalog).find(reading(team, "a hot meal for my grandma"), 5)
    assert [m.service.id for m in found.matches] == ["s4", "s3"]


def test_search_finds_a_row_by_its_words(team: Team) -> None:
    relevance = team.search.relevance(reading(team, "lawyers against an eviction notice"))
    assert best(IDS, relevance, 1) == ("s2",)


def test_search_finds_the_row_of_the_best_clause(team: Team) -> None:
    question = "So much happened last year and nobody called back, showers and beds please"
    assert best(IDS, team.search.relevance(reading(team, question)), 1) == ("s1",)


def test_a_very_similar_verified_experience_speaks_for_its_services(
    catalog: Catalog, team: Team
) -> None:
    remembered = memory("what do I do about supper", ("s3",))
    search = SearchSpecialist(catalog, WordEmbedder(), lambda text, limit: [remembered])
    asked = reading(team, "what do I do about supper")
    with_memory = search.relevance(asked, search.remember(asked.question))
    without = search.relevance(asked)
    assert with_memory[2] > without[2]
    assert np.array_equal(np.delete(with_memory, 2), np.delete(without, 2))


@pytest.mark.parametrize(
    "recalled",
    [
        memory("x", ("s3",), similarity=0.6),
        dataclasses.replace(memory("x", ("s3",)), experience=None),
    ],
)
def test_other_memories_do_not_vote(catalog: Catalog, recalled: Memory) -> None:
    search = SearchSpecialist(catalog, WordEmbedder(), lambda text, limit: [recalled])
    assert search.remember("supper") == ()


def test_a_place_inside_comes_before_county_wide_and_other_places(team: Team) -> None:
    flat = np.zeros(6)
    asked = reading(team, "something in Westport")
    nothing = dataclasses.replace(asked, need_scores=np.zeros(5))
    scores, notes = team.recommendation.weigh(nothing, flat)
    assert scores[1] > scores[2] > scores[0]
    assert "place: Westport" in notes


def test_to_be_at_the_place_counts_as_far_as_the_need_is_met(team: Team) -> None:
    flat = np.zeros(6)
    asked = reading(team, "I need a clinic in Westport")
    medical = dataclasses.replace(asked, need_scores=np.array([0.1, 0.9, 0.0, 0.0, 0.0]))
    scores, _ = team.recommendation.weigh(medical, flat)
    clinic, eviction, pantry, ride = scores[5], scores[1], scores[2], scores[4]
    assert clinic > pantry > eviction == ride == 0


def test_a_service_for_other_ages_is_put_back(team: Team) -> None:
    flat = np.zeros(6)
    young, _ = team.recommendation.weigh(reading(team, "I'm 24 and hungry for lunch"), flat)
    old, _ = team.recommendation.weigh(reading(team, "I'm 64 and hungry for lunch"), flat)
    assert young[3] < old[3]


def test_a_condition_lifts_the_rows_that_meet_it(team: Team) -> None:
    flat = np.zeros(6)
    asked = reading(team, "something that doesn't cost anything")
    scores, notes = team.recommendation.weigh(asked, flat)
    assert scores[1] > scores[0]
    assert "asked for: free of charge" in notes
    assert "free of charge" in team.recommendation.why(team.catalog.get("s2"), asked)


@pytest.mark.parametrize(
    ("text", "ages"),
    [
        ("my dad is 82 and I'm 50", (82, 50)),
        ("a 4 year old", (4,)),
        ("he turned 19 last week", (19,)),
        ("the rent is 900 dollars", ()),
        ("it opens at 10", ()),
    ],
)
def test_ages_are_read_from_a_question(text: str, ages: tuple[int, ...]) -> None:
    assert ages_in(text) == ages


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("Age 60 and older", (60, 120)),
        ("Seniors 61+, people with disabilities", (61, 120)),
        ("Kern residents aged 3-4", (3, 4)),
        ("Foster youth up to age 25", (0, 25)),
        ("Low-income families", None),
    ],
)
def test_ages_served_are_read_from_a_row(text: str, span: tuple[int, int] | None) -> None:
    assert age_range(text) == span


def test_a_directory_without_rows_is_no_error(embedder: WordEmbedder) -> None:
    empty = Catalog("empty", ())
    search, recommendation = SearchSpecialist(empty, embedder), RecommendationSpecialist(empty)
    assert search._recall is None
    assert recommendation._places.shape == (0,)
