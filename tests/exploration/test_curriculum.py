from __future__ import annotations

import pytest

from dreamlab.exploration.curriculum import FADING, Cell, Curriculum, Tally, curriculum
from dreamlab.records import Referral, TaskKind
from tests.exploration.conftest import experience

FOOD = Referral(needs=("food",), groups=("seniors",), place="Delano")


def test_every_need_and_group_of_a_dream_is_a_visit() -> None:
    both = Referral(needs=("food", "legal"), groups=("seniors",), place="Delano")
    learnt = curriculum([experience(both), experience(FOOD)])
    assert learnt.visits == {
        Cell("food", "seniors", "Delano"): 2,
        Cell("legal", "seniors", "Delano"): 1,
    }


def test_facts_and_refusals_visit_no_cell_but_their_kind() -> None:
    fact = experience(Referral(field="phone", service_ids=("a",)), kind=TaskKind.FACT)
    none = experience(Referral(nothing_fits=True), kind=TaskKind.NONE)
    learnt = curriculum([fact, none])
    assert learnt.visits == {}
    assert learnt.kinds_visited == {"fact": 1, "none": 1}


def test_what_a_person_asked_does_not_count() -> None:
    assert curriculum([experience(FOOD, FOOD, kind=TaskKind.ASKED)]) == curriculum([])


def test_the_base_is_measured_facet_by_facet() -> None:
    half = Referral(needs=("food",), groups=("veterans",), place="Delano")
    learnt = curriculum([experience(FOOD, half)])
    assert learnt.needs["food"] == Tally(right=1)
    assert learnt.groups["seniors"] == Tally(wrong=1)
    assert learnt.places["Delano"] == Tally(right=1)
    assert learnt.kinds["referral"] == Tally(wrong=1)


def test_an_invented_group_counts_against_questions_without_one() -> None:
    learnt = curriculum([experience(Referral(needs=("food",)), FOOD)])
    assert learnt.groups[""] == Tally(wrong=1)
    assert learnt.places[""] == Tally(wrong=1)


def test_older_nights_count_less() -> None:
    old = experience(FOOD, Referral(), night="2026-11-21")
    new = experience(FOOD, FOOD, night="2026-11-22")
    assert curriculum([old, new]).needs["food"] == Tally(right=1, wrong=FADING)
    assert curriculum([new, old]) == curriculum([old, new])


def test_the_unknown_weighs_more_than_the_known_and_less_than_the_failing() -> None:
    learnt = Curriculum(
        needs={"known": Tally(right=20), "failing": Tally(wrong=20)}, kinds={"referral": Tally()}
    )
    weights = [learnt.weight(Cell(need)) for need in ("known", "new", "failing")]
    assert weights == sorted(weights)
    assert 0 < weights[0] < weights[1] < weights[2] < 1


def test_shares_lean_to_what_fails_and_sum_up_to_one() -> None:
    learnt = Curriculum(kinds={"fact": Tally(wrong=9), "none": Tally(right=9)})
    tilted = learnt.tilt({"fact": 0.5, "none": 0.5}, learnt.kinds)
    assert tilted["fact"] > 0.5 > tilted["none"]
    assert sum(tilted.values()) == pytest.approx(1)


def test_it_says_in_a_line_where_the_base_fails() -> None:
    assert "nothing is known of the base model yet" in str(curriculum([experience(FOOD)]))
    line = str(curriculum([experience(FOOD, Referral(place="Delano"))]))
    assert "needs food" in line
    assert "groups seniors" in line
    assert "Delano" not in line
    assert "\n" not in line
