"""Prompts: Markdown files filled with values, in which everything foreign is marked as data.

A prompt's file has a section `## System` and a section `## Prompt`. Text from the directory, from
memories, users or models only ever stands between two marks that are derived from the text itself,
so that it cannot forge the closing one.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

SECTIONS = re.compile(r"^## (System|Prompt)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is said to a model: by the lab (`system`) and, with data in it, as the request."""

    system: str
    user: str

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as chat messages."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.user},
        ]


def prompt(name: str, data: Mapping[str, str], **values: str) -> Prompt:
    """The prompt `NAME.md`, filled; `data` is foreign text and is put between marks.

    Raises:
        KeyError: the file uses a name that is not given.
        ValueError: a given name is not used.
    """
    system, body = _sections(name)
    mark = hashlib.sha256("\x00".join(data.values()).encode()).hexdigest()[:12]
    marked = {key: between_marks(key, text, mark) for key, text in data.items()}
    given = {**values, **marked, "mark": mark}
    used = {m for part in (system, body) for m in Template(part).get_identifiers()}
    if unused := set(given) - used:
        raise ValueError(f"prompt {name} does not use {', '.join(sorted(unused))}")
    return Prompt(Template(system).substitute(given), Template(body).substitute(given))


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
