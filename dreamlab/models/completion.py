"""The one completion format: what any base model, small or large, writes after a question.

A completion is `<none>` (nothing here fits), `<ask:phone>` (a fact about a service named in the
question) or a structured query, `<need:food> <group:seniors> <place:Delano>`, in the directory's
order. Each part is one token for the embedded model and plain text for a larger one. The base
model is thus a semantic parser; the directory executes what it wrote. The token that ends a
completion belongs to the model's tokenizer, not to the format. Pure: no model is loaded here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from dreamlab.records import FACT_FIELDS, Referral

NONE = "<none>"
_PART = re.compile(r"\s*(<[^<>]+>)")
_SAFE = str.maketrans("<>", "()")


@dataclass(frozen=True)
class CompletionFormat:
    """The parts a completion may have: facet values of one directory, each in its order."""

    needs: tuple[str, ...]
    groups: tuple[str, ...]
    places: tuple[str, ...]

    @cached_property
    def parts(self) -> dict[str, tuple[str, str]]:
        """Every part that may be written, in canonical order, as token -> (kind, value)."""
        kinds = {
            "none": ("",),
            "ask": FACT_FIELDS,
            "need": self.needs,
            "group": self.groups,
            "place": self.places,
        }
        return {_token(kind, v): (kind, v) for kind, values in kinds.items() for v in values}

    @property
    def tokens(self) -> tuple[str, ...]:
        """The parts as text; each becomes one token of the embedded model."""
        return tuple(self.parts)

    def covers(self, referral: Referral) -> bool:
        """Whether every facet of a referral is one of this directory."""
        return (
            {*referral.needs} <= {*self.needs}
            and {*referral.groups} <= {*self.groups}
            and referral.place in ("", *self.places)
        )

    def encode(self, referral: Referral) -> str:
        """The canonical completion of a referral, parts joined by single spaces.

        A fact question is its field alone: the service is found from the question. Cited ids are
        not written.

        Raises:
            ValueError: the referral holds nothing, or a value that is not in this format.
        """
        if referral.nothing_fits:
            return NONE
        if referral.field:
            wanted = {_token("ask", referral.field)}
        else:
            wanted = {_token("need", v) for v in referral.needs}
            wanted |= {_token("group", v) for v in referral.groups}
            wanted |= {_token("place", v) for v in (referral.place,) if v}
        if not wanted:
            raise ValueError("a referral in which nothing was understood has no completion")
        if unknown := wanted - self.parts.keys():
            raise ValueError(f"not a facet of this directory: {', '.join(sorted(unknown))}")
        return " ".join(token for token in self.parts if token in wanted)

    def decode(self, text: str) -> Referral | None:
        """The referral that a completion says, values in the directory's order.

        Parts may come in any order, with or without spaces between them. None means malformed:
        empty, anything that is no known part, a part twice, two places or fields, or `<none>`
        beside another part.
        """
        tokens = _PART.findall(text)
        known = [self.parts[token] for token in tokens if token in self.parts]
        rest = _PART.sub("", text).strip()
        if rest or not known or len(known) < len(tokens) or len(set(tokens)) < len(tokens):
            return None
        said = {kind: {v for k, v in known if k == kind} for kind, _ in known}
        if len(said.get("place", ())) > 1 or len(said.get("ask", ())) > 1:
            return None
        if "none" in said:
            return Referral(nothing_fits=True) if len(said) == 1 else None
        return Referral(
            needs=tuple(v for v in self.needs if v in said.get("need", ())),
            groups=tuple(v for v in self.groups if v in said.get("group", ())),
            place="".join(said.get("place", ())),
            field="".join(said.get("ask", ())),
        )


def _token(kind: str, value: str) -> str:
    return f"<{kind}:{value.translate(_SAFE)}>" if value else f"<{kind}>"
