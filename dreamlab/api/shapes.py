"""The JSON that goes in and out of the web API; the OpenAPI document is made of these models."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dreamlab.directory.catalog import Catalog
from dreamlab.records import Answer, Experience, Memory, Referral, Service

LONGEST = 4_000
FACTS = Literal[
    "", "phone", "address", "hours", "eligibility", "how_to_apply", "fees", "description"
]
Facet = Annotated[str, Field(max_length=200)]


def _whole(value: object) -> object:
    """JSON knows no integers: 7.0 is 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = BeforeValidator(_whole)


class Incoming(BaseModel):
    """What a client sends: nothing beside the fields named, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, regex_engine="python-re")


class Outgoing(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(extra="forbid")


class ReferralShape(BaseModel):
    """What was understood of a question, and the ids of the services cited for it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    needs: Annotated[list[Facet], Field(max_length=20)] = []
    groups: Annotated[list[Facet], Field(max_length=20)] = []
    place: Facet = ""
    field: FACTS = ""
    service_ids: Annotated[list[Facet], Field(max_length=20)] = []
    nothing_fits: bool = False

    @classmethod
    def of(cls, referral: Referral) -> ReferralShape:
        """The shape of a referral."""
        return cls(
            needs=list(referral.needs),
            groups=list(referral.groups),
            place=referral.place,
            field=referral.field,  # type: ignore[arg-type]
            service_ids=list(referral.service_ids),
            nothing_fits=referral.nothing_fits,
        )

    @property
    def record(self) -> Referral:
        """The referral of this shape."""
        return Referral(
            tuple(self.needs),
            tuple(self.groups),
            self.place,
            self.field,
            tuple(self.service_ids),
            self.nothing_fits,
        )


class SolveRequest(Incoming):
    """A question for the team."""

    task: Annotated[
        str,
        Field(
            max_length=LONGEST,
            pattern=r"[^\W_]",
            description="The question, as a person asks it.",
            examples=["Where can my dad get a hot meal? He is 70"],
        ),
    ]
    context: Annotated[
        ReferralShape | None,
        Field(description='The `referral` of the answer before, for "and in Delano?".'),
    ] = None
    roles: Annotated[bool, Field(description="Whether to tell what each role answered.")] = False
    stream: Annotated[
        bool,
        Field(description="Whether to stream progress; `Accept: text/event-stream` says so too."),
    ] = False


class TriggerRequest(Incoming):
    """A dream session to start; every field may be left out."""

    count: Annotated[
        Annotated[int, Field(ge=1, le=10_000), Whole] | None, Field(description="Dreams to plan.")
    ] = None
    strategy: Annotated[
        Literal["curriculum", "breadth", "random"] | None, Field(description="How to choose them.")
    ] = None
    need: Annotated[str | None, Field(description="Dream of this need only.")] = None
    group: Annotated[str | None, Field(description="Dream of this group only.")] = None
    seed: Annotated[
        Annotated[int, Field(ge=0, le=2**32 - 1), Whole] | None,
        Field(description="Reproduces a night."),
    ] = None
    again: Annotated[bool, Field(description="Dream another night after tonight's.")] = False
    force: Annotated[
        bool, Field(description="Run outside the downtime window; this is recorded.")
    ] = False


class MemoriesQuery(BaseModel):
    """What to remember."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(min_length=1, max_length=2_000, description="Words or a question.")]
    limit: Annotated[int, Field(ge=1, le=100, description="Memories at most.")] = 5


class ServiceShape(Outgoing):
    """A service of the directory, as its row has it; empty where the row says nothing."""

    id: str
    name: str
    organization: str
    description: str
    phone: str
    address: str
    place: str
    zip: str
    url: str
    hours: str
    eligibility: str
    how_to_apply: str
    fees: str
    source_url: str
    source_date: str

    @classmethod
    def of(cls, service: Service) -> ServiceShape:
        """The shape of a row."""
        return cls(**{name: getattr(service, name) for name in cls.model_fields})


class RoleShape(Outgoing):
    """What one role of the team answered."""

    role: str
    referral: ReferralShape
    notes: list[str]
    seconds: float

    @classmethod
    def of(cls, answer: Answer) -> RoleShape:
        """The shape of a role's answer."""
        return cls(
            role=answer.role,
            referral=ReferralShape.of(answer.referral),
            notes=list(answer.notes),
            seconds=round(answer.seconds, 4),
        )


