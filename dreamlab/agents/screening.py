"""Text that speaks to a model instead of about services: found, so that no model is shown it.

It is the first of three fences; see `docs/llm-team.md`. It judges wording only and will miss what
is worded in some new way: the other two do not rest on it.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

from dreamlab.directory.words import plain
from dreamlab.records import Service

_RULES = r"(?:instruction|rule|prompt|direction|guideline|order|instruccion|regla|indicacion)\w*"
PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        # Setting rules aside
        rf"\b(?:ignor|disregard|forget|overrid|bypass|olvid|descart)\w*\b.{{0,60}}\b{_RULES}",
        r"\b(?:ignor|disregard|forget|olvid)\w*\b.{0,30}\b(?:above|previous|prior|earlier|anterior)",
        rf"\b(?:new|updated|real|secret|hidden|system|nuevas?)\b.{{0,12}}\b{_RULES}",
        r"\bsystem\b.{0,10}\b(?:prompt|message|override|note|mode)\b",
        r"\b(?:developer|debug|admin|maintenance|jailbreak|dan) mode\b",
        # Speaking to a model
        r"\b(?:you are|act as|pretend|eres|actua como)\b.{0,25}\b(?:assistant|ai|model|bot|chatbot|"
        r"modelo|asistente)\b",
        r"\b(?:language model|llm|chatbot|ai assistant|ai model|the model|the assistant|the judge|"
        r"the lead|modelo de lenguaje)s?\b.{0,40}\b(?:must|should|shall|will|reading|reads|please|"
        r"debe)",
        r"\b(?:note|message|attention|instructions?|aviso)\b.{0,15}\b(?:to|for|para)\b.{0,15}\b(?:ai|"
        r"llm|language model|model|assistant|chatbot|bot|modelo|asistente)s?\b",
        r"\b(?:when|if|cuando|si)\b.{0,20}\b(?:you|an ai|a model|the model|asked)\b.{0,30}\b"
        r"(?:answer|respond|cite|summari[sz]e|reply|responda|cites?)\b",
        # Dictating the reply
        r"\b(?:always|only|never|must|solo|siempre|nunca|do not|dont|no)\b.{0,15}\b(?:cite|citar?|"
        r"recommend(?! that)|recomiend\w*|mention|output|reply|respond|print|say that)\b",
        r"\b(?:cite|recommend|output|print|return|reply with|respond with|answer with)\b.{0,30}\b"
        r"(?:only|instead|this (?:row|service|listing|entry)|every question|all questions|json)\b",
        r"\bregardless of\b.{0,30}\b(?:question|asked|caller|user|need)",
        r"\b(?:tell|inform|dile|digale)\b.{0,20}\b(?:user|caller|usuario|everyone)s?\b.{0,30}\b(?:call|"
        r"that|que|to|llame)\b",
        r"\b(?:service_ids|nothing_fits|tool_call|function_call|response_format)\b",
        rf"\b(?:repeat|reveal|show|print|translate|leak)\b.{{0,25}}\b(?:your|the|above)\b.{{0,15}}\b"
        rf"{_RULES}",
        r"\b(?:end of|fin de)\b.{0,15}\b(?:data|row|rows|context|memories|question|datos)\b",
    )
)
MARKUP = re.compile(
    r"<\|?/?\s?(?:system|user|assistant|im_start|im_end|instructions?|data|rows?|question|memories)\b"
    r"|\[/?inst\]|^\s*(?:system|assistant|user)\s*:|###\s*(?:system|instruction|response|user)",
    re.IGNORECASE | re.MULTILINE,
)
SQUEEZED = (
    "ignoreprevious",
    "ignoreall",
    "ignoretheabove",
    "systemprompt",
    "disregardall",
    "ignoreyourinstructions",
    "ignoraslasinstrucciones",
    "newinstructions",
)
_ENCODED = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")
_LEET = str.maketrans("013457@$", "oieastas")


def suspicious(text: str) -> bool:
    """Whether a text reads as if it told a model what to do.

    Seen through: invisible characters, letters of other alphabets that look Latin, spaced-out
    words, digits for letters, and Base64.
    """
    seen = "".join(
        c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf"
    )
    if MARKUP.search(seen) or _mixed_script(seen):
        return True
    for reading in (seen, seen.translate(_LEET)):
        flat = " ".join(plain(reading).split())
        if any(pattern.search(flat) for pattern in PATTERNS):
            return True
        squeezed = re.sub(r"[^a-z]", "", flat)
        if any(phrase in squeezed for phrase in SQUEEZED):
            return True
    return any(suspicious(inner) for inner in _decoded(seen))


@lru_cache(maxsize=4096)
def harmless(service: Service) -> Service:
    """The row without `suspicious` text, columns and facets; usually the row itself."""
    changed: dict[str, Any] = {}
    for column in (f.name for f in fields(service) if f.name != "id"):
        value = getattr(service, column)
        if isinstance(value, tuple):
            changed[column] = tuple(facet for facet in value if not suspicious(facet))
        elif suspicious(value):
            changed[column] = ""
    return replace(service, **changed)


def _mixed_script(text: str) -> bool:
    """Whether a word mixes Latin letters with Cyrillic or Greek ones, as no honest word does."""
    for word in re.findall(r"[^\W\d_]{3,}", text):
        scripts = {unicodedata.name(c, "").split(" ")[0] for c in word}
        if "LATIN" in scripts and scripts & {"CYRILLIC", "GREEK"}:
            return True
    return False


def _decoded(text: str) -> list[str]:
    """The readable texts that stand in a text in Base64."""
    found = []
    for match in _ENCODED.findall(text):
        try:
            inner = base64.b64decode(match + "=" * (-len(match) % 4)).decode("utf-8")
        except (binascii.Error, ValueError):
            continue
        if inner.isprintable():
            found.append(inner)
    return found
