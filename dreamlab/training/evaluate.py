"""Scoring answers on the benchmark: one answer, a whole subject, and the figures of either.

A subject is whatever answers questions: the base model, the team, plain retrieval. Which half of
the questions decides is `gate.py`'s business; nothing is logged here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from dreamlab.directory.catalog import Catalog
from dreamlab.errors import TrainingError
from dreamlab.records import (
    CITED_AT_MOST,
    Answer,
    Evaluation,
    Question,
    Score,
    TaskKind,
)
from dreamlab.training.benchmark import questions_hash
from dreamlab.training.grounding import ungrounded

BATCH = 16
RESAMPLES = 2000
SOURCES = ("natural", "generated")
HALVES = ("decide", "report")

Answering = Callable[[Sequence[str]], Sequence[Answer]]
Progress = Callable[[int, int], None]


def score(question: Question, answer: Answer, catalog: Catalog) -> Score:
    """How one answer did on one question.

    `f1` is of the services cited, five at most, against the accepted ones; to cite five of them
    is full recall, and for a fact one of them is. `right` means: for a question that has an
    answer, an essential service is cited; for a fact it is cited first, the right field was
    understood and the text, if there is one, states it; for a question that has no answer, the
    answer says that nothing fits and cites nothing. A malformed answer is wrong.
    """
    cited = tuple(dict.fromkeys(answer.referral.service_ids))[:CITED_AT_MOST]
    if question.kind is TaskKind.NONE:
        right = answer.well_formed and answer.referral.nothing_fits and not cited
        f1 = float(right)
    else:
        f1 = _f1(cited, question) if answer.well_formed else 0.0
        right = answer.well_formed and _right(question, answer, cited, catalog)
    return Score(
        question_id=question.id,
        source=question.source,
        half=question.half,
        kind=question.kind,
        f1=f1,
        right=right,
        well_formed=answer.well_formed,
        ungrounded=len(ungrounded(answer, catalog)),
        cited=cited,
        seconds=answer.seconds,
    )


def _f1(cited: Sequence[str], question: Question) -> float:
    hits = len(set(cited) & set(question.accepted))
    if not hits:
        return 0.0
    wanted = 1 if question.field else min(CITED_AT_MOST, len(question.accepted))
    precision, recall = hits / len(cited), min(1.0, hits / wanted)
    return 2 * precision * recall / (precision + recall)


def _right(question: Question, answer: Answer, cited: Sequence[str], catalog: Catalog) -> bool:
    if not question.field:
        return any(service in question.essential for service in cited)
    if not cited or cited[0] not in question.essential or cited[0] not in catalog:
        return False
    return answer.referral.field == question.field and _states(
        answer.text, getattr(catalog.get(cited[0]), question.field)
    )


def _states(text: str, value: str) -> bool:
    """Whether a text holds a row's value. Without a text (a base model writes none), or a value
    on record, there is nothing to hold."""
    return not text or _plain(value).rstrip(".") in _plain(text)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def evaluate(
    subject: str,
    answer: Answering,
    questions: Sequence[Question],
    catalog: Catalog,
    version: str = "",
    progress: Progress | None = None,
) -> Evaluation:
    """Asks a subject every question, in batches of 16, and scores the answers.

    `progress` is told (done, total) after each batch. An answer that does not state its seconds
    is given its share of its batch's.

    Raises:
        TrainingError: the subject gave fewer or more answers than it was asked questions.
    """
    scores: list[Score] = []
    for start in range(0, len(questions), BATCH):
        batch = questions[start : start + BATCH]
        begun = time.perf_counter()
        answers = answer([question.question for question in batch])
        share = (time.perf_counter() - begun) / len(batch)
        if len(answers) != len(batch):
            raise TrainingError(f"{subject} answered {len(answers)} of {len(batch)} questions")
        for question, given in zip(batch, answers, strict=True):
            scored = score(question, given, catalog)
            scores.append(replace(scored, seconds=scored.seconds or share))
        if progress:
            progress(len(scores), len(questions))
    return Evaluation(subject, questions_hash(questions), tuple(scores), version)


@dataclass(frozen=True, slots=True)
class Measure:
    """A mean over `n` answers with its 95 % interval; all zero when there is none."""

    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    n: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a set of scores, each over the questions that it concerns.

    `f1` and `right` are over all; `success` (an essential service cited) over questions that
    have an answer, facts aside; `fact_accuracy` over facts; `abstention` is the share refused of
    those that have no answer and `false_abstention` of those that have one; `well_formed` the
    share of answers that parsed; `ungrounded` the phone numbers per answer that no row holds.
    """

    f1: Measure
    right: Measure
    success: Measure
    fact_accuracy: Measure
    abstention: Measure
    false_abstention: Measure
    well_formed: Measure
    ungrounded: Measure


