"""What rows bear out stays, what they do not is cut."""

import pytest

from dreamlab.agents.claims import about, check, numbers_in
from dreamlab.records import Service
from tests.agents.conftest import SERVICES

ROWS = {
    **{s.id: s for s in SERVICES},
    "h": Service(
        "h",
        "North Clinic",
        "Dental care",
        description="Accepts adults. Does not accept private insurance. No appointment needed.",
        hours="Mon-Fri 9:00 am to 5:30 pm",
        fees="Sliding scale from $20 to $1,500",
        phone="(555) 010-0199",
        url="https://clinic.example/dental",
    ),
}

KEPT = [
    "Lunch club serves hot lunches every weekday to people 60 and older [s4].",
    "It is open Mon-Fri 11am-1pm [s4].",
    "Call the Night shelter at 555-010-0001 [s1] or Tenant Union at 555-010-0002 [s2].",
    "Both Harbor House [s1] and Silver Kitchen [s4] are in Eastfield [s1][s4].",
    "Here are two places that fit your situation.",
    "Please call 2-1-1 to confirm.",
    "North Clinic does not accept private insurance [h].",
    "It accepts adults, and no appointment is needed [h].",
    "Its number is 555-010-0199 and it costs from $20 to $1500 [h].",
    "The clinic is open from 9 am [h].",
]
CUT = [
    "They also pay your rent [s1].",
    "Call the Night shelter at 555-010-0002 [s1].",
    "Lunch club serves people 50 and older [s4].",
    "It is open on Sundays [s4].",
    "Wonderland Center gives away cars.",
    "North Clinic accepts private insurance [h].",
    "An appointment is needed [h].",
    "The lunch club is not for people 60 and older [s4].",
    "Lunch club has hot lunch [s9].",
    "Lunch club has hot lunch [s3].",
    "See https://evil.example/now [h].",
    "It costs $30 [h].",
    "Night shelter has beds [s1] and gives away food boxes [s1].",
    "Call 1-800-555-0000.",
]


@pytest.mark.parametrize("sentence", KEPT)
def test_a_claim_in_the_words_of_its_row_stays(sentence):
    checked = check(sentence, ROWS, "2-1-1")
    assert checked.text == sentence
    assert not checked.cut


@pytest.mark.parametrize("sentence", CUT)
def test_a_claim_that_its_row_does_not_bear_out_is_cut(sentence):
    checked = check(sentence, ROWS, "2-1-1")
    assert checked.text == ""
    assert checked.cut == (sentence,)


def test_only_the_bad_sentences_go_and_a_citation_after_the_full_stop_counts():
    text = "Beds and showers at the Night shelter. [s1] It is free for all. [s1]\nLegal help [s2]."
    checked = check(text, ROWS)
    assert checked.text == "Beds and showers at the Night shelter [s1].\nLegal help [s2]."
    assert checked.cut == ("It is free for all [s1].",)
    assert checked.cited == ("s1", "s2")


def test_abbreviations_do_not_end_a_sentence():
    row = Service("d", "Dr. Who Clinic", "Care on St. Mary St. downtown", hours="9 a.m. to 5 p.m.")
    checked = check("Care on St. Mary St. downtown, open 9 a.m. to 5 p.m. [d].", {"d": row})
    assert not checked.cut


def test_spanish_claims_are_checked_through_the_gloss():
    rows = {"f": Service("f", "Food Bank", "Food", ("food",), description="Food for families.")}
    assert not check("Comida para familias [f].", rows).cut
    assert check("Dinero para familias [f].", rows).cut


def test_numbers_compare_by_their_digits():
    assert numbers_in("+1 (555) 010-0199") == numbers_in("555.010.0199") == {"5550100199"}
    assert numbers_in("9:00 to 5:30, $1,500") == {"9", "5:30", "1500"}


def test_what_is_said_of_one_row_is_cited_by_the_lab_and_holds_nothing_to_call():
    row = ROWS["h"]
    told = "The clinic accepts adults! No appointment is needed [s1]. Both fit. It is open."
    said = about(told, row, "2-1-1")
    assert said.text == "The clinic accepts adults [h]. No appointment is needed [h]."
    assert said.cut == ()
    for text in (
        "Its number is 555-010-0199.",
        "Its number is (555) 010-0199.",
        "See https://clinic.example/dental.",
        "Write to desk@clinic.example.",
        "It pays the rent.",
    ):
        assert about(text, row, "2-1-1").cut == (text,)
    assert about("Please call 2-1-1.", row, "2-1-1").text == "Please call 2-1-1 [h]."
