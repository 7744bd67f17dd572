"""How a dreamt question is worded: phrases put into frames as a person would say and type them.

Every language-specific rule of exploration lives here, the phrases themselves are data. Nothing
is chosen here: the generator chooses, seeded; this module fills, mends and roughens.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import NamedTuple

from dreamlab.directory.phrases import FacetPhrases, PhraseBank

FALLBACK: Mapping[str, str] = MappingProxyType(
    {
        "en_need": "I need {need}",
        "en_need_group": "I need {need} for {group}",
        "en_need_place": "I need {need} in {place}",
        "en_need_group_place": "I need {need} for {group} in {place}",
        "en_two_needs": "I need {need} and {need2}",
        "en_two_needs_place": "I need {need} and {need2} in {place}",
        "en_case_who": "{who}",
        "en_case_group": "This is for {group}",
        "en_case_more": "I also need {need}",
        "en_quote": 'somebody told me about "{quote}", who does that?',
        "en_gap": "Is there really no {need}?",
        "en_gap_group": "Is there really no {need} for {group}?",
        "en_gap_place": "Is there really no {need} in {place}?",
        "en_gap_group_place": "Is there really no {need} for {group} in {place}?",
        "en_fact": "what is the {field} of {service}",
        "en_explain": "what is {service}",
        "es_case_who": "{who}",
        "es_case_group": "Es para {group}",
        "es_case_more": "también necesito {need}",
    }
)
"""One plain frame of each sort, for a phrase bank that has none of it."""

SLOT = re.compile(r"\{(\w+)\}")


class Phrase(NamedTuple):
    """A piece of wording with the id that a task's provenance names it by."""

    id: str
    text: str


class Vocabulary:
    """A phrase bank read as phrases with ids, with a plain word or frame where it has none."""

    def __init__(self, bank: PhraseBank) -> None:
        self._bank = bank
        self._naming = {
            (facet, value, language): re.compile(
                "|".join(rf"\b{re.escape(core(word, language))}\b" for word in words)
            )
            for facet, entries in (("needs", bank.needs), ("groups", bank.groups))
            for value, entry in entries.items()
            for language, words in entry.words.items()
            if words
        }

    def words(self, facet: str, value: str, language: str) -> tuple[Phrase, ...]:
        """Words for a value of `needs` or `groups`; its own name when English has none."""
        found = self._facet(facet, value, "words", language)
        if found or language != "en":
            return found
        return (Phrase(f"{facet}.{value}", value),)

    def situations(self, facet: str, value: str, language: str) -> tuple[Phrase, ...]:
        """Life situations that reveal a value; often none."""
        return self._facet(facet, value, "situations", language)

    def frames(self, name: str) -> tuple[Phrase, ...]:
        """The frames called `name`, such as `en_need_place`."""
        return _phrases(f"frames.{name}", self._bank.frames.get(name, ())) or _fallback(name)

    def facts(self, field: str, language: str) -> tuple[Phrase, ...]:
        """Frames that ask for one field of a service; `description` asks what it is."""
        if field == "description":
            known, name = self._bank.explain, f"{language}_explain"
        else:
            known, name = self._bank.facts.get(field, {}), f"{language}_fact"
        frames = _phrases(f"facts.{field}.{language}", known.get(language, ()))
        spoken = field.replace("_", " ")
        return frames or tuple(
            Phrase(p.id, p.text.replace("{field}", spoken)) for p in _fallback(name)
        )

    def outside(self, language: str) -> tuple[Phrase, ...]:
        """Whole questions that no directory of services answers."""
        return _phrases(f"outside.{language}", self._bank.outside.get(language, ()))

    def elsewhere(self, language: str) -> tuple[Phrase, ...]:
        """Frames that ask for a need at a place outside the directory."""
        return _phrases(f"elsewhere.{language}", self._bank.elsewhere.get(language, ()))

    @property
    def elsewhere_words(self) -> tuple[Phrase, ...]:
        """Places outside the directory."""
        return _phrases("elsewhere.words", self._bank.elsewhere_words)

    def named(self, facet: str, text: str, language: str) -> set[str]:
        """The values of `needs` or `groups` that a text names in words of the bank."""
        said = _folded(text)
        return {
            value
            for (sort, value, spoken), naming in self._naming.items()
            if (sort, spoken) == (facet, language) and naming.search(said)
        }

    def _facet(self, facet: str, value: str, sort: str, language: str) -> tuple[Phrase, ...]:
        table: Mapping[str, FacetPhrases] = getattr(self._bank, facet)
        lists: Mapping[str, Sequence[str]] = getattr(table.get(value, FacetPhrases()), sort)
        return _phrases(f"{facet}.{value}.{sort}_{language}", lists.get(language, ()))


