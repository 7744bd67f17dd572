"""Names of persons in a question, English or Spanish, typed in whatever case.

There is no model in it: a name is found by what introduces it ("my name is", "mi hija", "Mrs."),
by the lists of given and family names in Faker, and, where the writer used capitals, by being a
capitalised word that the directory does not know. What the directory knows (its services and
places) is left alone, unless it is introduced as a person.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from itertools import pairwise

from dreamlab.privacy.findings import PLACEHOLDER, Finding, Kind

LOCALES = (
    "en_US",
    "en_GB",
    "en_IN",
    "en_PK",
    "es_MX",
    "es_ES",
    "es_CO",
    "es_CL",
    "es_AR",
    "vi_VN",
)
"""Locales of Faker whose names are known."""

LISTS = ("first_names", "first_names_female", "first_names_male", "last_names")
WORD = re.compile(r"[^\W\d_]+(?:['\u2019-](?!s\b)[^\W\d_]+)*")
_ENDS_SENTENCE = re.compile(r"[.?!:;¿¡\n\"“«(<]|^$")
_CONTRACTION = re.compile(r"'(?:m|re|ve|ll|d|t)$")
_JOINS = {"and", "y", "e", "or", "o", "&"}


@dataclass(frozen=True, slots=True)
class Words:
    """The words of `people.toml`, each set in lower case without accents."""

    introductions: frozenset[str]
    openings: frozenset[str]
    titles: frozenset[str]
    kin: frozenset[str]
    particles: frozenset[str]
    also_words: frozenset[str]
    proper_words: frozenset[str]
    institutions: frozenset[str]
    not_before: frozenset[str]
    of_persons: frozenset[str]
    function_words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Names:
    """Known names, folded word by word: given ones, and family names."""

    given: frozenset[str]
    family: frozenset[str]
    common: frozenset[str]
    """Everyday words of both languages, names among them left out."""


def fold(word: str) -> str:
    """The word in lower case and without accents."""
    plain = unicodedata.normalize("NFD", word.casefold().replace("\u2019", "'"))
    return "".join(c for c in plain if not unicodedata.combining(c))


@cache
def known_words() -> Words:
    """The words of `people.toml`, read once."""
    text = (files("dreamlab.privacy") / "people.toml").read_text(encoding="utf-8")
    return Words(**{name: frozenset(words) for name, words in tomllib.loads(text).items()})


@cache
def known_names() -> Names:
    """The names and everyday words that Faker carries, read once."""
    given: set[str] = set()
    family: set[str] = set()
    for locale in LOCALES:
        provider = import_module(f"faker.providers.person.{locale}").Provider
        for name in LISTS:
            listed = vars(provider).get(name, ())
            if isinstance(listed, property):  # put together of the lists by sex
                continue
            target = family if name == "last_names" else given
            target.update(fold(w) for entry in listed for w in WORD.findall(entry))
    common = {
        fold(word)
        for locale in ("en_US", "es_ES")
        for word in import_module(f"faker.providers.lorem.{locale}").Provider.word_list
    }
    short = {word for word in given | family if len(word) < 2}
    particles = known_words().particles
    return Names(
        frozenset(given - short - particles),
        frozenset(family - short - particles),
        frozenset(common - given - family),
    )


@dataclass(frozen=True, slots=True)
class _Token:
    """A word of the text: where it is, folded, how it is written, and what stands before it."""

    start: int
    end: int
    text: str
    word: str
    gap: str

    @property
    def capital(self) -> bool:
        return self.text[0].isupper()

    @property
    def acronym(self) -> bool:
        return len(self.text) > 1 and self.text.isupper()

    @property
    def mixed(self) -> bool:
        """Capitals inside, as in CalFresh; McDonald, O'Neill and Jean-Luc are names."""
        parts = re.split(r"['\u2019-]", re.sub(r"^(?:Mc|Mac|De|La|Le|Di)(?=[A-Z])", "", self.text))
        return any(any(c.isupper() for c in part[1:]) for part in parts) and not self.acronym

    @property
    def opens(self) -> bool:
        """Whether a sentence begins with it."""
        return bool(_ENDS_SENTENCE.search(self.gap))


