"""The nouns of the lab: frozen records that pass between its parts. Read this first.

Nothing here touches a file, a clock or a network. A directory row is a `Service`; a question is
a `Task`; what was understood and cited is a `Referral`; what a role said is an `Answer`; a task
with its answers and the outcome of its check is an `Experience`; a `Reflection` is what the lab
wrote down about experiences; an `Example` is what the base model may learn from one; an
`Evaluation` is a version's score on the benchmark; a `Verdict` is the gate's decision; a
`NightReport` is the manifest of one night.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

T = TypeVar("T")

FACT_FIELDS = ("phone", "address", "hours", "eligibility", "how_to_apply", "fees", "description")
"""Columns of a service that a question may ask for by name; `description` is "what does it do?"."""

CITED_AT_MOST = 5
"""An answer cites at most this many services: a caller can take down no more."""


@dataclass(frozen=True, slots=True)
class Service:
    """One row of a directory: an HSDS service with its organization and one location.

    `needs` and `groups` are the facets it serves; no `groups` means the general public. `place`
    is the city of its location; an empty one means county-wide or not stated. Text fields are
    empty when the source does not state them. `source_date` is printed wherever a row is shown.
    """

    id: str
    organization: str
    name: str
    needs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    description: str = ""
    address: str = ""
    place: str = ""
    zip: str = ""
    phone: str = ""
    url: str = ""
    hours: str = ""
    eligibility: str = ""
    how_to_apply: str = ""
    fees: str = ""
    source_url: str = ""
    source_date: str = ""

    @property
    def text(self) -> str:
        """The row in words, as it is embedded and indexed: what it is, for whom, where."""
        parts = (
            self.name,
            self.organization,
            self.description,
            self.eligibility,
            ", ".join(self.needs),
            ", ".join(self.groups),
            self.place,
        )
        return ". ".join(part for part in parts if part)


class TaskKind(StrEnum):
    """What a task asks for. `ASKED` came from a person, every other kind was dreamt."""

    REFERRAL = "referral"
    FACT = "fact"
    CASE = "case"
    NONE = "none"
    GAP = "gap"
    CONNECT = "connect"
    EXPLAIN = "explain"
    IMAGINE = "imagine"
    IMPROVE = "improve"
    DESIGN = "design"
    ASKED = "asked"


OPEN_KINDS = (TaskKind.IMAGINE, TaskKind.IMPROVE, TaskKind.DESIGN)
"""Dreams that only a language model can answer, and that have no known answer."""


PASSED = "passed"
"""What the judge's answer says of an open dream that may count."""


class Role(StrEnum):
    """Who gave an answer. `TEAM` is the lead's final one; `JUDGE` has read an open dream's."""

    TEAM = "team"
    LEAD = "lead"
    RESOURCE = "resource_specialist"
    SEARCH = "search_specialist"
    RECOMMENDATION = "recommendation_specialist"
    BASE = "base"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Referral:
    """What was understood of a question, and the services cited for it.

    `needs`, `groups` and `place` are facet values of the directory; `field` is one of
    `FACT_FIELDS` when a fact about one named service was asked. `nothing_fits` says that the
    question lies outside the directory: an honest refusal, which differs from a failure to
    understand (all fields empty).
    """

    needs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    place: str = ""
    field: str = ""
    service_ids: tuple[str, ...] = ()
    nothing_fits: bool = False

    @property
    def understood(self) -> bool:
        """Whether anything at all was understood."""
        return (
            bool(self.needs or self.groups or self.place or self.field or self.service_ids)
            or self.nothing_fits
        )


