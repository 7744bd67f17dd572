"""What a completion is worth: the benchmark's own score of the answer that it means.

The reward of training on what the base model writes itself. The directory executes a completion
as it does when the base model answers, but for what a version has learnt of retrieval. Nothing is
trained here.
"""

from __future__ import annotations

from collections.abc import Sequence

from dreamlab.agents.base import BaseModel
from dreamlab.models.evidence import Clue, Evidence
from dreamlab.records import Question, Referral, TaskKind
from dreamlab.training.evaluate import score

MALFORMED = -0.5
"""Reward of a completion that cannot be parsed: less than that of a wrong one, which is 0."""


class Checked:
    """The reward of completions of the prompts that `Evidence` writes, kept for each of them."""

    def __init__(self, base: BaseModel, evidence: Evidence) -> None:
        """Rewards by how `base` executes completions; its decoder is not used."""
        self._base = base
        self._evidence = evidence
        self._asked: dict[str, tuple[str, Clue]] = {}
        self._known: dict[tuple[str, str, str], float] = {}

    def __call__(
        self, prompts: Sequence[str], expected: Sequence[str], written: Sequence[str]
    ) -> list[float]:
        """The reward of each completion, in [0, 1], or `MALFORMED`.

        The F1 of the services cited against those that fit what is expected, five at most; of a
        question about a fact, and of one that nothing fits, whether the answer is right.
        """
        new = [p for p in dict.fromkeys(prompts) if p not in self._asked]
        self._asked.update(zip(new, self._evidence.reread(new), strict=True))
        return [self._kept(*one) for one in zip(prompts, expected, written, strict=True)]

    def _kept(self, prompt: str, expected: str, written: str) -> float:
        key = (prompt, expected, written)
        if key not in self._known:
            self._known[key] = self._worth(*key)
        return self._known[key]

    def _worth(self, prompt: str, expected: str, written: str) -> float:
        text, clue = self._asked[prompt]
        answer = self._base.execute(text, written, clue)
        if not answer.well_formed:
            return MALFORMED
        right = self._base.format.decode(expected) or Referral(nothing_fits=True)
        cited = self._base.execute(text, expected, clue).referral.service_ids
        found = score(self._question(text, right, cited), answer, self._base.catalog)
        return float(found.right) if right.field else found.f1

    def _question(self, text: str, right: Referral, cited: tuple[str, ...]) -> Question:
        kind, accepted = TaskKind.REFERRAL, cited
        if right.nothing_fits:
            kind = TaskKind.NONE
        elif right.field:
            kind, accepted = TaskKind.FACT, cited[:1]
        else:
            accepted = tuple(s.id for s in self._base.catalog.matching(right)) or cited
        return Question(
            id="",
            question=text,
            kind=kind,
            source="",
            half="",
            essential=accepted,
            accepted=accepted,
            field=right.field,
        )
