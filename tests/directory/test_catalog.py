import time
from dataclasses import replace

import pytest

from dreamlab.directory.catalog import Catalog, Gap, list_directories, open_directory
from dreamlab.errors import DirectoryError
from dreamlab.records import Referral, Service
from dreamlab.settings import Settings

BED = Service("bed", "Inn", "Beds", ("housing",), ("seniors",), place="Arvin")
FLAT = Service("flat", "Inn", "Flats", ("housing",))
SOUP = Service("soup", "Kitchen", "Soup", ("food",), ("veterans",), place="Taft")
BOTH = Service("both", "Hub", "Food and beds", ("food", "housing"), (), place="Delano")


@pytest.fixture
def small() -> Catalog:
    return Catalog("small", (BED, FLAT, SOUP, BOTH), helpline="2-1-1")


def ids(found: object) -> list[str]:
    return [getattr(item, "service", item).id for item in found]  # type: ignore[attr-defined]


def test_the_shipped_directories_open(settings: Settings) -> None:
    assert list_directories(settings) == ("kern", "kern-all")
    kern, everything = (open_directory(name, settings) for name in ("kern", "kern-all"))
    assert (len(kern), len(everything)) == (139, 237)
    assert len(kern.needs) == 12
    assert len(kern.groups) == 10
    assert kern.helpline == "2-1-1"
    assert kern.folder
    assert (kern.folder / "phrases.toml").is_file()
    assert {service.id for service in kern.services} < {s.id for s in everything.services}


def test_every_shipped_row_names_its_source_and_its_date(kern_all: Catalog) -> None:
    assert all(service.source_url and service.source_date for service in kern_all.services)


def test_an_unknown_directory_is_refused_with_the_known_ones(settings: Settings) -> None:
    for name in ("nowhere", "../kern", "", "a/b", "."):
        with pytest.raises(DirectoryError, match="kern, kern-all"):
            open_directory(name, settings)


def test_facets_are_those_of_the_rows(small: Catalog) -> None:
    assert small.needs == ("food", "housing")
    assert small.groups == ("seniors", "veterans")
    assert small.places == ("Arvin", "Delano", "Taft")


def test_a_catalog_knows_its_services(small: Catalog) -> None:
    assert "bed" in small
    assert "sofa" not in small
    assert small.get("bed") == BED
    with pytest.raises(DirectoryError, match="no service sofa"):
        small.get("sofa")


def test_equal_rows_have_equal_fingerprints(small: Catalog) -> None:
    assert Catalog("other", small.services).fingerprint == small.fingerprint
    changed = (replace(BED, phone="1"), *small.services[1:])
    assert Catalog("small", changed).fingerprint != small.fingerprint


@pytest.mark.parametrize(
    ("referral", "expected"),
    [
        (Referral(needs=("housing",)), ["bed", "flat", "both"]),
        (Referral(needs=("housing", "food")), ["bed", "flat", "soup", "both"]),
        (Referral(needs=("housing",), groups=("veterans",)), ["flat", "both"]),
        (Referral(needs=("housing",), place="Arvin"), ["bed", "flat"]),
        (Referral(needs=("food",), place="Arvin"), ["soup", "both"]),
        (Referral(needs=("food",), groups=("seniors",), place="Taft"), ["both"]),
        (Referral(groups=("seniors",)), []),
        (Referral(place="Taft"), []),
        (Referral(), []),
        (Referral(needs=("music",)), []),
        (Referral(service_ids=("soup", "sofa")), ["soup"]),
        (Referral(needs=("housing",), nothing_fits=True), []),
    ],
)
def test_rows_that_fit_the_facets_match(
    small: Catalog, referral: Referral, expected: list[str]
) -> None:
    assert ids(small.matching(referral)) == expected


def test_the_place_itself_comes_before_county_wide(small: Catalog) -> None:
    found = small.lookup(Referral(needs=("housing",), place="Arvin"))
    assert ids(found.matches) == ["bed", "flat"]
    assert found.matches[0].reasons == ("offers housing", "in Arvin")
    assert found.matches[1].reasons == ("offers housing", "county-wide, or no place stated")
    assert found.nearest == ()


def test_rows_for_the_group_come_before_general_ones(small: Catalog) -> None:
    found = small.lookup(Referral(needs=("housing",), groups=("seniors",)))
    assert ids(found.matches) == ["bed", "flat", "both"]
    assert found.matches[0].reasons == ("offers housing", "for seniors")
    assert found.matches[1].reasons == ("offers housing", "open to everyone")


def test_rows_meeting_more_needs_come_first(small: Catalog) -> None:
    found = small.lookup(Referral(needs=("food", "housing")))
    assert ids(found.matches)[0] == "both"
    assert found.matches[0].reasons == ("offers food and housing",)


def test_the_wording_decides_between_equals(small: Catalog) -> None:
    referral = Referral(needs=("housing",), groups=("veterans",))
    assert ids(small.lookup(referral, "flats please").matches) == ["flat", "both"]
    assert ids(small.lookup(referral, "a bed").matches) == ["both", "flat"]


