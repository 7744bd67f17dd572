"""The gate: may a challenger take the champion's place? A pure function of two evaluations.

It compares answers to the same questions of the deciding half, pair by pair. It registers
nothing and knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist, fmean

from dreamlab.errors import TrainingError
from dreamlab.records import Evaluation, Score, TaskKind, Verdict
from dreamlab.training.evaluate import bootstrap_interval

ALPHA = 0.05
POWER = 0.8
TOLERANCE = 0.05
"""Drop of the share of well-formed answers, or of a skill's right ones, that passes in any case."""

FORGOTTEN = 0.1
"""One-sided p below which a larger drop of a skill counts as forgetting. The benchmark has few
questions of some skills: a challenger trained alike loses 3 of 30 refusals every other time."""

FEWEST_CHANGED = 6
"""With fewer pairs that differ, not even all of them on one side are beyond chance (2/2⁶ < .05)."""

Pair = tuple[Score, Score]


def decide(
    champion: Evaluation,
    challenger: Evaluation,
    *,
    max_loss_share: float,
) -> Verdict:
    """Whether the challenger is better than the champion, by more than chance and at no price.

    It passes when all of this holds on the half `decide`:

    - Better beyond chance in one measure: more questions right (exact McNemar test, two-sided
      p < .05), or a higher mean F1 (95 % bootstrap interval of the paired difference above 0,
      at least 6 pairs changed).
    - Not worse beyond chance in the other measure. A tie is rejected, and said to be one.
    - Of the questions that the champion had right, at most `max_loss_share` are lost.
    - No skill is forgotten: for each kind of question (one need, a case of several, a fact, and
      abstention where nothing fits) the share of right answers drops by `TOLERANCE` at most, or
      by no more than chance would have it (exact sign test, p >= `FORGOTTEN`). The share of
      well-formed answers drops by `TOLERANCE` at most.

    On multiplicity: two measures are tried, each two-sided at .05, hence at .025 in the one
    direction that lets a challenger pass; by Bonferroni both together let at most one in twenty
    pass that is no better. The further conditions only lower this. It holds for one challenger:
    of many nights' challengers that are no better, one in twenty may still pass, and is then as
    good as the champion; the half `report`, which decides nothing, shows it.

    Sources: McNemar, Psychometrika 12 (1947) 153-157, exact as a sign test of the discordant
    pairs; Efron and Tibshirani (1993) for the bootstrap.

    Raises:
        TrainingError: the two were not scored on the same questions, or on none that decide.
    """
    pairs = _pairs(champion, challenger)
    won = sum(new.right and not old.right for old, new in pairs)
    lost = sum(old.right and not new.right for old, new in pairs)
    changes = [new.f1 - old.f1 for old, new in pairs]
    difference, interval = fmean(changes), bootstrap_interval(changes)
    p_value = mcnemar(won, lost)
    changed = sum(change != 0 for change in changes)
    more_right = won > lost and p_value < ALPHA
    higher_f1 = interval[0] > 0 and changed >= FEWEST_CHANGED
    less_right = lost > won and p_value < ALPHA
    worse = less_right or interval[1] < 0
    better = (more_right or higher_f1) and not worse
    against = [] if better else ["worse" if worse else "not_better"]
    against += _losses(pairs, lost, max_loss_share)
    against += _drop("format_dropped", pairs, lambda s: s.well_formed)
    for kind in dict.fromkeys(old.kind for old, _ in pairs):
        skill = [pair for pair in pairs if pair[0].kind is kind]
        code = "abstention_dropped" if kind is TaskKind.NONE else f"{kind}_dropped"
        if _forgotten(skill):
            against += _drop(code, skill, lambda s: s.right)
    figures = (
        f"right: {won} won, {lost} lost of {len(pairs)}, p {p_value:.3g}",
        f"f1: {difference:+.3f} [{interval[0]:+.3f}, {interval[1]:+.3f}], {changed} changed",
    )
    return Verdict(
        passed=not against,
        reasons=(*(against or ["better"]), *figures),
        questions=len(pairs),
        difference=difference,
        interval=interval,
        p_value=p_value,
        detectable=detectable(won + lost, len(pairs)),
        tied=against == ["not_better"],
    )


def mcnemar(won: int, lost: int) -> float:
    """Exact two-sided p-value of McNemar's test: a fair coin over the discordant pairs."""
    pairs = won + lost
    tail = sum(math.comb(pairs, k) for k in range(min(won, lost) + 1))
    return min(1.0, 2 * tail / 2**pairs)


def detectable(discordant: int, questions: int) -> float:
    """The smallest difference in the share of right answers that would probably have been seen.

    The d in (0, 1] that solves n d² = (z₀.₉₇₅ √r + z₀.₈ √(r - d²))² for n questions and the
    observed rate r of discordant pairs, at least d: the sample-size formula of Connor, Biometrics
    43 (1987) 207-211, at a two-sided .05 and a power of .8. Never under 6 questions, the fewest
    with which the exact test can speak. 1 where no difference could have been seen.
    """
    z_alpha, z_beta = NormalDist().inv_cdf(1 - ALPHA / 2), NormalDist().inv_cdf(POWER)

    def seen(d: float) -> bool:
        rate = max(discordant / questions, d)
        needed = z_alpha * math.sqrt(rate) + z_beta * math.sqrt(max(rate - d * d, 0.0))
        return questions * d * d >= needed * needed

    low, high = min(1.0, FEWEST_CHANGED / questions), 1.0
    if seen(low):
        return low
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high


def _pairs(champion: Evaluation, challenger: Evaluation) -> list[Pair]:
    """The scores of both on each deciding question, ordered by question."""
    if champion.benchmark != challenger.benchmark:
        raise TrainingError(
            f"champion and challenger were scored on different benchmarks "
            f"({champion.benchmark[:8]} and {challenger.benchmark[:8]}): score the champion again"
        )
    old, new = (_by_question(e.only(half="decide").scores) for e in (champion, challenger))
    if old.keys() != new.keys():
        raise TrainingError(
            f"champion and challenger differ in {len(old.keys() ^ new.keys())} questions: "
            "score both on the whole benchmark"
        )
    if not old:
        raise TrainingError("the benchmark has no question that decides: add questions")
    return [(old[name], new[name]) for name in sorted(old)]


def _by_question(scores: Sequence[Score]) -> dict[str, Score]:
    named = {s.question_id: s for s in scores}
    if len(named) < len(scores):
        raise TrainingError("a question was scored twice: score each once")
    return named


def _losses(pairs: Sequence[Pair], lost: int, max_loss_share: float) -> list[str]:
    held = sum(old.right for old, _ in pairs)
    if not held or lost / held <= max_loss_share:
        return []
    return [f"lost_too_much: {lost} of {held} ({lost / held:.1%}, at most {max_loss_share:.1%})"]


def _forgotten(skill: Sequence[Pair]) -> bool:
    won = sum(new.right and not old.right for old, new in skill)
    lost = sum(old.right and not new.right for old, new in skill)
    return lost > won and mcnemar(won, lost) / 2 < FORGOTTEN


def _drop(code: str, pairs: Sequence[Pair], good: Callable[[Score], bool]) -> list[str]:
    before = sum(good(old) for old, _ in pairs)
    after = sum(good(new) for _, new in pairs)
    if (before - after) / len(pairs) <= TOLERANCE:
        return []
    return [f"{code}: from {before} to {after} of {len(pairs)}"]
