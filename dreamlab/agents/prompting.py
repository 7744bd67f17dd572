"""Prompts: Markdown files filled with values, in which everything foreign is marked as data.

A prompt's file has a section `## System` and a section `## Prompt`. Text from the directory, from
memories, users or models only ever stands between two marks that are drawn at random for each
request, so that it cannot forge the closing one.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from types import MappingProxyType

MARK = 8
"""Random bytes of a mark."""

NOTHING = "(nothing)"

SECTIONS = re.compile(r"^## (System|Prompt)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is said to a model: by the lab (`system`) and, with data in it, as the request.

    `mark` is the random word that bounds the data, `unmarked` the text without it: equal for equal
    requests.
    """

    system: str
    user: str
    mark: str = ""

    @property
    def unmarked(self) -> tuple[str, str]:
        """Both parts with the mark left out."""
        return self.system.replace(self.mark, ""), self.user.replace(self.mark, "")

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as chat messages."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.user},
        ]


def prompt(
    name: str,
    data: Mapping[str, str],
    several: Mapping[str, Sequence[str]] = MappingProxyType({}),
    **values: str,
) -> Prompt:
    """The prompt `NAME.md`, filled; `data` is foreign text and is put between marks, of `several`
    each text by itself.

    Raises:
        KeyError: the file uses a name that is not given.
        ValueError: a given name is not used.
    """
    system, body = _sections(name)
    mark = secrets.token_hex(MARK)
    marked = {key: between_marks(key, text, mark) for key, text in data.items()}
    for key, texts in several.items():
        marked[key] = "\n".join(between_marks(key, text, mark) for text in texts) or NOTHING
    given = {**values, **marked, "mark": mark}
    used = {m for part in (system, body) for m in Template(part).get_identifiers()}
    if unused := set(given) - used:
        raise ValueError(f"prompt {name} does not use {', '.join(sorted(unused))}")
    return Prompt(Template(system).substitute(given), Template(body).substitute(given), mark)


def between_marks(label: str, text: str, mark: str) -> str:
    """Foreign text between its marks, without characters that are not seen."""
    return f"<{label} {mark}>\n{visible(text)}\n</{label} {mark}>"


def visible(text: str) -> str:
    """The text without control, format and private characters, line breaks kept."""
    return "".join(c for c in text if c == "\n" or unicodedata.category(c)[0] != "C")


@cache
def _sections(name: str) -> tuple[str, str]:
    text = (files(__package__) / "prompts" / f"{name}.md").read_text("utf-8")
    rules = (files(__package__) / "prompts" / "rules.md").read_text("utf-8")
    parts = SECTIONS.split(text)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return f"{found['System'].strip()}\n\n{_body(rules)}", found["Prompt"].strip()


def _body(text: str) -> str:
    """A Markdown file without its title."""
    return text.split("\n", 1)[1].strip()