class NameFinder:
    """Finds names of persons; knows the words, places and phrases of one directory.

    Args:
        texts: what the directory and its phrase bank say, to know its words by.
        places: names of places, which are no persons.
    """

    def __init__(self, texts: Iterable[str] = (), places: Iterable[str] = ()) -> None:
        self._names, self._words = known_names(), known_words()
        lower: set[str] = set()
        proper: set[str] = set()
        self._pairs: set[tuple[str, str]] = set()
        for text in texts:
            tokens = list(_tokens(text))
            lower.update(t.word for t in tokens if not t.capital)
            proper.update(t.word for t in tokens if t.capital)
            self._pairs.update(
                (one.word, other.word)
                for one, other in pairwise(tokens)
                if one.capital and other.capital and not other.opens
            )
        self._places = {fold(place) for place in places}
        self._pairs.update(pair for place in self._places for pair in pairwise(place.split()))
        words = self._words
        self._common = (
            self._names.common
            | words.function_words
            | words.institutions
            | words.kin
            | words.titles
        )
        self._common |= lower - (self._names.given | self._names.family)
        self._ambiguous = words.also_words | (self._names.given & lower)
        self._proper = (proper - self._names.given - self._names.family) | words.proper_words

    def find(self, text: str) -> Iterator[Finding]:
        """Names in the text, each as one finding, from its first word to its last."""
        run = _Reading(self, text)
        at = 0
        while at < len(run.tokens):
            length = run.name_at(at)
            if length:
                last = run.tokens[at + length - 1]
                yield Finding(run.tokens[at].start, last.end, Kind.NAME)
            at += length or 1

    def given(self, token: _Token) -> bool:
        """Whether every part of it is a known given name and no everyday word."""
        return all(
            part in self._names.given and part not in self._ambiguous
            for part in token.word.split("-")
        )

    def named(self, token: _Token) -> bool:
        """Whether a part of it is a name at all, an everyday word or not."""
        return any(
            part in self._names.given or part in self._names.family
            for part in re.split(r"[-']", token.word)
        )

    def everyday(self, token: _Token) -> bool:
        """Whether the directory or the language knows it as a plain word."""
        plain = _CONTRACTION.sub("", token.word)
        return token.word in self._common or plain in self._words.function_words

    def proper(self, token: _Token) -> bool:
        """Whether it is a known proper noun that is no person's name."""
        return token.word in self._proper or token.word in self._places

    def unknown(self, token: _Token) -> bool:
        """Whether neither the language, the directory nor a list of names has it."""
        return not (self.everyday(token) or self.proper(token) or self.named(token))

    def place(self, tokens: Sequence[_Token], at: int) -> bool:
        """Whether the word belongs to a place or to something the directory names."""
        word = tokens[at].word
        previous = tokens[at - 1].word if at else ""
        before = (previous, word) in self._pairs or previous in ("san", "santa", "saint")
        after = at + 1 < len(tokens) and (word, tokens[at + 1].word) in self._pairs
        return word in self._places or before or after


