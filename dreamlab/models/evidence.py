"""What the base model reads before a question: the facets that plain similarity suggests.

A small model cannot know the words that it never saw; similarity of embeddings can guess at
them, but cannot tell how many guesses to believe. So the model reads the guesses, best first, and
learns which to take: a reader over retrieved evidence (open book), not a memory of phrases.
The evidence line is made of the completion's own tokens and a few ordinary words.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import FacetPhrases, PhraseBank
from dreamlab.directory.words import words
from dreamlab.models.completion import CompletionFormat
from dreamlab.models.language import in_english, language_of, segments
from dreamlab.models.vectors import Embedding, cached_vectors
from dreamlab.records import FACT_FIELDS, Referral, Service

ROWS = 20
"""Nearest rows that vote for their needs."""
TEMPERATURE = 0.1
"""Fall of a row's vote with its distance from the nearest one, in cosine."""
NEEDS, GROUPS = 3, 2
"""Suggestions shown of each, best first."""
SAID, LIKELY = 0.999, 0.5
"""Cosines from which a facet counts as said and as likely; a phrase whose words stand in the
question has 1. Of needs and groups that dreams say 98 % are meant; of those at .6, a fifth."""
WORDS = ("said", "likely", "maybe")
"""What stands before each value: that it is said, likely, or neither."""
FAR, DIM = -0.05, -0.17
"""Leads, in cosine, of phrases outside the directory over phrases and rows inside: half of the
refusals of the deciding half lie above the first, a quarter of the other questions above the
second."""
DISTANCES = ("far", "dim", "near")
"""What stands before the question, by that lead."""
SHRUNK = 3.0
"""Ridge of the regression that tells asking from telling; 1 to 30 are alike."""
FIELDS, NAMED = 2, 0.75
"""Fields shown of a question that names a service, the likeliest first, and the score from which
they are all that is shown: of such dreams 92 % ask for a fact."""

_PROMPT = re.compile(
    r"(?P<evidence>(?:(?:(?:named|said|likely|maybe) ?)?(?:<[^<>]+>)+ )*)"
    r"(?P<distance>far|dim|near) (?P<question>.*)",
    re.DOTALL,
)
_SAID_NEED = re.compile(r"said (<[^<>]+>)")


RECENT, IN_WORDS = 1024, 4096
"""Clues, and vectors of referrals in words, kept in memory."""


@dataclass(frozen=True, eq=False)
class Clue:
    """What the base model is given for one question.

    `prompt` is the question with the evidence before it, as the model reads it; `vector` the
    question's embedding, [d]; `similarity` the cosine of every row of the directory to it, [rows];
    `said` the needs that the question says in words of the bank; `far` whether it is nearer to
    what no directory answers than to this one; `asked` how much it sounds like the bank's words for
    needs and groups (about 1) and not like its situations (about 0).
    """

    prompt: str
    vector: np.ndarray
    similarity: np.ndarray
    said: frozenset[str] = frozenset()
    far: bool = False
    asked: float = 0.0


