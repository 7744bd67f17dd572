from __future__ import annotations

import pytest

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import PhraseBank
from dreamlab.exploration.sources import SpokenNames, asked_frames, quotes
from dreamlab.exploration.wording import Vocabulary
from dreamlab.records import Referral, TaskKind
from tests.exploration.conftest import experience

DELANO = Referral(needs=("food",), groups=("seniors",), place="Delano")


@pytest.fixture(scope="module")
def vocabulary(kern_phrases: PhraseBank) -> Vocabulary:
    return Vocabulary(kern_phrases)


def frames(vocabulary: Vocabulary, question: str, team: Referral) -> dict[str, list[str]]:
    asked = experience(None, kind=TaskKind.ASKED, question=question, team=team)
    found = asked_frames([asked], vocabulary)
    return {name: [phrase.text for phrase in texts] for name, texts in found.items()}


def test_what_was_asked_leaves_its_frame_behind(vocabulary: Vocabulary) -> None:
    question = "yo who around Delano hands out a food box for seniors these days"
    assert frames(vocabulary, question, DELANO) == {
        "en_need_group_place": ["yo who around {place} hands out {need} for {group} these days"]
    }


@pytest.mark.parametrize(
    "question",
    [
        "I am at 1200 Main and want food for seniors in Delano",
        "Ask for Maria Lopez, food for seniors in Delano",
        "my name is rosa, food for seniors in Delano",
        "food for seniors in Delano, write to me@mail.com",
        "food for seniors in Delano " + "and so on " * 20,
    ],
)
def test_nothing_personal_is_imitated(vocabulary: Vocabulary, question: str) -> None:
    assert frames(vocabulary, question, DELANO) == {}


@pytest.mark.parametrize(
    "team",
    [
        Referral(nothing_fits=True),
        Referral(field="phone", service_ids=("kern-004",)),
        Referral(needs=("food", "housing"), place="Delano"),
        Referral(needs=("legal",), place="Delano"),
        Referral(needs=("food",), groups=("veterans",), place="Delano"),
    ],
)
def test_what_was_not_understood_word_for_word_is_not_imitated(
    vocabulary: Vocabulary, team: Referral
) -> None:
    assert frames(vocabulary, "is there food for seniors in Delano", team) == {}


def test_only_questions_of_people_are_imitated(vocabulary: Vocabulary) -> None:
    dreamt = experience(DELANO, question="food for seniors in Delano")
    assert asked_frames([dreamt], vocabulary) == {}


def test_a_quote_is_a_piece_of_its_row_and_words_one_need(
    kern: Catalog, vocabulary: Vocabulary
) -> None:
    found = quotes(kern, vocabulary)
    assert sum(map(len, found.values())) > 5
    for need, pieces in found.items():
        for row, piece in pieces:
            assert row.needs == (need,)
            assert piece[1:] in row.description
            assert not vocabulary.named("groups", piece, "en")


def test_a_name_said_alone_is_one_services_only(kern: Catalog, vocabulary: Vocabulary) -> None:
    names = SpokenNames(kern, vocabulary)
    said = [name for row in kern.services for name in names.alone(row)]
    assert len(said) == len(set(said)) > 100
    assert "Kern County Superior Court" not in said  # it has two services
    assert "City of Ridgecrest" not in said  # a city is no service
    assert "Emergency shelter" not in said  # that asks for a need
    assert "M Street Navigation Center" in said


def test_an_organization_is_not_said_beside_its_own_name(kern: Catalog) -> None:
    names = SpokenNames(kern, Vocabulary(PhraseBank()))
    friendship = kern.get("kern-097")
    assert friendship.organization.startswith(friendship.name.removesuffix(" for seniors"))
    assert names.with_organization(friendship) == ()