@dataclass(frozen=True, slots=True)
class Task:
    """A question for the team. `expected` is the known answer of a checkable dream, else None.

    `id` is unique within a night and the pair (night, id) across all time. `strategy` names what
    chose the task; `provenance` lists the phrase, row and template ids its wording came from.
    """

    id: str
    question: str
    kind: TaskKind = TaskKind.ASKED
    night: str = ""
    language: str = "en"
    expected: Referral | None = None
    strategy: str = ""
    provenance: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The task's key across nights, `night/id`."""
        return f"{self.night}/{self.id}"


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What a language model had to do with an answer: requests, tokens read and written, dollars.

    `cut` counts the claims of its text that no cited row supports and that were taken out.
    `fallback` is the reason code for which the offline answer stands instead; empty when the
    model's own does. `remembered` says that the answer was known and nothing was asked.
    """

    model: str
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    dollars: float = 0.0
    cut: int = 0
    fallback: str = ""
    remembered: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What one role answered: its referral, the text shown, and how it got there.

    `nearest` are services offered when nothing fits exactly; they are not cited. `notes` are
    human-readable reasons. `seconds` is wall-clock time and `steps` how much of it each named
    part of the work took, in order; `version` the base model's version. `well_formed` is False
    when a model's completion could not be parsed. `use` tells of the language model of this role,
    None where there is none; the team's is the sum over all roles.
    """

    role: Role
    referral: Referral
    text: str = ""
    nearest: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    version: str = ""
    well_formed: bool = True
    steps: tuple[tuple[str, float], ...] = ()
    use: ModelUse | None = None


Hearing = Callable[[Answer], None]
"""Told of each role's answer while the team works."""


def deaf(answer: Answer) -> None:
    """The hearing of who waits for the whole."""


@dataclass(frozen=True, slots=True)
class Experience:
    """A task, every answer to it (the team's first), and the outcome of its check.

    `verified` is None for a task that cannot be checked. `reasons` are reason codes of the
    check; `score` is the F1 of the team's cited services against the expected ones, in [0, 1].
    """

    task: Task
    answers: tuple[Answer, ...]
    created_at: datetime
    verified: bool | None = None
    score: float = 0.0
    reasons: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The experience's key: that of its task."""
        return self.task.key

    @property
    def text(self) -> str:
        """The team's answer, as a person reads it."""
        return self.answers[0].text

    def answer(self, role: Role) -> Answer | None:
        """The answer of one role, or None if it gave none."""
        return next((a for a in self.answers if a.role == role), None)


class MemoryKind(StrEnum):
    """What a row of memory is."""

    EXPERIENCE = "experience"
    REFLECTION = "reflection"
    INSIGHT = "insight"