class Evidence:
    """Suggests facets for questions, by directory, phrase bank and encoder.

    With the book closed a prompt is the question alone. `rows` are the unit vectors of the
    directory's services, [rows, d].

    The vectors of rows and phrases are kept in the folder `cache`, by content, and the latest clues
    in memory: every version is asked the same benchmark. Safe to call from several threads.
    """

    def __init__(
        self,
        catalog: Catalog,
        bank: PhraseBank,
        embedder: Embedding,
        cache: Path | None = None,
        open_book: bool = True,
    ) -> None:
        self._open_book = open_book
        self._catalog = catalog
        self._embedder = embedder
        self._format = CompletionFormat(catalog.needs, catalog.groups, catalog.places)
        self.rows = cached_vectors("rows", [s.text for s in catalog.services], embedder, cache)
        served = np.array([[n in s.needs for n in catalog.needs] for s in catalog.services], float)
        self._served = served / np.sqrt(np.maximum(served.sum(axis=1, keepdims=True), 1))
        self._needs = _Phrases("needs", catalog.needs, bank.needs, embedder, cache)
        self._groups = _Phrases("groups", catalog.groups, bank.groups, embedder, cache)
        self._asking, self._offset = _asking(self._needs, self._groups)
        self._outside = _Phrases(
            "outside", [""], {"": FacetPhrases({}, bank.outside)}, embedder, cache
        )
        asked = {
            field: FacetPhrases({}, {k: tuple(map(_bare, v)) for k, v in frames.items()})
            for field, frames in {**bank.facts, "description": bank.explain}.items()
        }
        self._in_words = lru_cache(IN_WORDS)(self._embed_one)
        self._recent: dict[str, Clue] = {}
        self._lock = threading.Lock()
        self._fields = _Phrases("fields", FACT_FIELDS, asked, embedder, cache)

    def read(self, questions: Sequence[str], hidden: Sequence[Collection[str]] = ()) -> list[Clue]:
        """The evidence on each question.

        `hidden` names for each question the facets (`need`, `group`) whose phrases that stand in
        it are left out, as if the bank had not got them. Dreams are worded in such phrases and
        real questions mostly are not: a model that learns only from dreams that the bank knows
        learns to refuse all others.
        """
        if hidden:
            return self._read(questions, hidden)
        with self._lock:
            known = {q: self._recent[q] for q in questions if q in self._recent}
        new = [q for q in dict.fromkeys(questions) if q not in known]
        known.update(zip(new, self._read(new, [()] * len(new)), strict=True))
        with self._lock:
            self._recent.update((q, known[q]) for q in new)
            for question in list(self._recent)[: max(0, len(self._recent) - RECENT)]:
                del self._recent[question]
        return [known[q] for q in questions]

    def _read(self, questions: Sequence[str], hidden: Sequence[Collection[str]]) -> list[Clue]:
        if not questions:
            return []
        read = [
            [in_english(piece, language_of(question)) for piece in (question, *segments(question))]
            for question in questions
        ]
        vectors = self._embed([piece for one in read for piece in one])
        split = np.split(vectors, np.cumsum([len(one) for one in read])[:-1])
        return [
            self._clue(question, pieces, out)
            for question, pieces, out in zip(questions, split, hidden, strict=True)
        ]

    def reread(self, prompts: Sequence[str]) -> list[tuple[str, Clue]]:
        """The question in each prompt that `read` wrote, and the clue that the prompt was of."""
        if not prompts:
            return []
        parted = [_PROMPT.fullmatch(prompt) for prompt in prompts]
        asked = [p["question"] if p else text for p, text in zip(parted, prompts, strict=True)]
        vectors = self._embed([in_english(q, language_of(q)) for q in asked])
        return [
            (question, self._clue_of(prompt, part, vector))
            for question, prompt, part, vector in zip(asked, prompts, parted, vectors, strict=True)
        ]

    def _clue_of(self, prompt: str, parted: re.Match[str] | None, vector: np.ndarray) -> Clue:
        similarity = self.rows @ vector
        if parted is None:
            return Clue(prompt, vector, similarity, asked=self._asked(vector))
        said = filter(None, map(self._need, _SAID_NEED.findall(parted["evidence"])))
        far = parted["distance"] == DISTANCES[0]
        return Clue(prompt, vector, similarity, frozenset(said), far, self._asked(vector))

    def _asked(self, vector: np.ndarray) -> float:
        return float(vector @ self._asking + self._offset)

    def plainness(self, referral: Referral, clue: Clue) -> float:
        """How plainly a question asks for what a referral says, and for no more: the cosine between
        the question and the referral in words, such as "food for seniors in Taft".

        The names of facets are .8 and more from their referral, other words for them .5 to .75,
        and life situations mostly below .5.
        """
        text = " and ".join(referral.needs)
        text += f" for {referral.groups[0]}" if referral.groups else ""
        text += f" in {referral.place}" if referral.place else ""
        return float(clue.vector @ self._in_words(text))

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors [texts, d], rounded, so that reading many at once shows in no answer."""
        return np.round(self._embedder.embed(texts), 5)

    def _embed_one(self, text: str) -> np.ndarray:
        vector: np.ndarray = self._embed([text])[0]
        return vector

    def _need(self, token: str) -> str:
        kind, value = self._format.parts.get(token, ("", ""))
        return value if kind == "need" else ""

    def _clue(self, question: str, pieces: np.ndarray, hide: Collection[str]) -> Clue:
        """The evidence on a question, from the vectors of it and of its segments."""
        vector = pieces[0]
        cosines = self.rows @ vector
        said = f" {' '.join(words(question))} "
        need = self._needs.similarities(vector, said, "need" in hide)
        groups = [self._groups.similarities(piece, said, "group" in hide) for piece in pieces]
        group = _Similar(
            np.max([one.nearest for one in groups], axis=0),
            np.max([one.score for one in groups], axis=0),
        )
        outside = self._outside.similarities(vector, said, "need" in hide)
        far = outside.nearest.max(initial=0.0)
        inside = (need.nearest.max(initial=0.0) + cosines.max(initial=0.0)) / 2
        facets = [
            self._suggested("need", need, _standard(self._votes(cosines)), NEEDS),
            self._suggested("group", group, np.zeros(len(group.nearest)), GROUPS),
            self._place(question),
        ]
        named = self._catalog.named(question, 1)
        if named:
            others = facets if named[0].score < NAMED else []
            facets = [self._fields_of(named[0].service, question), *others]
        distance = _distance(far - inside)
        said_needs = {
            n for n, s in zip(self._catalog.needs, need.nearest, strict=True) if s >= SAID
        }
        parts = (*facets, distance, question)
        prompt = " ".join(part for part in parts if part) if self._open_book else question
        far = distance == DISTANCES[0]
        return Clue(prompt, vector, cosines, frozenset(said_needs), far, self._asked(vector))

    def _votes(self, cosines: np.ndarray) -> np.ndarray:
        nearest = np.argsort(-cosines)[:ROWS]
        weights = np.exp((cosines[nearest] - cosines[nearest[0]]) / TEMPERATURE)
        votes: np.ndarray = weights @ self._served[nearest]
        return votes

    def _suggested(self, kind: str, found: _Similar, votes: np.ndarray, shown: int) -> str:
        """The values said, then those that are likely, then others, the best first of each."""
        values = self._catalog.needs if kind == "need" else self._catalog.groups
        scores = votes + found.score
        tiers = 2 - np.digitize(found.nearest, (LIKELY, SAID))
        order = sorted(range(len(values)), key=lambda i: (tiers[i] > 0, -scores[i]))
        kept = order[: max(shown, int((tiers == 0).sum()))]
        kept.sort(key=lambda i: tiers[i])
        return " ".join(f"{WORDS[tiers[i]]} {self._token(kind, values[i])}" for i in kept)

    def _token(self, kind: str, value: str) -> str:
        referral = Referral(needs=(value,)) if kind == "need" else Referral(groups=(value,))
        return self._format.encode(referral)

    def _fields_of(self, service: Service, question: str) -> str:
        """The fields that the rest of a question which names a service may ask for."""
        name = {*words(service.name), *words(service.organization)}
        rest = " ".join(word for word in words(question) if word not in name)
        read = in_english(rest, language_of(question))
        found = self._fields.similarities(self._embed_one(read), f" {rest} ")
        best = np.argsort(-found.nearest, kind="stable")[:FIELDS]
        return "named " + "".join(self._format.encode(Referral(field=FACT_FIELDS[i])) for i in best)

    def _place(self, question: str) -> str:
        found = [p for p in self._catalog.places if p.casefold() in question.casefold()]
        return self._format.encode(Referral(place=max(found, key=len))) if found else ""


@dataclass(frozen=True)
class _Similar:
    """For each value of a facet: the cosine of its nearest phrase, and a standardised score."""

    nearest: np.ndarray
    score: np.ndarray


class _Phrases:
    """The phrases of every value of one facet, with their vectors."""

    def __init__(
        self,
        name: str,
        values: Sequence[str],
        bank: Mapping[str, FacetPhrases],
        embedder: Embedding,
        cache: Path | None,
    ) -> None:
        self._sets = [_Set([(value, i, "") for i, value in enumerate(values)])]
        for kind in ("words", "situations"):
            said = [
                (text, i, language)
                for i, value in enumerate(values)
                if value in bank
                for language, texts in getattr(bank[value], kind).items()
                for text in texts
            ]
            self._sets.append(_Set(said))
        for kind, texts in zip(("labels", "words", "situations"), self._sets, strict=True):
            texts.vectors = cached_vectors(f"{name}-{kind}", texts.read, embedder, cache)
        self._size = len(values)

    @property
    def words(self) -> np.ndarray:
        """Vectors of the values' words, [words, d]."""
        return self._sets[1].vectors

    @property
    def situations(self) -> np.ndarray:
        """Vectors of the situations that reveal the values, [situations, d]."""
        return self._sets[2].vectors

    def similarities(self, vector: np.ndarray, said: str, hide: bool = False) -> _Similar:
        """How near the question is to each value, by its name, words and situations."""
        best = [texts.best(vector, said, self._size, hide) for texts in self._sets]
        return _Similar(np.max(best, axis=0), np.sum([_standard(b) for b in best], axis=0))