class _Reading:
    """One text, read for names."""

    def __init__(self, finder: NameFinder, text: str) -> None:
        self.finder = finder
        self.words = finder._words
        self.text = text
        hidden = PLACEHOLDER.sub(lambda found: "\0" * len(found[0]), text)
        self.tokens = list(_tokens(hidden))
        # In a text all in capitals, or with Every Word Capitalised, capitals say nothing.
        self.cased = any(not t.capital and len(t.text) > 1 for t in self.tokens) and any(
            not t.acronym for t in self.tokens
        )

    def name_at(self, at: int) -> int:
        """How many words the name that begins at this word has; 0 where none begins."""
        if self._introduced(at):
            return self._extent(at, certain=True)
        token = self.tokens[at]
        if self.finder.place(self.tokens, at):
            return 0
        if self.finder.given(token) or self._addressed(at):
            return self._extent(at, certain=True)
        if self._capitalised(at) or self._subject(at):
            return self._extent(at, certain=False)
        return 0

    def _introduced(self, at: int) -> bool:
        """Whether what stands before says that a name follows."""
        token = self.tokens[at]
        if token.word in self.words.function_words:
            return False
        before = self._before(at)
        if any(before.endswith(f" {phrase}") for phrase in self.words.introductions):
            strong = not before.endswith((" name", " nombre", " named")) or ":" in token.gap
            return strong or self._looks_like_a_name(at)
        return False

    def _addressed(self, at: int) -> bool:
        """Whether a title, a relation or a phrase before it makes this word a name."""
        before = self._before(at)
        previous = self.tokens[at - 1].word if at else ""
        token = self.tokens[at]
        if "\0" in token.gap:
            return False
        if at and re.search(r"[.?!]", token.gap) and previous not in self.words.titles:
            return False
        finder, looks = self.finder, self._looks_like_a_name(at)
        if previous in self.words.titles and previous not in self.words.kin:
            return looks or not (finder.everyday(token) or finder.proper(token))
        if previous in self.words.kin:
            return looks or self._stray(at)
        return looks and any(before.endswith(f" {phrase}") for phrase in self.words.openings)

    def _looks_like_a_name(self, at: int) -> bool:
        """Whether the word is a known name or capitalised, and no word of the directory."""
        token, finder = self.tokens[at], self.finder
        if self.cased and token.capital and not token.acronym and not token.mixed:
            return not self.words.function_words & {token.word} and (
                finder.named(token) or not (finder.everyday(token) or finder.proper(token))
            )
        follows = self.text[token.end : token.end + 1]
        return finder.given(token) or (token.word in self.words.also_words and follows == ",")

    def _capitalised(self, at: int) -> bool:
        """Whether the capitals here, which nothing else explains, are those of a name."""
        token = self.tokens[at]
        if not self.cased or not token.capital or token.acronym or token.mixed:
            return False
        run = self._run(at)
        words = run if not token.opens else run[1:]
        if not words or any(self._institution(t) for t in words):
            return False
        if token.opens and self._institution(token):
            return False  # only the head of the sentence: the name begins after it
        following = self.tokens[at + len(run)] if at + len(run) < len(self.tokens) else None
        if following and following.word in self.words.institutions and following.gap == " ":
            return False
        if at and self.tokens[at - 1].word in self.words.not_before:
            return False
        if at and self.tokens[at - 1].capital and not self.tokens[at - 1].opens:
            return False  # the rest of something that was seen to be no name
        whole = [t for t in words if len(t.text) > 1]
        return any(self.finder.unknown(t) or self.finder.named(t) for t in whole) and not (
            len(run) == 1 and self.finder.proper(run[0])
        )

    def _subject(self, at: int) -> bool:
        """Whether the word, unknown at the head of a sentence, is joined to a name by "and", or
        needs, wants, has something as persons do."""
        token = self.tokens[at]
        if not (self.cased and token.capital and token.opens and self.finder.unknown(token)):
            return False
        following = [t.word for t in self.tokens[at + 1 : at + 3]]
        if not following or token.acronym:
            return False
        if following[0] in _JOINS and len(following) > 1:
            return following[1] in ("i", "yo") or self._looks_like_a_name(at + 2)
        return following[0] in self.words.of_persons

    def _institution(self, token: _Token) -> bool:
        plain = self.finder.everyday(token) or self.finder.proper(token)
        return plain and len(token.word) > 1 and not self.finder.named(token)

    def _run(self, at: int) -> list[_Token]:
        run = [self.tokens[at]]
        for token in self.tokens[at + 1 :]:
            if not token.capital or token.acronym or token.gap not in (" ", ".", ". "):
                break
            if "." in token.gap and len(run[-1].text) > 1:
                break
            run.append(token)
        return run

    def _extent(self, at: int, *, certain: bool) -> int:
        """The words of a name from its first one on, and of another one joined by "and"."""
        end = at + 1
        unknown_used = False
        while end < len(self.tokens):
            token = self.tokens[end]
            if token.gap not in (" ", "-", ".", ". "):
                break
            if "." in token.gap and not self._initial(end - 1):
                break
            if self._continues(end):
                end += 1
            elif certain and not unknown_used and self._stray(end):
                unknown_used = True
                end += 1
            elif self._particles(end):
                end += self._particles(end)
            else:
                break
        if end + 1 < len(self.tokens) and self.tokens[end].word in _JOINS:
            other = self.tokens[end + 1]
            if self.tokens[end].gap == other.gap == " " and self._looks_like_a_name(end + 1):
                return end + 1 - at + self._extent(end + 1, certain=certain)
        return end - at

    def _continues(self, at: int) -> bool:
        token, finder = self.tokens[at], self.finder
        if self._initial(at):
            return True
        if self.cased and token.capital and not token.acronym:
            return True
        if finder.given(token):
            return True
        return finder.named(token) and not (
            finder.everyday(token)
            or token.word in self.words.also_words
            or token.word in self.words.function_words
        )

    def _initial(self, at: int) -> bool:
        token = self.tokens[at]
        point = self.text[token.end : token.end + 1] == "."
        return len(token.text) == 1 and (point or (token.capital and token.word not in "iyaeo"))

    def _stray(self, at: int) -> bool:
        """Whether a word that nobody knows may be a name, or its rest, without a capital."""
        word = self.tokens[at].word
        verb = word.endswith(("s", "ed", "ing", "n't", "ly", "aba", "ando", "iendo"))
        return len(word) > 3 and (not verb or "-" in word) and self.finder.unknown(self.tokens[at])

    def _particles(self, at: int) -> int:
        """How many words "de la Luz" adds from here on; 0 if no name follows the particles."""
        length = 0
        while at + length < len(self.tokens) and self.tokens[at + length].gap == " ":
            token = self.tokens[at + length]
            if token.word not in self.words.particles:
                named = self._continues(at + length) or self.finder.named(token)
                return length + 1 if length and named else 0
            if length and token.word in ("y", "o"):
                return 0
            length += 1
        return 0

    def _before(self, at: int) -> str:
        """The few words before, folded, if no sentence ends between them and this one."""
        token = self.tokens[at]
        if re.search(r"[.?!\n\0]", token.gap):
            return ""
        return " " + " ".join(t.word for t in self.tokens[max(0, at - 4) : at])


def _tokens(text: str) -> Iterator[_Token]:
    last = 0
    for found in WORD.finditer(text):
        gap = text[last : found.start()]
        yield _Token(found.start(), found.end(), found[0], fold(found[0]), gap)
        last = found.end()