def core(phrase: str, language: str) -> str:
    """A phrase without its article or possessive, folded for comparison."""
    return _folded(_LEADING[language].sub("", phrase, count=1))


def _folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _phrases(prefix: str, texts: Sequence[str]) -> tuple[Phrase, ...]:
    return tuple(Phrase(f"{prefix}.{i}", text) for i, text in enumerate(texts))


def _fallback(name: str) -> tuple[Phrase, ...]:
    return (Phrase(f"frames.{name}", FALLBACK[name]),) if name in FALLBACK else ()


_LEADING = {
    "en": re.compile(r"^(?:an?|the|my|our|some)\s+", re.IGNORECASE),
    "es": re.compile(r"^(?:una?|el|la|los|las|mis?|nuestr[oa]s?)\s+", re.IGNORECASE),
}
_DETERMINER = {
    "en": re.compile(r"\b(?:any|no|an?|the|closest|nearest|your|more|what)\s+$", re.IGNORECASE),
    "es": re.compile(r"\b(?:una?|el|la|alg[uú]n|alguna|ning[uú]n|ninguna)\s+$", re.IGNORECASE),
}
_PRONOUN = {
    "en": re.compile(r"^(?:some(?:one|body|thing|where)|back to)\b", re.IGNORECASE),
    "es": re.compile(r"^(?:alguien|algo|quien|d[oó]nde|c[oó]mo)\b", re.IGNORECASE),
}
_ACTION = {
    "en": re.compile(
        r"^(?:being|coming|finding|getting|going|having|keeping|kicking|learning|leaving|making"
        r"|moving|paying|quitting|starting|staying|stopping|taking) \w"
    ),
    "es": re.compile(r"^\w+[aeií]r(?:me|se|lo|la)?\b"),
}
_HELP = {"en": "help ", "es": "ayuda para "}
_BEFORE_ACTION = {
    "en": re.compile(r"\b(?:with|about|into)\s+$", re.IGNORECASE),
    "es": re.compile(r"\b(?:para|a)\s+$", re.IGNORECASE),
}


def suits(frame: str, slots: Mapping[str, str], language: str) -> bool:
    """Whether every phrase can follow what the frame puts before it ("closest someone" cannot)."""
    return not any(
        _DETERMINER[language].search(frame[: slot.start()])
        and _PRONOUN[language].search(slots.get(slot[1], ""))
        for slot in SLOT.finditer(frame)
    )


def fill(frame: str, slots: Mapping[str, str], language: str) -> str:
    """The frame with its slots filled, articles, agreement, case and punctuation mended.

    Raises:
        KeyError: the frame has a slot that is not given.
    """

    def phrase(slot: re.Match[str]) -> str:
        before, value = frame[: slot.start()], slots[slot[1]]
        if _DETERMINER[language].search(before):
            value = _LEADING[language].sub("", value, count=1)
        wanted = slot[1].startswith("need") and not _BEFORE_ACTION[language].search(before)
        return _HELP[language] + value if wanted and _ACTION[language].match(value) else value

    careful = bool(re.search(r"(?:^|[.?!] )[¿¡]?[A-ZÁÉÍÓÚÑ]\w", frame.replace("I'", "i'")))
    text = _MEND[language](SLOT.sub(phrase, frame))
    text = re.sub(r"([?!])\s*[.,;]+", r"\1", text)
    text = re.sub(r"\b(\w+(?: \w+)?) \1\b", _once, text)
    text = re.sub(r"\s+([.,;?!])", r"\1", re.sub(r"\s+", " ", text)).strip()
    return _capitals(text) if careful else text


_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the for to in of on at with and or is help my some any "
        "el la los las un una de en para por con que y ayuda mi",
    )
)


def _once(repeated: re.Match[str]) -> str:
    function = set(repeated[1].casefold().split()) <= _FUNCTION_WORDS
    return repeated[1] if function else repeated[0]


