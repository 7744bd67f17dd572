from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from dreamlab.errors import TrainingError
from dreamlab.records import Evaluation, TaskKind, Verdict
from dreamlab.training.gate import decide, detectable, mcnemar
from tests.training.conftest import evaluation, scored


def of(rights: list[bool], kind: TaskKind = TaskKind.REFERRAL) -> Evaluation:
    return evaluation([scored(n, float(r), r, kind) for n, r in enumerate(rights)])


def code(verdict: Verdict) -> list[str]:
    return [r.split(":")[0] for r in verdict.reasons if not r.startswith(("right:", "f1:"))]


def gate(champion: Evaluation, challenger: Evaluation, share: float = 0.05) -> Verdict:
    return decide(champion, challenger, max_loss_share=share)


def test_a_clear_improvement_passes():
    verdict = gate(of([False] * 50), of([True] * 20 + [False] * 30))
    assert verdict.passed
    assert code(verdict) == ["better"]
    assert verdict.questions == 50
    assert verdict.difference == pytest.approx(0.4)
    assert verdict.interval[0] > 0
    assert verdict.p_value < 1e-5


def test_a_tie_is_rejected():
    same = of([True, False] * 30)
    assert code(gate(same, same)) == ["not_better"]


def test_an_improvement_within_chance_is_rejected():
    champion, challenger = of([False] * 5 + [True] * 45), of([True] * 3 + [False] * 2 + [True] * 45)
    verdict = gate(champion, challenger)
    assert code(verdict) == ["not_better"]
    assert verdict.difference > 0


def test_a_single_question_can_prove_nothing():
    assert not gate(of([False]), of([True])).passed


def test_higher_f1_alone_passes_when_no_more_questions_are_wrong():
    champion = evaluation([scored(n, 0.3, True) for n in range(30)])
    challenger = evaluation([scored(n, 0.6, True) for n in range(30)])
    assert gate(champion, challenger).passed


def test_higher_f1_does_not_buy_fewer_questions_right():
    champion = evaluation([scored(n, 0.3, True) for n in range(40)])
    challenger = evaluation([scored(n, 0.6, n > 7) for n in range(40)])
    assert code(gate(champion, challenger, share=1.0))[0] == "worse"


def test_a_question_lost_by_chance_does_not_stop_a_higher_f1():
    champion = evaluation([scored(n, 0.3, True) for n in range(40)])
    challenger = evaluation([scored(n, 0.6, n > 0) for n in range(40)])
    assert gate(champion, challenger).passed


def test_a_tie_is_told_from_what_is_worse_or_fails_a_floor():
    same = of([True, False] * 30)
    assert gate(same, same).tied
    worse = evaluation([scored(n, 0.6, True) for n in range(60)])
    assert not gate(evaluation([scored(n, 0.9, True) for n in range(60)]), worse).tied
    malformed = evaluation([scored(n, 1, True, well_formed=n >= 6) for n in range(60)])
    assert not gate(evaluation([scored(n, 1, True) for n in range(60)]), malformed).tied
    assert not gate(of([False] * 60), of([True] * 60)).tied


def test_more_questions_right_do_not_buy_a_lower_f1():
    champion = evaluation([scored(n, 0.6, False) for n in range(40)])
    challenger = evaluation([scored(n, 0.4, True) for n in range(40)])
    assert code(gate(champion, challenger)) == ["worse"]


def test_losing_too_much_of_what_was_right_is_rejected_whatever_is_won():
    champion = of([True] * 20 + [False] * 80)
    challenger = of([False] * 2 + [True] * 98)
    assert code(gate(champion, challenger)) == ["lost_too_much"]
    assert "2 of 20 (10.0%, at most 5.0%)" in gate(champion, challenger).reasons[0]
    assert gate(champion, challenger, share=0.1).passed


def test_a_drop_of_well_formed_answers_is_rejected():
    champion = evaluation([scored(n) for n in range(50)])
    challenger = evaluation([scored(n, 1, True, well_formed=n >= 3) for n in range(50)])
    assert code(gate(champion, challenger)) == ["format_dropped"]


def test_a_drop_of_refusals_where_nothing_fits_is_rejected():
    def both(refused: int, found: int) -> Evaluation:
        nothing = [scored(n, n < refused, n < refused, TaskKind.NONE) for n in range(20)]
        return evaluation(nothing + [scored(100 + n, n < found, n < found) for n in range(80)])

    verdict = decide(both(20, 0), both(16, 80), max_loss_share=0.2)
    assert code(verdict) == ["abstention_dropped"]
    assert "from 20 to 16 of 20" in verdict.reasons[0]
    within_chance = both(18, 80)
    assert decide(both(20, 0), within_chance, max_loss_share=0.2).passed


