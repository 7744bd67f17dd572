"""What a question means: needs, groups, place, the fact asked for, or that it lies outside.

Two readings are put together: what is said in so many words (`mentions.py`), and what is meant,
by regression over the vectors of the phrase bank (`regression.py`). No service is looked for here,
except those called by their name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dreamlab.agents.facts import FactReader, put_aside
from dreamlab.agents.mentions import (
    GROUP,
    NEED,
    OUTSIDE,
    Mention,
    PhraseIndex,
    PlaceIndex,
    PlaceMention,
    entries,
    vocabulary_of,
)
from dreamlab.agents.regression import Regression
from dreamlab.directory.catalog import Catalog, Match
from dreamlab.directory.phrases import PhraseBank
from dreamlab.directory.words import content_words, words
from dreamlab.models.language import clauses, in_english, language_of
from dreamlab.models.vectors import Embedding, cached_vectors
from dreamlab.records import Referral

RIDGE = 1.0
OUTSIDE_WEIGHT = 6.0
"""How much more a phrase that lies outside counts: there are few of them."""

NAMED = 5
"""Services called by name that are looked at."""

NEED_MARKS = (0.3, 0.7)
GROUP_MARKS = (0.6, 0.6)
"""Scores from which a facet counts as meant: when none is said, and beside one that is said."""

HEARD, DOUBTED = 1.0, 0.5
"""Score that a facet has at least which a role names, and what is left of the score of those that
it does not."""

FOLLOW_UP = 8
"""A follow-up has at most this many words."""


@dataclass(frozen=True, eq=False)
class Reading:
    """Everything understood of one question.

    `english` is the question as the encoder reads it and `vectors` its vectors: the whole
    question first, then its clauses, float32 [1 + clauses, dimension]. `need_scores` and
    `group_scores` are in the catalog's order, about 0 (not at all) to 1 (certainly);
    `outside_score` says the same of lying outside the directory. `said_needs` stand in the
    question in words of the bank, and `explained` is the share of its content that such words
    make up; `vague` says that there is no content at all. `named` are services called by name;
    `field` is the fact asked for, and `field_score` how surely. `language` is empty for a script
    that cannot be read.
    """

    question: str
    english: str
    language: str
    vectors: np.ndarray
    needs: tuple[str, ...]
    groups: tuple[str, ...]
    places: tuple[str, ...]
    elsewhere: str
    field: str
    field_score: float
    named: tuple[Match, ...]
    need_scores: np.ndarray
    group_scores: np.ndarray
    outside_score: float
    said_needs: tuple[str, ...]
    said_outside: bool
    explained: float
    vague: bool

    @property
    def place(self) -> str:
        """The first place named inside the directory's area."""
        return self.places[0] if self.places else ""


