"""The check of an answer against a dream's known answer: pure, no judge, no model.

A dream drawn from directory rows carries the referral that its wording asks for. An answer is
verified when it understood exactly that and cites only rows that fit it. Reason codes say what
went wrong; the same codes measure the base model for the curriculum. Whether the text of an
answer is grounded is not checked here: it is rendered from the cited rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dreamlab.directory.catalog import Catalog
from dreamlab.records import CITED_AT_MOST, PASSED, Answer, Referral, Role, Task

REASONS = (
    "malformed",
    "not_refused",
    "refused",
    "field_wrong",
    "wrong_service",
    "need_missed",
    "need_invented",
    "group_missed",
    "group_invented",
    "place_wrong",
    "cited_outside",
    "open",
    "judged_good",
    "judged_bad",
)
"""Every reason code that a check gives; `open` marks a task without a known answer, of which a
judge may have said whether it is good."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found: `verified` (None for an open task), `score` in [0, 1], reason codes."""

    verified: bool | None
    score: float
    reasons: tuple[str, ...] = ()


def judged(answers: Sequence[Answer], trusted: bool) -> Outcome:
    """The outcome of an open dream: what the judge, if there is one, said of it.

    It is verified only where the judge is `trusted` and passed it.
    """
    verdict = next((a.text for a in answers if a.role == Role.JUDGE and a.use), "")
    if verdict == PASSED:
        return Outcome(True if trusted else None, 0.0, ("open", "judged_good"))
    return Outcome(None, 0.0, ("open", "judged_bad") if verdict == "not passed" else ("open",))


def check(task: Task, answer: Answer, catalog: Catalog) -> Outcome:
    """Whether the answer is the known one: facets equal as sets, cited rows all fitting them.

    Every need must be served by a cited row. `score` is the F1 of the cited services against
    those the directory itself cites for the expected referral and the question.
    """
    if task.expected is None:
        return Outcome(None, 0.0, ("open",))
    reasons = (*misread(task.expected, answer), *_miscited(task.expected, answer, catalog))
    unique = tuple(code for code in REASONS if code in reasons)
    return Outcome(not unique, _f1(task, answer.referral, catalog), unique)


def misread(expected: Referral, answer: Answer) -> tuple[str, ...]:
    """The reason codes of what an answer understood wrongly; none when it understood all.

    It needs no directory: facets and refusal are compared as sets, and of a fact question the
    field and the first cited service.
    """
    return tuple(dict.fromkeys(_misread(expected, answer)))


def _misread(expected: Referral, answer: Answer) -> Iterator[str]:
    got = answer.referral
    if not answer.well_formed:
        yield "malformed"
    if expected.nothing_fits:
        if not got.nothing_fits:
            yield "not_refused"
        return
    if got.nothing_fits:
        yield "refused"
    if got.field != expected.field:
        yield "field_wrong"
    if expected.field:
        if got.service_ids[:1] != expected.service_ids[:1]:
            yield "wrong_service"
        return
    if set(expected.needs) - set(got.needs):
        yield "need_missed"
    if set(got.needs) - set(expected.needs):
        yield "need_invented"
    if set(expected.groups) - set(got.groups):
        yield "group_missed"
    if set(got.groups) - set(expected.groups):
        yield "group_invented"
    if got.place != expected.place:
        yield "place_wrong"


def _miscited(expected: Referral, answer: Answer, catalog: Catalog) -> Iterator[str]:
    cited = answer.referral.service_ids
    if expected.nothing_fits:
        if cited:
            yield "cited_outside"
        return
    if expected.field:
        return
    fitting = {service.id: service for service in catalog.matching(expected)}
    if any(id_ not in fitting for id_ in cited):
        yield "cited_outside"
    served = {need for id_ in cited if id_ in fitting for need in fitting[id_].needs}
    if set(expected.needs) - served:
        yield "need_missed"
    if expected.service_ids and not set(expected.service_ids) & set(cited):
        yield "wrong_service"


def _f1(task: Task, got: Referral, catalog: Catalog) -> float:
    expected = task.expected or Referral()
    if expected.nothing_fits:
        return float(got.nothing_fits and not got.service_ids)
    known = set(expected.service_ids)
    if not known:
        found = catalog.lookup(expected, task.question, CITED_AT_MOST)
        known = {match.service.id for match in found.matches}
    cited = set(got.service_ids)
    hits = len(known & cited)
    return 2 * hits / (len(known) + len(cited)) if hits else 0.0