class _Set:
    """Phrases, the values they stand for and their languages."""

    vectors: np.ndarray

    def __init__(self, said: Sequence[tuple[str, int, str]]) -> None:
        self.texts = [text for text, _, _ in said]
        self.read = [in_english(text, language) for text, _, language in said]
        self._plain = [f" {' '.join(words(text))} " for text in self.texts]
        self._owners = np.array([owner for _, owner, _ in said], int)

    def best(self, vector: np.ndarray, said: str, values: int, hide: bool) -> np.ndarray:
        """The cosine of each value's nearest phrase, [values]; that of a phrase whose words stand
        in `said` is 1, or 0 to `hide` it."""
        found = np.zeros(values)
        if not self.texts:
            return found
        cosines = self.vectors @ vector
        cosines[[text in said for text in self._plain]] = 0.0 if hide else 1.0
        np.maximum.at(found, self._owners, cosines)
        return found


def _asking(*facets: _Phrases) -> tuple[np.ndarray, float]:
    """Weights [d] and offset of the ridge regression (Hoerl and Kennard, 1970) that gives 1 for the
    words and 0 for the situations of these facets; zeros where the bank lacks either."""
    words = np.concatenate([facet.words for facet in facets])
    situations = np.concatenate([facet.situations for facet in facets])
    if not len(words) or not len(situations):
        return np.zeros(words.shape[1]), 0.0
    read = np.concatenate([words, situations]).astype(float)
    target = np.repeat([1.0, 0.0], [len(words), len(situations)])
    middle, rest = read.mean(axis=0), target.mean()
    centred = read - middle
    squares = centred.T @ centred + SHRUNK * np.eye(len(middle))
    weights = np.linalg.solve(squares, centred.T @ (target - rest))
    return weights, float(rest - middle @ weights)


def _distance(lead: float) -> str:
    """How far outside the directory a question seems, by the lead of the phrases outside."""
    return DISTANCES[0 if lead > FAR else 1 if lead > DIM else 2]


def _standard(scores: np.ndarray) -> np.ndarray:
    spread = float(scores.std()) if len(scores) else 0.0
    return (scores - scores.mean()) / spread if spread else np.zeros_like(scores)


def _bare(frame: str) -> str:
    """A question frame without its placeholders."""
    return " ".join(re.sub(r"\{\w+\}", " ", frame).split())