class Reader:
    """Reads questions for one directory, phrase bank and encoder.

    Fitted when it is made: some 2,300 phrases are embedded (ten seconds, once: vectors are kept
    in the folder `cache`, by content) and one linear system is solved (half a second).
    """

    def __init__(
        self, catalog: Catalog, bank: PhraseBank, embedder: Embedding, cache: Path | None = None
    ) -> None:
        self._catalog = catalog
        self._embedder = embedder
        phrases = entries(bank, catalog.needs, catalog.groups)
        known = vocabulary_of(bank, ())
        rows = (f"{s.name} {s.organization} {s.description}" for s in catalog.services)
        self._phrases = PhraseIndex(phrases, vocabulary_of(bank, rows))
        self._small_talk = vocabulary_of(PhraseBank(frames=bank.frames), ())
        self._places = PlaceIndex(catalog.places, bank.elsewhere_words, known)
        self._facts = FactReader(bank, embedder, cache)
        self._labels = [
            *((NEED, need) for need in catalog.needs),
            *((GROUP, group) for group in catalog.groups),
            (OUTSIDE, ""),
        ]
        texts = [in_english(e.text, e.language) for e in phrases]
        self._meaning = Regression(
            cached_vectors("phrases", texts, embedder, cache),
            [(e.kind, e.facet) for e in phrases],
            self._labels,
            RIDGE,
            np.array([OUTSIDE_WEIGHT if e.kind == OUTSIDE else 1.0 for e in phrases]),
        )

    def read(
        self,
        questions: Sequence[str],
        languages: Sequence[str],
        contexts: Sequence[Referral | None],
    ) -> list[Reading]:
        """The readings of clean questions, all embedded at once.

        A language is what to assume where the text does not tell. A context is the answer that a
        question may follow up: "and in Delano?".
        """
        if not questions:
            return []
        spoken = [language_of(q, a or "en") for q, a in zip(questions, languages, strict=True)]
        full = [self._continued(q, c) for q, c in zip(questions, contexts, strict=True)]
        named = [self._named(q, c) for q, c in zip(full, contexts, strict=True)]
        texts = [
            [in_english(part, language) for part in (question, *clauses(question), asked)]
            for question, language, asked in zip(
                full, spoken, map(_about, full, named), strict=True
            )
        ]
        read = zip(full, spoken, texts, self._vectors(texts), named, strict=True)
        return [self._reading(*one) for one in read]

    def heard(
        self, reading: Reading, needs: Sequence[str], groups: Sequence[str], words: Sequence[str]
    ) -> Reading:
        """The reading with what somebody understood of the question besides: facets that are
        meant, and English words for what is looked for, which count as further parts of it.

        What the question says in so many words stays.
        """
        if words:
            more = np.round(self._embedder.embed(list(words)), 5)
            reading = replace(
                reading,
                english=". ".join((reading.english, *words)),
                vectors=np.concatenate([reading.vectors, more]),
            )
        if needs:
            kept = {*needs, *reading.said_needs}
            reading = replace(
                reading,
                needs=tuple(need for need in self._catalog.needs if need in kept),
                need_scores=_lifted(self._catalog.needs, reading.need_scores, kept, DOUBTED),
                outside_score=min(reading.outside_score, 0.0),
                said_outside=False,
            )
        if groups:
            kept = {*groups, *reading.groups}
            reading = replace(
                reading,
                groups=tuple(group for group in self._catalog.groups if group in kept),
                group_scores=_lifted(self._catalog.groups, reading.group_scores, kept, 1.0),
            )
        return reading

    def _named(self, question: str, context: Referral | None) -> tuple[Match, ...]:
        """The services called by name; of a fact asked without a name, the one cited before."""
        named = self._catalog.named(question, NAMED)
        ids = context.service_ids if context and not named else ()
        if not ids or not self._facts.said(self._phrases.corrected(question)):
            return named
        known = [self._catalog.get(id_) for id_ in ids[:1] if id_ in self._catalog]
        return tuple(Match(service, 1.0, ("cited before",)) for service in known)

    def _continued(self, question: str, context: Referral | None) -> str:
        """A follow-up with what it leaves out; any other question as it is.

        A follow-up is short and says nothing but a place or a group of its own.
        """
        if context is None or not context.needs or len(words(question)) > FOLLOW_UP:
            return question
        mentions, places = self._phrases.find(question), self._places.find(question)
        if any(m.kind == NEED for m in mentions):
            return question
        content = self._content(question, (*mentions, *places))
        if not content or not all(content):
            return question
        said = [*context.needs]
        if not any(m.kind == GROUP for m in mentions):
            said += [f"for {group}" for group in context.groups]
        if context.place and not places:
            said.append(f"in {context.place}")
        return f"{' and '.join(context.needs)} {' '.join(said[len(context.needs) :])}: {question}"

    def _vectors(self, texts: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """The vectors of each question's texts, rounded so that batching does not show. A single
        question is embedded by itself: whoever embeds it next finds it remembered."""
        flat = [text for parts in texts for text in parts]
        unique = list(dict.fromkeys(flat))
        batches = [unique] if len(texts) > 1 else [unique[:1], unique[1:]]
        rows = np.concatenate([self._embedder.embed(batch) for batch in batches if batch])
        at = {text: row for row, text in enumerate(unique)}
        rows = np.round(rows, 5)[[at[text] for text in flat]]
        ends = np.cumsum([len(parts) for parts in texts])
        return np.split(rows, ends[:-1])

    def _reading(
        self,
        question: str,
        language: str,
        texts: Sequence[str],
        vectors: np.ndarray,
        named: tuple[Match, ...],
    ) -> Reading:
        vectors, about = vectors[:-1], vectors[-1]
        scores = self._meaning.scores(vectors)
        best = dict(zip(self._labels, scores.max(axis=0), strict=True))
        mentions, places = self._phrases.find(question), self._places.find(question)
        inside = tuple(p for p in places if p.inside)
        said = {kind: _said(mentions, kind) for kind in (NEED, GROUP)}
        need_scores = np.array([best[NEED, need] for need in self._catalog.needs])
        group_scores = np.array([best[GROUP, group] for group in self._catalog.groups])
        content = self._content(question, (*mentions, *inside))
        field, field_score = self._facts.read(self._phrases.corrected(question), about)
        return Reading(
            question=question,
            english=texts[0],
            language=language,
            vectors=vectors,
            needs=_chosen(self._catalog.needs, need_scores, said[NEED], *NEED_MARKS),
            groups=_chosen(self._catalog.groups, group_scores, said[GROUP], *GROUP_MARKS),
            places=tuple(p.place for p in inside),
            elsewhere="" if inside else next((p.place for p in places), ""),
            field=field,
            field_score=field_score,
            named=named,
            need_scores=need_scores,
            group_scores=group_scores,
            outside_score=float(scores[0, -1]),
            said_needs=said[NEED],
            said_outside=bool(mentions) and {m.kind for m in mentions} == {OUTSIDE},
            explained=sum(content) / len(content) if content else 0.0,
            vague=not content and not named,
        )

    def _content(self, question: str, mentions: Sequence[Mention | PlaceMention]) -> list[bool]:
        """For each content word whether it stands in a mention; small talk of the bank's frames
        is no content."""
        taken = {at for m in mentions for at in range(m.start, m.end)}
        return [
            at in taken
            for at, word in enumerate(words(question))
            if at in taken or (word not in self._small_talk and content_words(word))
        ]


def _lifted(
    values: Sequence[str], scores: np.ndarray, heard: Collection[str], left: float
) -> np.ndarray:
    """The scores with those of facets that were heard raised, and a share `left` of the others."""
    return np.array(
        [
            max(score, HEARD) if value in heard else score * left
            for value, score in zip(values, scores, strict=True)
        ]
    )


def _about(question: str, named: Sequence[Match]) -> str:
    """What a question says of the services that it names."""
    return put_aside(question, [match.service for match in named])


def _said(mentions: Sequence[Mention], kind: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(m.facet for m in mentions if m.kind == kind))


def _chosen(
    values: Sequence[str], scores: np.ndarray, said: Sequence[str], alone: float, beside: float
) -> tuple[str, ...]:
    """The facet values said, and those meant clearly enough, in the catalog's order."""
    mark = beside if said else max(alone, 0.8 * float(scores.max(initial=0.0)))
    return tuple(
        value for value, score in zip(values, scores, strict=True) if value in said or score >= mark
    )
