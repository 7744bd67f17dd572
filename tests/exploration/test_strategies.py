from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from dreamlab.directory.catalog import Catalog
from dreamlab.errors import NightError
from dreamlab.exploration.curriculum import Cell, Curriculum, Tally
from dreamlab.exploration.strategies import STRATEGIES, choose, open_cells
from dreamlab.records import Referral

NEEDS = tuple(Cell(need) for need in ("food", "housing", "legal", "transport"))


def names(strategy: str) -> dict[str, str]:
    return {"need": "food"} if strategy == "focus" else {}


def test_cells_are_exactly_the_combinations_that_some_row_fits(island: Catalog) -> None:
    cells = set(open_cells(island))
    for need in island.needs:
        for group in ("", *island.groups):
            for place in ("", *island.places):
                referral = Referral((need,), (group,) if group else (), place)
                rows = [s for s in island.matching(referral) if s.place in ("", place or s.place)]
                assert ((need, group, place) in cells) == bool(rows)


def test_what_is_held_out_is_no_cell(kern: Catalog) -> None:
    cells = open_cells(kern, lambda need, group, place: need == "food" and bool(place))
    assert Cell("food", "seniors") in cells
    assert not any(cell.need == "food" and cell.place for cell in cells)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_seed_reproduces_the_choice(strategy: str, kern: Catalog) -> None:
    cells = open_cells(kern)
    first, second, other = (
        choose(strategy, cells, Curriculum(), 60, Random(seed), **names(strategy))
        for seed in (1, 1, 2)
    )
    assert first == second != other
    assert len(first) == 60


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_more_dreams_than_cells_visit_cells_again(strategy: str) -> None:
    chosen = choose(strategy, NEEDS, Curriculum(), 50, Random(1), **names(strategy))
    assert len(chosen) == 50


def test_breadth_visits_the_least_visited_first() -> None:
    seen = Curriculum(visits={NEEDS[0]: 3, NEEDS[1]: 1})
    chosen = choose("breadth", NEEDS, seen, 4, Random(1))
    assert set(chosen[:2]) == set(NEEDS[2:])
    assert NEEDS[0] not in chosen


def test_breadth_counts_its_own_visits() -> None:
    counts = Counter(choose("breadth", NEEDS, Curriculum(), 40, Random(1)))
    assert set(counts.values()) == {10}


def test_the_curriculum_prefers_what_is_right_about_half_of_the_time() -> None:
    sure = Tally(right=200)
    learnt = Curriculum(
        needs={
            "food": Tally(10, 10),
            "housing": Tally(wrong=200),
            "legal": sure,
            "transport": sure,
        },
        groups={"": sure},
        places={"": sure},
        levels={"one need": Tally(wrong=1)},
    )
    first = Counter(choose("curriculum", NEEDS, learnt, 1, Random(seed))[0] for seed in range(200))
    assert first[NEEDS[0]] > 100
    assert min(first[cell] for cell in NEEDS[1:]) > 5


def test_the_curriculum_prefers_what_was_not_dreamt_of() -> None:
    learnt = Curriculum(visits={cell: 9 for cell in NEEDS[1:]}, levels={"one need": Tally()})
    first = Counter(choose("curriculum", NEEDS, learnt, 1, Random(seed))[0] for seed in range(100))
    assert first[NEEDS[0]] > 60


def test_the_curriculum_prefers_what_people_asked_lately() -> None:
    learnt = Curriculum(asked={"food": 1.0}, levels={"one need": Tally()})
    first = Counter(choose("curriculum", NEEDS, learnt, 1, Random(seed))[0] for seed in range(300))
    assert first[NEEDS[0]] > 1.5 * max(first[cell] for cell in NEEDS[1:])


def test_the_curriculum_goes_in_breadth_while_nothing_is_known() -> None:
    seen = Curriculum(visits={cell: 5 for cell in NEEDS[:3]})
    assert choose("curriculum", NEEDS, seen, 1, Random(1)) == [NEEDS[3]]


def test_plain_needs_get_their_share(kern: Catalog) -> None:
    chosen = choose("random", open_cells(kern), Curriculum(), 100, Random(1), plain=0.4)
    assert sum(not (cell.group or cell.place) for cell in chosen) == 40


def test_shapes_share_a_night_equally(kern: Catalog) -> None:
    chosen = choose("random", open_cells(kern), Curriculum(), 120, Random(1))
    shapes = Counter((bool(cell.group), bool(cell.place)) for cell in chosen)
    assert set(shapes.values()) == {30}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_focus_is_kept_by_every_strategy(strategy: str, kern: Catalog) -> None:
    cells = open_cells(kern)
    chosen = choose(strategy, cells, Curriculum(), 30, Random(1), need="food", group="seniors")
    assert {(cell.need, cell.group) for cell in chosen} == {("food", "seniors")}


@pytest.mark.parametrize(
    ("strategy", "given", "hint"),
    [
        ("curiculum", {}, "did you mean curriculum"),
        ("x", {}, "known are breadth, curriculum, focus, random"),
        ("random", {"need": "fod"}, "did you mean food"),
        ("random", {"group": "senior"}, "did you mean seniors"),
        ("focus", {}, "needs a need or a group"),
    ],
)
def test_a_misspelling_is_named_with_what_was_meant(
    strategy: str, given: dict[str, str], hint: str, kern: Catalog
) -> None:
    with pytest.raises(NightError, match=hint):
        choose(strategy, open_cells(kern), Curriculum(), 5, Random(1), **given)


def test_a_directory_with_nothing_left_to_dream_says_so() -> None:
    with pytest.raises(NightError, match="nothing to dream about"):
        choose("random", (), Curriculum(), 5, Random(1))
