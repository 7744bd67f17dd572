import pytest

from dreamlab.errors import QuestionError
from dreamlab.models.language import (
    LONGEST,
    clauses,
    clean,
    gloss,
    language_of,
    segments,
    spelt_out,
)


@pytest.mark.parametrize("question", ["", "   ", "\x00\x1b\n", "?!…"])
def test_an_empty_question_is_refused(question: str) -> None:
    with pytest.raises(QuestionError, match="empty"):
        clean(question)


def test_an_absurdly_long_question_is_refused_with_its_length() -> None:
    with pytest.raises(QuestionError, match="100,000 characters"):
        clean("x" * 100_000)


def test_a_question_of_the_greatest_length_is_read() -> None:
    assert len(clean("x" * LONGEST)) == LONGEST


def test_control_characters_and_line_breaks_become_spaces() -> None:
    assert clean("I need\x07 a\u200b ride\r\n now\x1b[31m") == "I need a ride now [31m"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("where can I get a hot meal", "en"),
        ("¿dónde dan comida?", "es"),
        ("busco comida para mis hijos", "es"),
        ("narcan gratis", "en"),
        ("我需要食物", ""),
        ("مساعدة", ""),
        ("PG&E", "en"),
    ],
)
def test_language_is_told_by_small_words_and_script(text: str, language: str) -> None:
    assert language_of(text) == language


def test_an_undecided_language_is_the_one_given() -> None:
    assert language_of("narcan gratis", "es") == "es"


def test_spanish_is_glossed_word_by_word_and_names_stay() -> None:
    assert gloss("Necesito comida para mis hijos en Lamont") == (
        "need food meals for my son children in lamont"
    )


def test_the_gloss_knows_forms_by_their_stem() -> None:
    assert "doctor" in gloss("doctores")


def test_several_sentences_are_several_clauses() -> None:
    assert clauses("My car died. I need a ride to work, and groceries for a week") == (
        "My car died",
        "I need a ride to work",
        "groceries for a week",
    )


def test_a_single_clause_is_not_repeated() -> None:
    assert clauses("I need a ride to work") == ()


def test_short_forms_are_spelt_out_and_the_rest_stays() -> None:
    assert spelt_out("u know a Dr for my hubby's meds rn? Don't care where") == (
        "you know a doctor for my hubby's medicine right now? Don't care where"
    )


def test_a_question_falls_into_segments_at_joining_words() -> None:
    asked = "a ride to town for my grandma, who is blind"
    assert segments(asked) == ["a ride to town", "my grandma", "is blind"]
    assert segments("comida para mi abuela") == ["mi abuela"]
    assert segments("food") == []
    assert len(segments("one two, " * 50)) == 8
