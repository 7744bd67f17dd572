"""What to look for in memory and how to weigh what was found. Pure: it does not search.

A memory's score is its similarity to the question, lowered a little when it is old and a little
when it was unimportant; neither can lift a memory that is not similar. Similarity is a convex
combination of cosine and normalised BM25, which did better than reciprocal rank fusion in Bruch
et al., "An Analysis of Fusion Functions for Hybrid Retrieval" (2023). Recency and importance
follow Park et al., "Generative Agents" (2023).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dreamlab.memory.codec import remembered
from dreamlab.records import Memory, MemoryKind

SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Weights:
    """How a score is made up. All but `half_life` are shares in [0, 1].

    `dense` is the share of cosine in the similarity, full text has the rest; `recency` and
    `importance` are the shares that the oldest and the least important memory lose;
    `half_life` is in days.
    """

    dense: float = 0.8
    recency: float = 0.1
    importance: float = 0.1
    half_life: float = 30.0


@dataclass(frozen=True, slots=True)
class Filters:
    """Which memories may be recalled; None lets every value pass."""

    kinds: tuple[MemoryKind, ...] | None = None
    night: str | None = None
    before_night: str | None = None
    need: str | None = None
    group: str | None = None
    place: str | None = None
    verified: bool | None = None

    def where(self) -> str:
        """The filters as a SQL condition, empty when all pass."""
        conditions = []
        if self.kinds is not None:
            kinds = ", ".join(quote(kind) for kind in sorted(self.kinds))
            conditions.append(f"kind IN ({kinds})" if kinds else "false")
        if self.night is not None:
            conditions.append(f"night = {quote(self.night)}")
        if self.before_night is not None:
            conditions.append(f"night < {quote(self.before_night)}")
        if self.need is not None:
            conditions.append(f"array_has(needs, {quote(self.need)})")
        if self.group is not None:
            conditions.append(f"array_has(groups, {quote(self.group)})")
        if self.place is not None:
            conditions.append(f"place = {quote(self.place)}")
        if self.verified is not None:
            conditions.append(f"verified = {str(self.verified).lower()}")
        return " AND ".join(conditions)


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that one of the searches found. `cosine` in [-1, 1]; `bm25` is 0 when unknown."""

    key: str
    record: str
    importance: float
    created_at: datetime
    cosine: float
    bm25: float = 0.0


def quote(value: str) -> str:
    """The value as a SQL string literal."""
    return "'" + value.encode("utf-8", "replace").decode("utf-8").replace("'", "''") + "'"


def recency(created_at: datetime, now: datetime, half_life: float) -> float:
    """0.5 to the power of the age in half-lives (days): 1 for now and for the future."""
    age = (_aware(now) - _aware(created_at)).total_seconds() / SECONDS_A_DAY
    return float(0.5 ** (max(0.0, age) / half_life))


def merge(dense: Iterable[Hit], lexical: Iterable[Hit]) -> list[Hit]:
    """The hits of both searches, each row once, with what either knows of it."""
    found = {hit.key: hit for hit in lexical}
    for hit in dense:
        found.setdefault(hit.key, hit)
    return [found[key] for key in sorted(found)]


def rank(
    hits: Sequence[Hit], *, now: datetime, limit: int, weights: Weights | None = None
) -> list[Memory]:
    """The best `limit` hits as memories, best first; ties in order of their keys.

    Raises:
        ValueError: a hit's record cannot be read.
    """
    weights = weights or Weights()
    top = max((hit.bm25 for hit in hits), default=0.0) or 1.0
    scored = []
    for hit in hits:
        similarity = weights.dense * max(0.0, hit.cosine)
        similarity += (1 - weights.dense) * hit.bm25 / top
        fresh = recency(hit.created_at, now, weights.half_life)
        score = similarity
        score *= 1 - weights.recency * (1 - fresh)
        score *= 1 - weights.importance * (1 - hit.importance)
        scored.append((-score, hit.key, similarity, fresh, hit))
    scored.sort(key=lambda entry: entry[:2])
    return [
        replace(
            remembered(hit.key, hit.record),
            score=-negative,
            similarity=min(1.0, similarity),
            recency=fresh,
            importance=hit.importance,
        )
        for negative, _, similarity, fresh, hit in scored[:limit]
    ]


def _aware(moment: datetime) -> datetime:
    """The moment with its zone; one without is taken as UTC, as the store does."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
