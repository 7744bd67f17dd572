import re
from pathlib import Path

import numpy as np
import pytest

from dreamlab.directory.catalog import Catalog, open_directory
from dreamlab.directory.phrases import PhraseBank, load_phrases
from dreamlab.models.embedding import open_embedder
from dreamlab.models.evidence import Evidence
from dreamlab.records import Referral, Service
from dreamlab.settings import Settings


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    catalog = open_directory("kern", settings)
    return Evidence(catalog, load_phrases(catalog), open_embedder(settings), settings.cache_path)


def line(evidence: Evidence, question: str) -> str:
    prompt = evidence.read([question])[0].prompt
    assert prompt.endswith(question)
    return prompt.removesuffix(question)


def test_a_need_is_said_in_the_words_of_the_bank(evidence: Evidence) -> None:
    (clue,) = evidence.read(["where do I get section 8 in Taft"])
    assert "said <need:housing>" in clue.prompt
    assert "<place:Taft>" in clue.prompt
    assert clue.said == {"housing"}


def test_words_that_no_phrase_has_are_suggested_as_maybe(evidence: Evidence) -> None:
    said = line(evidence, "who would know about tortoise papers")
    assert said.startswith(("likely <need:", "maybe <need:"))
    assert "said" not in said


def test_what_lies_outside_is_far(evidence: Evidence) -> None:
    assert " far " in line(evidence, "what is the capital of France")
    assert " near " in line(evidence, "I need a food pantry")


def test_a_named_service_suggests_the_field_asked_for(evidence: Evidence) -> None:
    said = line(evidence, "what is the phone number of Golden Empire Transit")
    assert "named <ask:phone>" in said


def test_another_language_does_not_suggest_everything(evidence: Evidence) -> None:
    said = line(evidence, "¿dónde encuentro un doctor que no cobre caro?")
    assert len(re.findall("(?:said|likely) <need:", said)) <= 3


def test_reading_many_questions_at_once_changes_none(evidence: Evidence) -> None:
    questions = ["food in Delano", "a lawyer for my grandma", "¿me ayudan con la renta?"]
    together = evidence.read(questions)
    for question, clue in zip(questions, together, strict=True):
        alone = evidence.read([question])[0]
        assert alone.prompt == clue.prompt
        assert np.allclose(alone.similarity, clue.similarity, atol=1e-4)


def test_a_directory_without_phrases_has_its_facet_names(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    rows = (Service("1", "Bread House", "Pantry", ("food",), ("seniors",), place="Oz"),)
    bare = Evidence(Catalog("bare", rows), PhraseBank(), open_embedder(settings))
    assert "said <need:food>" in line(bare, "food for seniors in Oz")


def test_a_hidden_question_is_read_as_if_the_bank_had_not_got_its_words(
    evidence: Evidence,
) -> None:
    question = "where do I get section 8 in Taft"
    hidden = evidence.read([question], [("need",)])[0].prompt
    assert "said <need:housing>" not in hidden
    assert hidden != evidence.read([question])[0].prompt


def test_one_facet_is_hidden_without_the_other(evidence: Evidence) -> None:
    question = "food for seniors"
    hidden = evidence.read([question], [("group",)])[0].prompt
    assert "said <need:food>" in hidden
    assert "said <group:" not in hidden


def test_whom_a_question_is_for_is_found_in_a_piece_of_it(evidence: Evidence) -> None:
    said = line(evidence, "a van that comes to the door - it's for people below the poverty line")
    assert "likely <group:low-income families>" in said


def test_a_prompt_is_read_back_to_its_question(evidence: Evidence) -> None:
    questions = [
        "where do I get section 8 in Taft, near the school?",
        "who won\nthe game",
        "food for seniors",
    ]
    clues = evidence.read(questions)
    again = evidence.reread([clue.prompt for clue in clues])
    assert [question for question, _ in again] == questions
    for clue, (_, found) in zip(clues, again, strict=True):
        assert (found.said, found.far) == (clue.said, clue.far)
        assert found.asked == pytest.approx(clue.asked, abs=1e-4)
        assert np.allclose(found.similarity, clue.similarity, atol=1e-4)


def test_a_plain_question_is_near_to_its_referral_in_words(evidence: Evidence) -> None:
    referral = Referral(needs=("food",), groups=("seniors",), place="Taft")
    plain, story = evidence.read(
        [
            "where is there food for seniors in Taft?",
            "Grandpa burnt the pan again and now my brother has the stove unplugged, over in Taft",
        ]
    )
    assert evidence.plainness(referral, plain) > 0.8
    assert evidence.plainness(referral, story) < 0.5
    assert evidence.plainness(Referral(needs=("legal",)), plain) < 0.4


def test_what_is_asked_for_is_told_from_what_is_told(evidence: Evidence) -> None:
    asked, told, recounted = evidence.read(
        [
            "low cost legal services and a bus pass",
            "the mill shut its gates on us in March and I have not slept since",
            "my wife cries in the bathroom and says it is nothing",
        ]
    )
    assert asked.asked > 0.6
    assert told.asked < 0.4
    assert recounted.asked < 0.4


def test_without_phrases_nothing_sounds_like_asking(tmp_path: Path) -> None:
    rows = (Service("1", "Bread House", "Pantry", ("food",), ("seniors",), place="Oz"),)
    bare = Evidence(Catalog("bare", rows), PhraseBank(), open_embedder(Settings(home=tmp_path)))
    assert [clue.asked for clue in bare.read(["food for seniors", "my fridge is empty"])] == [0, 0]


def test_a_question_about_nothing_here_lies_far(evidence: Evidence) -> None:
    far, near = evidence.read(["who won the world cup", "where can I get food"])
    assert far.far
    assert not near.far


def test_with_the_book_closed_a_prompt_is_the_question_alone(
    evidence: Evidence, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    closed = Evidence(
        open_directory("kern", settings), PhraseBank(), open_embedder(settings), open_book=False
    )
    asked = "a hot meal in Delano"
    assert closed.read([asked])[0].prompt == asked != evidence.read([asked])[0].prompt
