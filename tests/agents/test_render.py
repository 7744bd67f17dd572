import dataclasses

from dreamlab.agents.render import render
from dreamlab.records import Referral
from tests.agents.conftest import SERVICES

SHELTER, TENANTS, PANTRY, LUNCH, *_ = SERVICES


def test_every_row_shows_its_source_date_and_the_helpline() -> None:
    text = render(Referral(needs=("food",)), [PANTRY, LUNCH], helpline="2-1-1")
    assert "Listed 2024-01-02; confirm by calling 2-1-1." in text
    assert "Listed 2022-03-04; confirm by calling 2-1-1." in text
    assert "555-010-0003" in text


def test_only_cited_rows_give_their_numbers() -> None:
    text = render(Referral(nothing_fits=True), [], nearest=[PANTRY], problem="outside")
    assert "Pantry Express" in text
    assert "555" not in text


def test_a_fact_is_stated_first() -> None:
    text = render(Referral(field="address"), [TENANTS], helpline="2-1-1")
    assert text.splitlines()[0] == "Address of Eviction defence: 12 Mill Street"


def test_a_fact_that_is_not_on_record_is_said_to_be_missing() -> None:
    text = render(Referral(field="hours"), [TENANTS], helpline="2-1-1")
    assert text.startswith("The directory has no entry under “Hours” for Eviction defence.")
    assert "555-010-0002" in text


def test_spanish_questions_are_answered_in_spanish() -> None:
    text = render(Referral(needs=("food",)), [PANTRY, LUNCH], language="es", helpline="2-1-1")
    assert text.startswith("Estos servicios pueden servirle:")
    assert "confirme llamando al 2-1-1" in text


def test_a_place_without_any_of_them_is_named() -> None:
    text = render(Referral(needs=("legal",), place="Eastfield"), [TENANTS])
    assert "None of these is in Eastfield itself." in text
    assert "itself" not in render(Referral(needs=("food",), place="Eastfield"), [PANTRY])


def test_a_place_elsewhere_is_named_in_the_refusal() -> None:
    text = render(Referral(nothing_fits=True), [], problem="elsewhere", place="Ohio")
    assert text == "This directory does not cover Ohio."


def test_another_script_is_answered_in_both_languages() -> None:
    text = render(Referral(), [], language="", problem="script", helpline="2-1-1")
    assert "English" in text
    assert "español" in text
    assert "2-1-1" in text


def test_control_characters_of_a_row_never_reach_the_reader() -> None:
    row = dataclasses.replace(PANTRY, name="Pantry\x1b[31m\nExpress", source_date="")
    text = render(Referral(needs=("food",)), [row])
    assert "\x1b" not in text
    assert "1. Pantry [31m Express" in text
    assert "Listed at an unknown date; confirm before you go." in text


def test_both_languages_have_the_same_phrases() -> None:
    from dreamlab.agents.render import ENGLISH, SPANISH

    assert ENGLISH.keys() == SPANISH.keys()