@pytest.mark.parametrize("kind", [TaskKind.FACT, TaskKind.CASE])
def test_a_skill_that_is_forgotten_for_another_is_rejected(kind: TaskKind):
    def both(kept: int, learnt: int) -> Evaluation:
        skill = [scored(n, n < kept, n < kept, kind) for n in range(20)]
        return evaluation(skill + [scored(100 + n, n < learnt, n < learnt) for n in range(80)])

    verdict = decide(both(20, 0), both(16, 80), max_loss_share=0.3)
    assert code(verdict) == [f"{kind}_dropped"]
    assert decide(both(20, 0), both(18, 80), max_loss_share=0.3).passed


def test_the_half_that_is_only_reported_decides_nothing():
    def of_half(half: str, right: bool) -> list:
        return [scored(n + 100 * (half == "report"), right, right, half=half) for n in range(50)]

    champion = evaluation(of_half("decide", False) + of_half("report", True))
    challenger = evaluation(of_half("decide", True) + of_half("report", False))
    verdict = gate(champion, challenger)
    assert verdict.passed
    assert verdict.questions == 50


def test_another_benchmark_is_an_error():
    with pytest.raises(TrainingError, match="different benchmarks"):
        gate(of([True]), evaluation([scored(0, 1, True)], benchmark="other"))


def test_other_questions_are_an_error():
    with pytest.raises(TrainingError, match="differ in 1 questions"):
        gate(of([True]), of([True, True]))


def test_no_question_that_decides_is_an_error():
    with pytest.raises(TrainingError, match="no question that decides"):
        gate(evaluation([]), evaluation([]))


def test_a_question_scored_twice_is_an_error():
    twice = evaluation([scored(1), scored(1)])
    with pytest.raises(TrainingError, match="scored twice"):
        gate(twice, twice)


pairs = st.lists(
    st.tuples(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.booleans(), st.booleans()),
        st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.booleans(), st.booleans()),
        st.sampled_from([TaskKind.REFERRAL, TaskKind.NONE]),
    ),
    min_size=1,
    max_size=40,
)


def both(drawn: list) -> tuple[Evaluation, Evaluation]:
    sides = (
        [
            scored(n, pair[side][0], pair[side][1], pair[2], well_formed=pair[side][2])
            for n, pair in enumerate(drawn)
        ]
        for side in (0, 1)
    )
    champion, challenger = map(evaluation, sides)
    return champion, challenger


@given(pairs)
def test_the_gate_never_passes_both_ways(drawn):
    champion, challenger = both(drawn)
    assert not (
        decide(champion, challenger, max_loss_share=1).passed
        and decide(challenger, champion, max_loss_share=1).passed
    )


@given(pairs)
def test_what_passes_is_better_in_one_measure_and_not_worse_beyond_chance_in_the_other(drawn):
    champion, challenger = both(drawn)
    verdict = decide(champion, challenger, max_loss_share=1)
    if verdict.passed:
        right = [sum(s.right for s in e.scores) for e in (champion, challenger)]
        more, fewer = verdict.p_value < 0.05 and right[1] > right[0], right[1] < right[0]
        assert more or verdict.interval[0] > 0
        assert not (fewer and verdict.p_value < 0.05)
        assert verdict.interval[1] >= 0


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_the_questions_does_not_matter(drawn, random):
    champion, challenger = both(drawn)
    scores = list(challenger.scores)
    random.shuffle(scores)
    assert gate(champion, challenger) == gate(champion, evaluation(scores))


@given(pairs, st.floats(0, 1), st.floats(0, 1))
def test_a_stricter_loss_share_never_lets_more_pass(drawn, one, other):
    strict, lax = sorted((one, other))
    champion, challenger = both(drawn)
    passed = [decide(champion, challenger, max_loss_share=s).passed for s in (strict, lax)]
    assert passed != [True, False]


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(won, lost):
    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert mcnemar(won, lost) == pytest.approx(expected)


def test_chance_alone_passes_less_than_one_time_in_twenty():
    import random

    draw = random.Random(0)
    passed = 0
    for _ in range(300):
        sides = [[draw.random() < 0.5 for _ in range(80)] for _ in range(2)]
        passed += decide(of(sides[0]), of(sides[1]), max_loss_share=1).passed
    assert passed <= 0.05 * 300


def test_detectable_agrees_with_the_sample_size_formula():
    d = detectable(60, 250)
    z, w = NormalDist().inv_cdf(0.975), NormalDist().inv_cdf(0.8)
    needed = (z * math.sqrt(0.24) + w * math.sqrt(0.24 - d * d)) ** 2 / d**2
    assert needed == pytest.approx(250, rel=1e-3)
    assert d == pytest.approx(0.0865, abs=0.001)


@given(st.integers(1, 500), st.integers(0, 500))
def test_more_questions_never_hide_a_difference(questions, discordant):
    discordant = min(discordant, questions)
    d = detectable(discordant, questions)
    assert 0 < d <= 1
    assert detectable(2 * discordant, 2 * questions) <= d + 1e-9


def test_nothing_is_detectable_below_six_questions():
    assert detectable(3, 5) == 1
