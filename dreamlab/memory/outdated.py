"""What the directory says of memories: which still hold, and which speak of what is no more.

Services close and cities are added after a dream was dreamt. What was learnt of one then is right
no longer, and nobody must be told of a closed service by way of a memory. Pure: nothing is
searched or forgotten here.
"""

from __future__ import annotations

from collections.abc import Callable

from dreamlab.directory.catalog import Catalog
from dreamlab.memory.reflection import about
from dreamlab.records import Experience, Memory, Role, TaskKind

ELSEWHERE = "elsewhere"
"""What the ids of phrases begin with that ask for a place outside the directory."""


def holds(experience: Experience, catalog: Catalog) -> bool:
    """Whether what an experience knows to be right still is, by the directory of today.

    Not so when the service asked about, or all that fitted, is gone, or when a place that lay
    outside is now inside.
    """
    task, known = experience.task, about(experience)
    if known.nothing_fits:
        away = any(phrase.startswith(ELSEWHERE) for phrase in task.provenance)
        text = task.question.casefold()
        inside = any(place.casefold() in text for place in catalog.places)
        return not (task.kind == TaskKind.NONE and away and inside)
    if known.field or (task.expected and known.service_ids):
        team = experience.answer(Role.TEAM)
        ids = known.service_ids or (team.referral.service_ids if team else ())
        return not ids or ids[0] in catalog
    facets = (*known.needs, *known.groups, *([known.place] if known.place else ()))
    listed = {*catalog.needs, *catalog.groups, *catalog.places}
    return listed.issuperset(facets) and (not known.needs or bool(catalog.matching(known)))


def current(recall: Callable[..., list[Memory]], catalog: Catalog, limit: int) -> list[Memory]:
    """The `limit` memories that `recall(limit=n)` finds most relevant and that still hold."""
    asked = limit
    while True:
        found = recall(limit=asked)
        kept = [memory for memory in found if _is_current(memory, catalog)]
        if len(kept) >= limit or len(found) < asked:
            return kept[:limit]
        asked *= 4


def _is_current(memory: Memory, catalog: Catalog) -> bool:
    told = memory.experience is None or holds(memory.experience, catalog)
    return told and not catalog.speaks_of_closed(memory.text)
