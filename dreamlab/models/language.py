"""The language of a question: cleaning it, telling English from Spanish, clauses, and a gloss.

The gloss turns Spanish word by word into English, so that an English encoder can read it; it is
no translation. English keeps its words but for the short forms of typing. The words themselves are
data (`data/spanish.md`, `data/english.md`). Nothing is understood here.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from importlib.resources import files

from dreamlab.directory.words import words
from dreamlab.errors import QuestionError

LONGEST = 4_000
"""A question of more characters than this is refused."""

LONGEST_PHRASE = 3
"""Words in the longest entry of the gloss."""

_ENGLISH = (
    "the a an i im my we us is are was do does can for to of in on at with and or how what where "
    "who when need help have has get it he she they you me his her our from that this there not "
    "dont any please would could want looking"
)
_SPANISH = (
    "el la los las un una de del que y en es soy estoy mi mis su no por para con como donde cuando "
    "quien cual hay se me le lo nos necesito busco ayuda tengo quiero puedo pero si al esta este "
    "ocupo tiene vivo gracias hola aqui muy"
)
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_BREAK = re.compile(
    r"[.?!;:\n]+|\s[-\u2013\u2014]\s"
    r"|,?\s(?:and|but|also|plus|then|so|y|pero|tambi[eé]n|adem[aá]s)\s|,\s",
    re.IGNORECASE,
)
_JOINT = re.compile(
    r"[.?!;:,\n]+|\s[-\u2013\u2014]\s"
    r"|\s(?:and|but|also|plus|then|so|for|who|when|without|from|near)\s"
    r"|\s(?:y|pero|para|que|quien|sin|de parte de)\s",
    re.IGNORECASE,
)


def clean(question: str) -> str:
    """The question without control characters, white space run together.

    Raises:
        QuestionError: nothing to read is left, or more than `LONGEST` characters.
    """
    if len(question) > LONGEST:
        raise QuestionError(
            f"a question of {len(question):,} characters is too long: ask in {LONGEST:,} or fewer"
        )
    kept = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in question)
    text = " ".join(kept.split())
    if not any(c.isalnum() for c in text):
        raise QuestionError("the question is empty: ask in a sentence or a few words")
    return text


def language_of(text: str, default: str = "en") -> str:
    """`en`, `es`, or an empty string for writing in no Latin script; `default` if undecided."""
    letters = [c for c in text if c.isalpha()]
    latin = sum("LATIN" in unicodedata.name(c, "") for c in letters)
    if letters and latin < 0.5 * len(letters):
        return ""
    said = words(text)
    spanish_words, english_words = set(_SPANISH.split()), set(_ENGLISH.split())
    spanish = sum(word in spanish_words for word in said) + 2 * len(re.findall("[¿¡ñ]", text))
    english = sum(word in english_words for word in said)
    if spanish == english:
        return default
    return "es" if spanish > english else "en"


def clauses(text: str, most: int = 4) -> tuple[str, ...]:
    """The clauses of three words or more, at most `most`; none when the text is a single one."""
    parts = [part.strip() for part in _BREAK.split(text)]
    kept = [part for part in parts if len(part.split()) > 2]
    return tuple(kept[:most]) if len(kept) > 1 or len(parts) > 1 else ()


def segments(text: str, most: int = 8) -> list[str]:
    """The pieces of two words or more between punctuation and joining words ("for", "que"), at
    most `most`: who a question is for often stands in one of them."""
    return [piece for piece in map(str.strip, _JOINT.split(text)) if " " in piece][:most]


def gloss(text: str) -> str:
    """Spanish text in English words, one by one; unknown words, names among them, stay."""
    said, (entries, stems) = words(text), _spanish_glossary()
    out, at = [], 0
    while at < len(said):
        size = next(
            (n for n in range(LONGEST_PHRASE, 1, -1) if tuple(said[at : at + n]) in entries), 1
        )
        if size > 1 or (said[at],) in entries:
            out.append(entries[tuple(said[at : at + size])])
        else:
            out.append(stems.get(_stem(said[at]), said[at]))
        at += size
    return " ".join(word for word in out if word)


def spelt_out(text: str) -> str:
    """English text with the short forms of typing in full words."""
    entries = _glossary("english")
    return _WORD.sub(lambda m: entries.get(tuple(words(m[0])), m[0]), text)


def in_english(text: str, language: str) -> str:
    """The text as the English encoder should read it."""
    return gloss(text) if language == "es" else spelt_out(text)


@functools.cache
def _glossary(name: str) -> dict[tuple[str, ...], str]:
    """English by the words of one glossary."""
    entries: dict[tuple[str, ...], str] = {}
    for line in (files(__package__) / "data" / f"{name}.md").read_text("utf-8").splitlines():
        if line.startswith("- "):
            said, _, meant = line[2:].partition(":")
            for entry in said.split(","):
                entries.setdefault(tuple(words(entry)), meant.strip())
    return entries


@functools.cache
def _spanish_glossary() -> tuple[dict[tuple[str, ...], str], dict[str, str]]:
    """The Spanish glossary, and the same by the stem of single words."""
    entries = _glossary("spanish")
    stems = {_stem(key[0]): value for key, value in reversed(entries.items()) if len(key) == 1}
    return entries, stems


@functools.cache
def _stemmer() -> object:
    import Stemmer

    return Stemmer.Stemmer("spanish")


def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))  # type: ignore[attr-defined]
