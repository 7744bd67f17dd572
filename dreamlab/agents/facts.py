"""Which fact of a service a question asks for: its phone number, its hours, what it costs.

The service's own words are put aside first ("how late is it open"), so that its name does not
speak for its phone. Then the question is compared with the bank's frames: word by word, and by
kernel ridge regression over their vectors (see `regression.py`), with frames that ask for a need as
the opposite. Which service is meant is known elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dreamlab.agents.regression import Regression
from dreamlab.directory.phrases import PhraseBank
from dreamlab.directory.words import content_words, words
from dreamlab.models.language import in_english
from dreamlab.models.vectors import Embedding, cached_vectors
from dreamlab.records import FACT_FIELDS, Service

OTHERWISE = "otherwise"
SURE = 0.4
"""How surely another field is meant where "what is" does not ask for a description: of questions
worded so, .42 and more; of those that ask what a service is, less for any other field."""
AGAINST = 0.25
"""Weight of looking like a question for a need."""

_SLOT = re.compile(r"\{\w+\}")
_THING = "it"
_LEADING_ON = ("for", "at", "of", "on", "to", "about", "with", "de", "para", "en", "a")
_HELP = {"en": "some help", "es": "ayuda"}
_REPEATED = re.compile(rf"\b{_THING}\b(?:\W+(?:(?:at|of|for|with|about|de|en)\s+)?{_THING}\b)+")


class FactReader:
    """Reads which field of a service is asked for."""

    def __init__(self, bank: PhraseBank, embedder: Embedding, cache: Path | None = None) -> None:
        frames = {**bank.facts, "description": bank.explain}
        known = [
            (field, language, line)
            for field in FACT_FIELDS
            for language, lines in frames.get(field, {}).items()
            for line in lines
        ]
        self._said = sorted(
            ((pieces, field) for field, _, line in known if (pieces := _fixed(line))),
            key=lambda pair: -sum(map(len, pair[0])),
        )
        known += [
            (OTHERWISE, name[:2], line.replace("{need}", _HELP[name[:2]]))
            for name, lines in bank.frames.items()
            for line in lines
            if "{need}" in line
        ]
        texts = [in_english(_bare(line), language) for _, language, line in known]
        vectors = cached_vectors("frames", texts, embedder, cache)
        self._labels = (*FACT_FIELDS, OTHERWISE)
        self._model = Regression(vectors, [field for field, _, _ in known], self._labels)

    def read(self, asked: tuple[str, ...], vector: np.ndarray) -> tuple[str, float]:
        """The field asked for, and how surely: 1 where it is said.

        "What is …" asks what a service does, but not where the rest asks for another field: "what
        is the phone number of …".
        """
        said, (meant, score) = self.said(asked), self.meant(vector)
        if not said or (said == "description" and meant != said and score >= SURE):
            return meant, score
        return said, 1.0

    def said(self, asked: tuple[str, ...]) -> str:
        """The field of the longest frame whose fixed words all stand among the words asked, in
        order; empty if there is none."""
        return next((field for pieces, field in self._said if _in_order(pieces, asked)), "")

    def meant(self, vector: np.ndarray) -> tuple[str, float]:
        """The field that a vector, [dimension], is nearest to, and how surely, up to about 1."""
        scores = dict(zip(self._labels, self._model.scores(vector[None])[0], strict=True))
        field = max(FACT_FIELDS, key=lambda name: scores[name])
        return field, float(scores[field] - AGAINST * scores[OTHERWISE])


def put_aside(question: str, services: Iterable[Service]) -> str:
    """The question with the words of the services' names replaced by "it"."""
    named = {
        word[:STEM]
        for service in services
        for word in content_words(f"{service.name} {service.organization} {service.place}")
    }
    kept = []
    for piece in question.split():
        said = content_words(piece)
        kept.append(_THING if said and all(word[:STEM] in named for word in said) else piece)
    return _REPEATED.sub(_THING, " ".join(kept))


STEM = 6
"""Words with these first letters in common count as forms of one word."""


def _bare(frame: str) -> str:
    return _REPEATED.sub(_THING, _SLOT.sub(_THING, frame))


def _fixed(frame: str) -> tuple[tuple[str, ...], ...]:
    """The words of a frame between its slots, without a preposition that only leads to the last
    slot; none where there are fewer than two."""
    pieces = [piece for part in _SLOT.split(frame) if (piece := tuple(words(part)))]
    if pieces and frame.endswith(("}", "}?")) and pieces[-1][-1] in _LEADING_ON:
        pieces[-1] = pieces[-1][:-1]
    return tuple(filter(None, pieces)) if sum(map(len, pieces)) > 1 else ()


def _in_order(pieces: Sequence[tuple[str, ...]], said: tuple[str, ...]) -> bool:
    at = 0
    for piece in pieces:
        starts = range(at, len(said) - len(piece) + 1)
        found = next((i for i in starts if said[i : i + len(piece)] == piece), None)
        if found is None:
            return False
        at = found + len(piece)
    return True
