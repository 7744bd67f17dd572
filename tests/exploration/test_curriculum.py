from __future__ import annotations

import pytest

from dreamlab.exploration.curriculum import (
    FADING,
    LEVELS,
    Cell,
    Curriculum,
    Tally,
    curriculum,
    level_of,
)
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


def test_facts_and_refusals_visit_no_cell() -> None:
    fact = experience(Referral(field="phone", service_ids=("a",)), kind=TaskKind.FACT)
    none = experience(Referral(nothing_fits=True), kind=TaskKind.NONE)
    learnt = curriculum([fact, none])
    assert learnt.visits == {}
    assert learnt.dreams == 2


def test_what_a_person_asked_is_no_dream_but_tells_what_is_asked() -> None:
    asked = experience(None, kind=TaskKind.ASKED, team=Referral(needs=("food", "legal")))
    learnt = curriculum([asked, asked])
    assert learnt == Curriculum(asked={"food": 0.5, "legal": 0.5})


def test_the_base_is_measured_facet_by_facet() -> None:
    half = Referral(needs=("food",), groups=("veterans",), place="Delano")
    learnt = curriculum([experience(FOOD, half)])
    assert learnt.needs["food"] == Tally(right=1)
    assert learnt.groups["seniors"] == Tally(wrong=1)
    assert learnt.places["Delano"] == Tally(right=1)
    assert learnt.levels["place and group"] == Tally(wrong=1)


def test_an_invented_group_counts_against_questions_without_one() -> None:
    learnt = curriculum([experience(Referral(needs=("food",)), FOOD)])
    assert learnt.groups[""] == Tally(wrong=1)
    assert learnt.places[""] == Tally(wrong=1)


def test_older_nights_count_less() -> None:
    old = experience(FOOD, Referral(), night="2026-11-21")
    new = experience(FOOD, FOOD, night="2026-11-22")
    assert curriculum([old, new]).needs["food"] == Tally(right=1, wrong=FADING)
    assert curriculum([new, old]) == curriculum([old, new])


def test_what_the_base_can_do_today_counts_more_than_what_it_could() -> None:
    old = experience(FOOD, FOOD)
    probe = experience(FOOD, Referral())
    learnt = curriculum([old], [(probe.task, probe.answers[-1])])
    assert learnt.needs["food"] == Tally(right=FADING, wrong=1)
    assert learnt.dreams == 1
    assert learnt.visits == {Cell("food", "seniors", "Delano"): 1}


def test_half_understood_weighs_most() -> None:
    needs = {"known": Tally(right=50), "half": Tally(9, 9), "failing": Tally(wrong=50)}
    sure = {"": Tally(right=500)}
    learnt = Curriculum(needs=needs, groups=sure, places=sure, levels={"one need": Tally()})
    weights = {need: learnt.weight(Cell(need)) for need in needs}
    assert weights["half"] > 4 * weights["known"] > 0
    assert weights["half"] > 4 * weights["failing"] > 0


def test_each_visit_and_each_asked_question_moves_a_weight() -> None:
    learnt = Curriculum(
        visits={Cell("seen"): 3}, asked={"wanted": 0.5}, levels={"one need": Tally()}
    )
    new, seen, wanted = (learnt.weight(Cell(need)) for need in ("new", "seen", "wanted"))
    assert seen == pytest.approx(new / 4)
    assert wanted == pytest.approx(new * 2)


def test_a_level_opens_when_the_one_before_is_mastered() -> None:
    assert Curriculum().opened() == LEVELS[:1]
    good, bad = Tally(right=20), Tally(wrong=20)
    grown = Curriculum(levels={LEVELS[0]: good, LEVELS[1]: good, LEVELS[2]: bad, LEVELS[3]: good})
    assert grown.opened() == LEVELS[:3]
    assert Curriculum(levels=dict.fromkeys(LEVELS, good)).opened() == LEVELS


def test_difficulty_grows_with_the_model() -> None:
    even = dict.fromkeys(LEVELS, 1 / len(LEVELS))
    young = Curriculum(levels=dict.fromkeys(LEVELS, Tally(wrong=20))).lean(even)
    half = {LEVELS[0]: Tally(right=20), LEVELS[1]: Tally(5, 5)}
    grown = Curriculum(levels={**dict.fromkeys(LEVELS, Tally(wrong=20)), **half}).lean(even)
    assert young[LEVELS[0]] > young[LEVELS[1]] == young[LEVELS[-1]] > 0
    assert grown[LEVELS[1]] > grown[LEVELS[0]] > grown[LEVELS[-1]]
    assert sum(young.values()) == pytest.approx(sum(grown.values())) == pytest.approx(1)


@pytest.mark.parametrize(
    ("expected", "level"),
    [
        (Referral(needs=("food",)), "one need"),
        (Referral(needs=("food",), place="Delano"), "place and group"),
        (Referral(field="hours", service_ids=("a",)), "conditions"),
        (Referral(needs=("food", "legal")), "several needs"),
        (Referral(field="phone", service_ids=("a",)), "facts"),
        (Referral(nothing_fits=True), "refusals"),
        (None, ""),
    ],
)
def test_every_dream_has_its_level(expected: Referral | None, level: str) -> None:
    assert level_of(expected) == level


def test_languages_lean_to_what_fails_and_sum_up_to_one() -> None:
    learnt = Curriculum(languages={"en": Tally(right=9), "es": Tally(wrong=9)})
    tilted = learnt.tilt({"en": 0.5, "es": 0.5})
    assert tilted["es"] > 0.5 > tilted["en"]
    assert sum(tilted.values()) == pytest.approx(1)


def test_it_tells_its_reasons() -> None:
    assert curriculum([]).notes([]) == [
        "0 dreams so far, 0 cells visited; nothing is known of the base model yet"
    ]
    asked = experience(None, kind=TaskKind.ASKED, team=Referral(needs=("legal",)))
    learnt = curriculum([experience(FOOD, Referral(place="Delano")), asked])
    told = " | ".join(learnt.notes([Cell("food"), Cell("food", "seniors", "Delano")]))
    for part in ("place and group 33%", "needs food", "1 never dreamt of", "asked most", "legal"):
        assert part in told
