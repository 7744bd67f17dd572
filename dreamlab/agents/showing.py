"""What models are shown, as text: the vocabulary, what earlier questions were about, and rows.

The first two hold no text of a row, a memory or another model, only values of the vocabulary: they
are shown while it is being settled what to cite. Rows are shown after it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from dreamlab.agents.prompting import NOTHING
from dreamlab.records import Memory, MemoryKind, Referral, Role, Service

COLUMNS = (
    "name",
    "organization",
    "needs",
    "groups",
    "place",
    "description",
    "eligibility",
    "hours",
    "fees",
    "how_to_apply",
)
"""What of a row a model is shown: addresses and phone numbers are rendered, not written."""

LONGEST = 1_500
"""Characters of a column that a model is shown."""

Vocabulary = Mapping[str, Sequence[str]]
"""Values by `needs` and `groups`."""


def facets(vocabulary: Vocabulary) -> str:
    """The vocabulary, a line for the needs and one for the groups."""
    return "\n".join(f"{name}: {'; '.join(values)}" for name, values in vocabulary.items())


def earlier(memories: Sequence[Memory], vocabulary: Vocabulary) -> str:
    """What earlier questions like this one were about, in values of the vocabulary and counted;
    only dreams whose known answer was found, and insights."""
    told = [
        _about(known, vocabulary) for memory in memories if (known := _known(memory)) is not None
    ]
    counted = Counter(line for line in told if line)
    return "\n".join(f"- {line} ({count} times)" for line, count in counted.items()) or NOTHING


def said(understood: Mapping[Role, Referral], vocabulary: Vocabulary) -> str:
    """What each expert understood, in values of the vocabulary."""
    return "\n".join(
        f"- {role.value.replace('_', ' ')}: {_about(referral, vocabulary) or NOTHING}"
        for role, referral in understood.items()
    )


def _known(memory: Memory) -> Referral | None:
    if memory.kind == MemoryKind.INSIGHT:
        return Referral(memory.needs, memory.groups)
    experience = memory.experience
    return experience.task.expected if experience and experience.verified else None


def _about(referral: Referral, vocabulary: Vocabulary) -> str:
    needs = [need for need in referral.needs if need in vocabulary["needs"]]
    groups = [group for group in referral.groups if group in vocabulary["groups"]]
    whom = f" for {' and '.join(groups)}" if groups else ""
    return f"{' and '.join(needs)}{whom}".strip()


def row(service: Service) -> str:
    """What a row says, a line for each column."""
    lines = []
    for column in COLUMNS:
        value = getattr(service, column)
        text = ", ".join(value) if isinstance(value, tuple) else " ".join(value.split())
        if text:
            lines.append(f"{column}: {text[:LONGEST]}")
    return "\n".join(lines) or NOTHING


def rows(shown: Mapping[str, Service]) -> list[str]:
    """Several rows, each with its id."""
    return [f"[{id_}]\n{row(service)}" for id_, service in shown.items()]


def example(shown: Mapping[str, Service]) -> str:
    """An id to show the form of a citation by; ids come from the directory and may be anything."""
    return next((id_ for id_ in shown if re.fullmatch(r"[\w.:-]{1,40}", id_)), "row-1")
