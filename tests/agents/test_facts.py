from dataclasses import replace

import pytest

from dreamlab.agents.facts import FactReader, put_aside
from dreamlab.directory.words import words
from tests.agents.conftest import BANK, SERVICES, WordEmbedder


@pytest.fixture(scope="module")
def facts() -> FactReader:
    return FactReader(BANK, WordEmbedder())


def test_a_frame_is_recognised_around_any_name(facts: FactReader) -> None:
    assert facts.said(tuple(words("What time does the Blue Moon close?"))) == "hours"


def test_a_question_without_a_frame_says_no_field(facts: FactReader) -> None:
    assert facts.said(tuple(words("groceries for my grandma"))) == ""


def test_a_field_is_understood_from_other_words(facts: FactReader) -> None:
    vector = WordEmbedder().embed(["phone number of it please"])[0]
    field, score = facts.meant(vector)
    assert field == "phone"
    assert score > 0.3


def test_a_name_is_put_aside_as_one_thing() -> None:
    assert put_aside("when does Tenant Union open in Westport", SERVICES[1:2]) == (
        "when does it open in it"
    )
    assert put_aside("Night Shelter at Harbor House, hours?", SERVICES[:1]) == "it hours?"


def test_a_bank_without_frames_reads_no_facts() -> None:
    from dreamlab.directory.phrases import PhraseBank

    facts = FactReader(PhraseBank(), WordEmbedder())
    assert facts.said(("when",)) == ""
    assert facts.meant(WordEmbedder().embed(["when"])[0])[1] == 0.0


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("what is the phone number of Night Shelter", "phone"),
        ("what is Night Shelter", "description"),
    ],
)
def test_what_is_asks_for_a_description_unless_the_rest_asks_for_another_field(
    asked: str, field: str
) -> None:
    explained = {"en": ("what is {service}", "tell me about {service}")}
    facts = FactReader(replace(BANK, explain=explained), WordEmbedder())
    about = WordEmbedder().embed([put_aside(asked, SERVICES[:1])])[0]
    assert facts.said(tuple(words(asked))) == "description"
    assert facts.read(tuple(words(asked)), about)[0] == field
