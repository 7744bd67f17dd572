import pytest

from dreamlab.agents.mentions import PhraseIndex, PlaceIndex, entries, vocabulary_of
from dreamlab.directory.phrases import FacetPhrases, PhraseBank
from tests.agents.conftest import BANK


@pytest.fixture(scope="module")
def phrases() -> PhraseIndex:
    return PhraseIndex(entries(BANK), vocabulary_of(BANK, ()))


@pytest.fixture(scope="module")
def places() -> PlaceIndex:
    inside = ("Eastfield", "Westport", "Lake Isabel", "Ash")
    return PlaceIndex(inside, BANK.elsewhere_words, vocabulary_of(BANK, ()))


def said(index: PhraseIndex, text: str) -> list[tuple[str, str]]:
    return [(m.kind, m.facet) for m in index.find(text)]


def test_words_for_a_need_are_found_without_their_article(phrases: PhraseIndex) -> None:
    assert said(phrases, "any hot meals around here?") == [("need", "food")]


def test_spanish_words_are_found_without_accents(phrases: PhraseIndex) -> None:
    assert said(phrases, "un DOCTOR para mi abuelita") == [
        ("need", "healthcare"),
        ("group", "seniors"),
    ]


def test_a_slip_of_the_keys_in_a_longer_word_is_forgiven(phrases: PhraseIndex) -> None:
    assert said(phrases, "where can I get grocceries") == [("need", "food")]
    assert said(phrases, "where can I get grocereis") == [("need", "food")]


def test_a_short_word_is_not_guessed_at(phrases: PhraseIndex) -> None:
    assert said(phrases, "I need a rude awakening") == []


def test_several_needs_are_found_in_their_order(phrases: PhraseIndex) -> None:
    assert said(phrases, "the bus, a lawyer and a roof") == [
        ("need", "transportation"),
        ("need", "legal"),
        ("need", "housing"),
    ]


def test_nothing_is_found_inside_a_longer_phrase() -> None:
    bank = PhraseBank(
        needs={"senior services": FacetPhrases({"en": ("home care for seniors",)})},
        groups={"seniors": FacetPhrases({"en": ("older folks",)})},
    )
    index = PhraseIndex(entries(bank), vocabulary_of(bank, ()))
    assert said(index, "is there home care for seniors") == [("need", "senior services")]
    assert said(index, "rides for seniors") == [("group", "seniors")]


def test_a_word_that_mostly_means_something_else_is_not_trusted() -> None:
    bank = PhraseBank(
        needs={
            "employment": FacetPhrases({"en": ("work", "a job")}),
            "childcare": FacetPhrases(
                {"en": ("daycare",)},
                {"en": ("I work nights and the kids are alone", "I start work at five")},
            ),
        }
    )
    index = PhraseIndex(entries(bank), vocabulary_of(bank, ()))
    assert said(index, "I work weekends and need daycare") == [("need", "childcare")]
    assert said(index, "I need a job") == [("need", "employment")]


@pytest.mark.parametrize(
    "text",
    [
        "a clinic in Westport",
        "a clinic in westprot",
        "clinic west port",
        "WESTPORT clinic",
    ],
)
def test_a_place_is_found_misspelt_or_split(places: PlaceIndex, text: str) -> None:
    assert [p.place for p in places.find(text)] == ["Westport"]


def test_one_telling_word_of_a_place_is_enough(places: PlaceIndex) -> None:
    assert [p.place for p in places.find("food in isabel please")] == ["Lake Isabel"]
    assert places.find("a picnic at the lake") == ()


def test_a_short_place_must_be_spelt_right(places: PlaceIndex) -> None:
    assert places.find("I need cash") == ()
    assert [p.place for p in places.find("food in Ash")] == ["Ash"]


def test_a_place_elsewhere_is_told_from_one_inside(places: PlaceIndex) -> None:
    assert [(p.place, p.inside) for p in places.find("a roof in New Mexico")] == [
        ("New Mexico", False)
    ]


def test_where_a_caller_comes_from_is_no_place_asked_for(places: PlaceIndex) -> None:
    assert [p.place for p in places.find("I just moved from Ohio to Eastfield")] == ["Eastfield"]