def summarize(scores: Sequence[Score]) -> Summary:
    """The summary of any scores, such as one source, half or slice."""
    unanswerable = [s for s in scores if s.kind is TaskKind.NONE]
    facts = [s for s in scores if s.kind is TaskKind.FACT]
    answerable = [s for s in scores if s.kind is not TaskKind.NONE]
    return Summary(
        f1=_measure([s.f1 for s in scores]),
        right=_measure([s.right for s in scores]),
        success=_measure([s.right for s in answerable if s.kind is not TaskKind.FACT]),
        fact_accuracy=_measure([s.right for s in facts]),
        abstention=_measure([s.right for s in unanswerable]),
        false_abstention=_measure([s.well_formed and not s.cited for s in answerable]),
        well_formed=_measure([s.well_formed for s in scores]),
        ungrounded=_measure([s.ungrounded for s in scores]),
    )


def by_slice(
    evaluation: Evaluation, questions: Sequence[Question], half: str | None = None
) -> dict[str, Summary]:
    """A summary for each tag of the questions, such as `unseen_words` or `misspelled`."""
    tags = {question.id: question.tags for question in questions}
    kept = evaluation.only(half=half).scores
    names = sorted({tag for s in kept for tag in tags.get(s.question_id, ())})
    return {
        name: summarize([s for s in kept if name in tags.get(s.question_id, ())]) for name in names
    }


def metrics(evaluation: Evaluation) -> dict[str, float]:
    """All figures by name, as MLflow takes them: `natural/report/f1`, `.../f1_low`, `.../f1_high`.

    For each source and half every figure that concerns a question, with its interval, and for
    each kind of question in it `f1` and `right` (`natural/report/fact/f1`); `questions` counts.
    """
    return {
        f"{source}/{half}/{name}": value
        for source in SOURCES
        for half in HALVES
        for name, value in _figures(evaluation.only(source=source, half=half).scores)
    }


def _figures(scores: Sequence[Score]) -> Iterator[tuple[str, float]]:
    if not scores:
        return
    yield "questions", float(len(scores))
    yield "seconds", float(np.mean([s.seconds for s in scores]))
    for name, measure in _measures(summarize(scores)).items():
        yield name, measure.value
        yield f"{name}_low", measure.low
        yield f"{name}_high", measure.high
    for kind in dict.fromkeys(s.kind for s in scores):
        members = [s for s in scores if s.kind is kind]
        yield f"{kind}/questions", float(len(members))
        yield f"{kind}/f1", float(np.mean([s.f1 for s in members]))
        yield f"{kind}/right", float(np.mean([s.right for s in members]))


def _measures(summary: Summary) -> Mapping[str, Measure]:
    named = {f.name: getattr(summary, f.name) for f in fields(summary)}
    return {name: measure for name, measure in named.items() if measure.n}


def _measure(values: Sequence[float]) -> Measure:
    if not values:
        return Measure()
    low, high = bootstrap_interval(values)
    return Measure(float(np.mean(values)), low, high, len(values))


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean, 2000 resamples, seeded.

    Of values that are all equal it has no width: it knows nothing beyond the sample. Source:
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    sample = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(sample), (RESAMPLES, len(sample)))
    low, high = np.quantile(sample[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)