def test_scores_fall_with_the_rank(kern: Catalog) -> None:
    referral = Referral(needs=("food",), groups=("seniors",), place="Delano")
    scores = [m.score for m in kern.lookup(referral, "hot lunch", limit=9).matches]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_every_need_is_among_the_first(kern: Catalog) -> None:
    needs = ("housing", "food", "legal", "transportation")
    found = kern.lookup(Referral(needs=needs, place="Bakersfield"), "a bed for the night")
    assert len(found.matches) == 5
    for need in needs:
        assert any(need in match.service.needs for match in found.matches)


def test_named_services_come_first(small: Catalog) -> None:
    found = small.lookup(Referral(needs=("housing",), service_ids=("soup",)))
    assert ids(found.matches)[0] == "soup"
    assert "named in the question" in found.matches[0].reasons


def test_a_place_without_rows_is_answered_from_elsewhere_and_says_so(small: Catalog) -> None:
    found = small.lookup(Referral(needs=("food",), place="Arvin"))
    assert ids(found.matches) == ["both", "soup"]
    assert "in Taft: nothing found in Arvin" in found.matches[1].reasons


def test_when_nothing_fits_the_nearest_is_offered(small: Catalog) -> None:
    soup_only = Catalog("soup", (SOUP,))
    found = soup_only.lookup(Referral(needs=("food",), groups=("seniors",), place="Taft"))
    assert found.matches == ()
    assert ids(found.nearest) == ["soup"]
    assert "meant for veterans" in found.nearest[0].reasons
    found = small.lookup(Referral(needs=("music",), groups=("seniors",)))
    assert found.matches == ()
    assert ids(found.nearest) == ["bed"]


def test_a_question_outside_finds_nothing(small: Catalog) -> None:
    for referral in (Referral(), Referral(nothing_fits=True), Referral(needs=("music",))):
        found = small.lookup(referral, "beds")
        assert (found.matches, found.nearest) == ((), ())


def test_a_fact_question_finds_the_service_it_names(kern: Catalog) -> None:
    found = kern.lookup(Referral(field="phone"), "phone number of the CAPK food bank")
    assert ids(found.matches) == ["kern-068"]
    assert kern.lookup(Referral(field="phone"), "what is the phone number").matches == ()


def test_search_finds_words_of_the_row_by_their_stem(kern: Catalog) -> None:
    found = kern.search("vaccinations for schoolchildren", 3)
    assert found[0].service.id == "kern-164"
    assert "vaccinations" in found[0].reasons[0]
    assert kern.search("", 3) == kern.search("qwertyuiop", 3) == ()
    assert kern.search("food", 0) == ()


def test_coverage_counts_general_and_county_wide_rows(small: Catalog) -> None:
    coverage = small.coverage()
    assert len(coverage) == 2 * 2 * 3
    assert coverage["housing", "seniors", "Arvin"] == 2
    assert coverage["housing", "veterans", "Arvin"] == 1
    assert coverage["food", "seniors", "Taft"] == 0


def test_coverage_agrees_with_matching(kern: Catalog) -> None:
    for (need, group, place), count in kern.coverage().items():
        fitting = kern.matching(Referral(needs=(need,), groups=(group,), place=place))
        here = [service for service in fitting if service.place in ("", place)]
        assert len(here) == count


def test_gaps_are_cells_that_no_row_fits(small: Catalog) -> None:
    assert small.gaps(need="food", group="seniors", place="Taft") == (
        Gap("food", "seniors", "Taft"),
    )
    assert small.gaps(need="housing") == ()
    assert [str(gap) for gap in small.gaps(group="seniors")] == [
        "no food for seniors in Arvin",
        "no food for seniors in Taft",
    ]


def test_a_directory_without_groups_and_places_has_no_cells_to_miss() -> None:
    plain = Catalog("plain", (FLAT,))
    assert plain.coverage() == {("housing", "", ""): 1}
    assert plain.gaps() == ()
    assert str(Gap("housing", "", "")) == "no housing"


def test_an_empty_catalog_answers_nothing() -> None:
    empty = Catalog("empty", ())
    assert empty.search("food") == empty.named("food bank") == ()
    assert empty.lookup(Referral(needs=("food",)), "food").matches == ()


def test_lookup_is_quick(kern: Catalog) -> None:
    referral = Referral(needs=("food", "housing"), groups=("seniors",), place="Taft")
    kern.lookup(referral, "warm")
    seconds = []
    for _ in range(21):
        start = time.perf_counter()
        kern.lookup(referral, "where can my dad get a hot meal and a bed, he is 70")
        seconds.append(time.perf_counter() - start)
    assert sorted(seconds)[10] < 0.005


@pytest.mark.parametrize(
    "text", ["", " ", "\0\x01", "食べ物 где", "a" * 100_000, "food " * 20_000, "('--" * 99]
)
def test_absurd_questions_do_no_harm(kern: Catalog, text: str) -> None:
    kern.search(text)
    kern.named(text)
    kern.lookup(Referral(needs=("food",)), text)
    kern.lookup(Referral(field="phone"), text)