def _capitals(text: str) -> str:
    return re.sub(
        r"(^|(?<!\.\.)[.?!] )([¿¡\"]*)([a-zà-ÿ])", lambda m: m[1] + m[2] + m[3].upper(), text
    )


def _english(text: str) -> str:
    text = re.sub(r"\b(helps?) with help(?: (?:with|for)\b|(?= \w+ing\b))", r"\1 with", text)
    text = re.sub(r"\ba(?= (?!one\b|once\b|eu)[aeio]\w)", "an", text)
    return re.sub(r"\b([Ii])s there (any |still )?(?=([\w'-]+(?: [\w'-]+)*))", _agree, text)


def _agree(found: re.Match[str]) -> str:
    """'is there' before a plural: the last word before a preposition ends in a plain s."""
    head = re.split(
        r" (?:for|of|to|in|on|near|with|that|about|at|from|around|out|meant)\b", found[3]
    )
    noun = head[0].split()[-1] if head[0].split() else ""
    plural = re.search(r"[^su'i]s$", noun) and not re.match(r"an? |the |my ", found[3])
    verb = ("A" if found[1] == "I" else "a") + "re there " if plural else f"{found[1]}s there "
    return verb + (found[2] or "")


def _spanish(text: str) -> str:
    text = re.sub(r"\bcon ayuda (con|para)\b", r"\1", text)
    text = re.sub(r"\bde el\b", "del", re.sub(r"\ba el\b", "al", text))
    return re.sub(r"\by (?=h?i(?![aeoué]))", "e ", text)


_MEND = {"en": _english, "es": _spanish}

_GREETINGS = {
    "en": ("hi, ", "hello, ", "hey ", "good morning, ", "hi there, ", "quick question, "),
    "es": ("hola, ", "buenas, ", "buenos días, ", "buenas tardes, ", "una pregunta, "),
}
_PLEASE = {
    "en": (" pls", " please", ", thanks", " plz", ", thank you"),
    "es": (" porfa", ", gracias"),
}
_POLITE = re.compile(
    r"^\W*(?:hi|hello|hey|good|hola|buen[oa]s|oiga|disculpe)\b"
    r"|\b(?:pl[sz]|please|thanks?|por ?fa\w*|gracias)\b",
    re.IGNORECASE,
)


def roughen(text: str, language: str, rng: Random, share: float) -> str:
    """The text as it might be typed: with probability `share`, one or two small disturbances."""
    if rng.random() >= share:
        return text
    for disturb in rng.sample(_DISTURBANCES, rng.choice((1, 1, 2))):
        text = disturb(text, language, rng)
    return text


def _lower(text: str, language: str, rng: Random) -> str:
    return text.lower()


def _unpunctuated(text: str, language: str, rng: Random) -> str:
    return re.sub(r"[.,;!?¿¡'](?!\d)", "", text)


def _plain_letters(text: str, language: str, rng: Random) -> str:
    if language == "en":
        return text.rstrip(".?!")
    kept = unicodedata.normalize("NFD", text).replace("n\u0303", "ñ")
    return re.sub(r"[¿¡\u0300-\u036f]", "", kept)


def _typo(text: str, language: str, rng: Random) -> str:
    """One letter doubled, dropped or swapped with the next, inside a word of five or more."""
    words = [m for m in re.finditer(r"[^\W\d_]{5,}", text)]
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    a, b = text[at], text[at + 1]
    return text[:at] + rng.choice((a + a + b, b, b + a)) + text[at + 2 :]


def _greeting(text: str, language: str, rng: Random) -> str:
    if _POLITE.search(text):
        return text
    opening = rng.choice(_GREETINGS[language])
    keep = re.match(r"I\b|I'|[A-Z]{2}|[A-Z]\w+,", text)
    return opening + (text if keep else text[:1].lower() + text[1:])


def _please(text: str, language: str, rng: Random) -> str:
    if _POLITE.search(text):
        return text
    return text.rstrip(".?!") + rng.choice(_PLEASE[language])


_DISTURBANCES = (_lower, _lower, _unpunctuated, _plain_letters, _typo, _typo, _greeting, _please)


def normal(text: str) -> str:
    """The text as duplicates are found by: words only, in lower case."""
    return _folded(text)
