from __future__ import annotations

from random import Random

import pytest

from dreamlab.directory.phrases import PhraseBank
from dreamlab.exploration.wording import Vocabulary, core, fill, normal, roughen, suits


@pytest.mark.parametrize(
    ("frame", "slots", "text"),
    [
        ("any {need} for {group}", {"need": "a ride", "group": "my kids"}, "any ride for my kids"),
        ("closest {need} to {place}", {"need": "the bus", "place": "Taft"}, "closest bus to Taft"),
        ("who helps with {need}", {"need": "help with bills"}, "who helps with bills"),
        ("who helps with {need}", {"need": "help bathing"}, "who helps with bathing"),
        (
            "is there {need} near me",
            {"need": "english classes"},
            "are there english classes near me",
        ),
        ("Is there {need}?", {"need": "rides to dialysis"}, "Are there rides to dialysis?"),
        ("is there {need}", {"need": "a bus pass"}, "is there a bus pass"),
        ("is there {need}", {"need": "diabetes care"}, "is there diabetes care"),
        ("where can i get {need}", {"need": "getting clean"}, "where can i get help getting clean"),
        ("who helps with {need}", {"need": "getting clean"}, "who helps with getting clean"),
        ("any {need}", {"need": "parenting classes"}, "any parenting classes"),
        ("looking for {need}", {"need": "for rent"}, "looking for rent"),
        ("I need a {need}", {"need": "eye exam"}, "I need an eye exam"),
        (
            "{situation}. Who can help?",
            {"situation": "i lost my job"},
            "I lost my job. Who can help?",
        ),
        (
            "{situation}. who can help",
            {"situation": "my rent is due!"},
            "my rent is due! who can help",
        ),
        ("{situation}, what now", {"situation": "can I get help?"}, "can I get help? what now"),
    ],
)
def test_english_frames_are_mended(frame: str, slots: dict[str, str], text: str) -> None:
    assert fill(frame, slots, "en") == text


@pytest.mark.parametrize(
    ("frame", "slots", "text"),
    [
        ("¿sabe de {need}?", {"need": "el WIC"}, "¿sabe del WIC?"),
        ("¿hay {need}?", {"need": "dejar de tomar"}, "¿hay ayuda para dejar de tomar?"),
        ("¿ayuda para {need}?", {"need": "dejar de tomar"}, "¿ayuda para dejar de tomar?"),
        ("{need} y {need2}", {"need": "comida", "need2": "inglés"}, "comida e inglés"),
        ("{need} y {need2}", {"need": "comida", "need2": "hielo"}, "comida y hielo"),
        ("¿quién ayuda con {need}?", {"need": "ayuda con la renta"}, "¿quién ayuda con la renta?"),
        ("ayuda en Taft con {need}", {"need": "ayuda para leer"}, "ayuda en Taft para leer"),
        ("{situation}. ¿Hay ayuda?", {"situation": "ando solo"}, "Ando solo. ¿Hay ayuda?"),
    ],
)
def test_spanish_frames_are_mended(frame: str, slots: dict[str, str], text: str) -> None:
    assert fill(frame, slots, "es") == text


def test_a_pronoun_does_not_follow_a_determiner() -> None:
    assert not suits("closest {need} to {place}", {"need": "someone to talk to"}, "en")
    assert suits("I need {need}", {"need": "someone to talk to"}, "en")


def test_an_article_is_no_part_of_what_is_recognised() -> None:
    assert core("A food bank", "en") == "food bank"
    assert core("un abogado", "es") == "abogado"


def test_an_empty_bank_words_a_facet_by_its_name() -> None:
    words = Vocabulary(PhraseBank())
    assert [p.text for p in words.words("needs", "pet care", "en")] == ["pet care"]
    assert words.words("needs", "pet care", "es") == ()
    assert words.frames("en_need_group_place")
    assert words.facts("how_to_apply", "en")[0].text == "what is the how to apply of {service}"


def test_noise_is_seeded_and_stays_close_to_the_text() -> None:
    text = "Where can I find a food bank in Delano?"
    rough = [roughen(text, "en", Random(seed), 1.0) for seed in range(50)]
    assert rough == [roughen(text, "en", Random(seed), 1.0) for seed in range(50)]
    assert len(set(rough)) > 15
    assert all(abs(len(r) - len(text)) < 20 for r in rough)
    assert roughen(text, "en", Random(1), 0.0) == text


def test_who_greets_is_not_made_to_greet_twice() -> None:
    rough = {roughen("Hi, I need food please", "en", Random(seed), 1.0) for seed in range(50)}
    assert not any(text.lower().count("hi") > 1 or "thank" in text for text in rough)


def test_duplicates_are_found_through_case_and_punctuation() -> None:
    assert normal("Food, in Delano?") == normal("food in delano")