class Solved(Outgoing):
    """The team's answer: what to show, what was understood, the services cited and near."""

    id: str
    text: str
    referral: ReferralShape
    services: list[ServiceShape]
    nearest: list[ServiceShape]
    version: Annotated[str, Field(description="The base model's version; empty: none took part.")]
    seconds: float
    roles: Annotated[list[RoleShape] | None, Field(description="Null unless asked for.")]

    @classmethod
    def of(cls, experience: Experience, catalog: Catalog, roles: bool) -> Solved:
        """The shape of an answered question."""
        team = experience.answers[0]
        return cls(
            id=experience.id,
            text=team.text,
            referral=ReferralShape.of(team.referral),
            services=[ServiceShape.of(row) for row in catalog.listed(team.referral.service_ids)],
            nearest=[ServiceShape.of(row) for row in catalog.listed(team.nearest)],
            version=team.version,
            seconds=round(team.seconds, 4),
            roles=[RoleShape.of(a) for a in experience.answers] if roles else None,
        )


class MemoryShape(Outgoing):
    """A memory, and how relevant it is."""

    id: str
    night: str
    kind: Literal["experience", "reflection", "insight"]
    text: str
    created_at: datetime
    score: float
    needs: list[str]
    groups: list[str]
    place: str

    @classmethod
    def of(cls, memory: Memory) -> MemoryShape:
        """The shape of a memory."""
        return cls(
            id=memory.id,
            night=memory.night,
            kind=memory.kind.value,
            text=memory.text,
            created_at=memory.created_at,
            score=round(memory.score, 4),
            needs=list(memory.needs),
            groups=list(memory.groups),
            place=memory.place,
        )


class Memories(Outgoing):
    """Memories, the most relevant first."""

    memories: list[MemoryShape]


class Triggered(Outgoing):
    """The dream session that was started."""

    run_id: str
    name: str
    ui_url: Annotated[str | None, Field(description="Where to watch it; null without Prefect.")]


class WindowShape(Outgoing):
    """The downtime window."""

    start_hour: int
    end_hour: int
    time_zone: str
    open: bool
    opens_at: datetime
    closes_at: Annotated[datetime | None, Field(description="Null if closed, or always open.")]


class NightShape(Outgoing):
    """A finished night."""

    night: str
    finished_at: datetime
    planned: int
    solved: int
    verified: int
    problem: str


class Status(Outgoing):
    """How the lab stands."""

    dreamlab: str
    directory: str
    services: int
    window: WindowShape
    schedule: Literal["served", "deployed", "off"]
    dream_time: str
    dreaming: bool
    last_night: NightShape | None
    unfinished: list[str]
    version: Annotated[int | None, Field(description="The base model that answers, if any.")]


class VersionShape(Outgoing):
    """A registered version of the base model."""

    number: int
    created: datetime
    champion: bool
    parent: int | None
    night: str
    scores: dict[str, float]


class TrainingStats(Outgoing):
    """What has been learnt, and what the next training waits for."""

    champion: int | None
    versions: list[VersionShape]
    experiences: int
    verified: int
    examples_needed: int
    trainings: int
    last_result: Annotated[str, Field(description="`registered`, `rejected`, or empty: none yet.")]
    last_reasons: list[str]


class ProblemShape(Outgoing):
    """A refusal: a stable code, what is wrong, and what to do about it."""

    error: str
    message: str
    hint: str