@dataclass(frozen=True, slots=True)
class Reflection:
    """A sentence the lab wrote down: on one experience, or an insight over many.

    `importance` is in [0, 1]. `sources` are the keys of the experiences it rests on.
    """

    id: str
    night: str
    kind: MemoryKind
    text: str
    created_at: datetime
    importance: float = 0.5
    needs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    place: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """A row recalled from memory with its relevance: `score`, and what the score is made of.

    `similarity`, `recency` and `importance` are each in [0, 1]. `experience` is the remembered
    experience when `kind` is `EXPERIENCE`.
    """

    id: str
    night: str
    kind: MemoryKind
    text: str
    created_at: datetime
    score: float = 0.0
    similarity: float = 0.0
    recency: float = 0.0
    importance: float = 0.0
    needs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    place: str = ""
    experience: Experience | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One thing to learn: the question, the referral to complete it with, and where it came from.

    `rejected` is the base model's worse referral, for comparisons; None when it had it right.
    """

    experience_id: str
    night: str
    kind: TaskKind
    question: str
    chosen: Referral
    rejected: Referral | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A benchmark question with the services accepted for it and the essential ones among them.

    Of a `NONE` question nothing is accepted. `source` is `natural` or `generated`; `half` is
    `decide` or `report`; `tags` name slices of the benchmark.
    """

    id: str
    question: str
    kind: TaskKind
    source: str
    half: str
    language: str = "en"
    essential: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    field: str = ""
    tags: tuple[str, ...] = ()
    cell: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """How one answer did on one benchmark question.

    `f1` in [0, 1]; `right` is success for a question that has an answer and abstention for one
    that has none; `well_formed` whether a model's completion parsed; `ungrounded` counts the
    phone numbers shown that are in no cited row.
    """

    question_id: str
    source: str
    half: str
    kind: TaskKind
    f1: float
    right: bool
    well_formed: bool = True
    ungrounded: int = 0
    cited: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of one subject (`base`, `team`, `dense retrieval`) on one benchmark.

    `benchmark` is the hash of the questions: only evaluations of the same hash compare.
    """

    subject: str
    benchmark: str
    scores: tuple[Score, ...]
    version: str = ""

    def only(self, *, source: str | None = None, half: str | None = None) -> Evaluation:
        """The same evaluation restricted to a source, a half, or both."""
        kept = tuple(
            s
            for s in self.scores
            if (source is None or s.source == source) and (half is None or s.half == half)
        )
        return Evaluation(self.subject, self.benchmark, kept, self.version)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's decision on a challenger, with everything it was decided on.

    `difference` is the mean F1 difference challenger minus champion over `questions` pairs and
    `interval` its 95 % bootstrap interval; `p_value` is McNemar's exact one on right/wrong;
    `detectable` the smallest difference in the share of right answers that the gate could have
    seen at this size. `reasons` are codes with their figures: why not, or why. A challenger that
    did not pass is `tied` when nothing spoke against it but that it was not better beyond chance.
    """

    passed: bool
    reasons: tuple[str, ...]
    questions: int = 0
    difference: float = 0.0
    interval: tuple[float, float] = (0.0, 0.0)
    p_value: float = 1.0
    detectable: float = 0.0
    tied: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of an experiment: what is different in a lab that lives it; by default nothing.

    `strategy` chooses its dreams (empty: the setting's). With `asked` it does not dream: its tasks
    are as people put them and carry no known answer. Without `replayed` it trains on new examples
    alone; without `accumulated` each version starts from the untouched model as well; without
    `checked` every answer of the team is learnt from; without `gated` every challenger is
    registered. `errs` is the share of tasks that its team gets wrong on purpose, in [0, 1].
    `training` is the strategy that it trains by (empty: the setting's).
    """

    name: str = ""
    strategy: str = ""
    asked: bool = False
    replayed: bool = True
    accumulated: bool = True
    checked: bool = True
    gated: bool = True
    errs: float = 0.0
    training: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The dreams of a night, fixed before the first is solved, so that a killed night resumes.

    `version` is the base model's that takes part all night (empty: none is registered yet);
    `forced` records a run outside the window; `notes` say why these dreams were chosen.
    """

    night: str
    tasks: tuple[Task, ...]
    strategy: str
    seed: int
    started_at: datetime
    version: str = ""
    forced: bool = False
    gaps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Training:
    """One training, fixed on disk before it starts, so that a killed one resumes.

    `key` is the night it belongs to. `new` examples were learnt since the parent version was
    trained, `replayed` ones before. `start` is the key of an earlier challenger of the same parent
    whose adapter the training goes on from; empty: from the parent's own. `dataset` is the sha256
    of the exported file and `directory` the fingerprint of the rows that it is right by. `skipped`
    says why no training starts; empty when one does.
    """

    key: str
    seed: int = 0
    parent: str = ""
    start: str = ""
    new: int = 0
    replayed: int = 0
    dataset: str = ""
    nights: tuple[str, ...] = ()
    forced: bool = False
    skipped: str = ""
    directory: str = ""


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """How a training ended: the version it became, or why it became none.

    `scores` maps subject and version ("base 2", "team 2", "dense retrieval") to its metrics on
    the half of the benchmark that is only reported.
    """

    training: Training
    verdict: Verdict | None = None
    version: str = ""
    run_id: str = ""
    seconds: float = 0.0
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NightReport:
    """The manifest of a night, written last: counts, reason codes, gaps and versions.

    `dropped` counts reason codes of everything planned that did not become an example. An empty
    night is a failure: `problem` says why. `base_right` counts the checkable dreams that the base
    model alone got right. `forced` records a run outside the window. `run_id` is the MLflow run.
    `models` sums up what the language models had to do with it: calls, tokens, dollars, fallbacks,
    cut; empty without any.
    """

    night: str
    started_at: datetime
    finished_at: datetime
    planned: int = 0
    solved: int = 0
    verified: int = 0
    remembered: int = 0
    reflections: int = 0
    insights: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    planned_kinds: Mapping[str, int] = field(default_factory=dict)
    base_right: int = 0
    gaps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    strategy: str = ""
    seed: int = 0
    version: str = ""
    forced: bool = False
    complete: bool = True
    problem: str = ""
    run_id: str = ""
    models: Mapping[str, float] = field(default_factory=dict)


def to_json(record: Any) -> str:
    """A record, or a tuple of records, as JSON text: dates in ISO 8601, enums by value."""
    return _adapter(Any).dump_json(record).decode()


def from_json(kind: type[T], text: str | bytes) -> T:
    """The record of type `kind` that `to_json` wrote.

    Raises:
        ValueError: the text is not JSON of that record.
    """
    result: T = _adapter(cast(Hashable, kind)).validate_json(text)
    return result


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
