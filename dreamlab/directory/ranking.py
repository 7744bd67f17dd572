"""Which services fit a referral, in which order, and why: pure functions over rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dreamlab.records import Referral, Service


@dataclass(frozen=True)
class Match:
    """A service with the score that ranked it and the reasons in words."""

    service: Service
    score: float
    reasons: tuple[str, ...]


def fits(service: Service, referral: Referral) -> bool:
    """Whether a row meets the facets: one of the needs, its group (or anyone), its place.

    A row without groups serves the general public, one without a place the whole county.
    """
    return (
        any(need in service.needs for need in referral.needs)
        and _serves(service, referral.groups)
        and (not referral.place or service.place in ("", referral.place))
    )


def _serves(service: Service, groups: Sequence[str]) -> bool:
    return not groups or not service.groups or any(g in service.groups for g in groups)


def rank(
    services: Iterable[Service], referral: Referral, relevance: Callable[[Service], float]
) -> list[Match]:
    """The rows best first: those named by id, then those at the place itself, those made for
    the group, those meeting more of the needs, and at last by `relevance` (in [0, 1]).

    The score, in [0, 1], orders the same way.
    """
    steps = len(referral.needs) + 1
    matches = []
    for service in services:
        named = service.id in referral.service_ids
        there = bool(referral.place) and service.place == referral.place
        meant = any(group in service.groups for group in referral.groups)
        hits = [need for need in referral.needs if need in service.needs]
        share = min(max(relevance(service), 0.0), 1.0)
        level = ((named * 2 + there) * 2 + meant) * steps + len(hits) + 0.99 * share
        match = Match(service, level / (8 * steps), _reasons(service, referral, hits))
        earliest = min((service.needs.index(need) for need in hits), default=99)
        matches.append(((-round(level, 6), earliest, service.id), match))
    return [match for _, match in sorted(matches, key=lambda pair: pair[0])]


def _reasons(service: Service, referral: Referral, hits: Sequence[str]) -> tuple[str, ...]:
    reasons = ["named in the question"] if service.id in referral.service_ids else []
    if hits:
        reasons.append("offers " + " and ".join(hits))
    meant = [group for group in referral.groups if group in service.groups]
    if meant:
        reasons.append("for " + " and ".join(meant))
    elif referral.groups and not service.groups:
        reasons.append("open to everyone")
    elif referral.groups:
        reasons.append("meant for " + " and ".join(service.groups))
    if referral.place:
        reasons.append(_where(service, referral.place))
    return tuple(reasons)


def _where(service: Service, place: str) -> str:
    if service.place == place:
        return f"in {place}"
    if not service.place:
        return "county-wide, or no place stated"
    return f"in {service.place}: nothing found in {place}"


def first_of_each(matches: Sequence[Match], needs: Sequence[str], limit: int) -> list[Match]:
    """The first `limit` matches, changed as little as it takes for every need to be among them."""
    kept: list[Match] = []
    for need in needs[:limit]:
        if not any(need in match.service.needs for match in kept):
            kept.extend([m for m in matches if need in m.service.needs][:1])
    for match in matches:
        if len(kept) >= limit:
            break
        if match not in kept:
            kept.append(match)
    return sorted(kept, key=matches.index)[:limit]
