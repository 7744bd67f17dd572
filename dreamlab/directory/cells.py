"""Cells of HSDS rows as the texts that a service shows."""

from __future__ import annotations

import html
import re

from dreamlab.directory.rows import tidy
from dreamlab.directory.tables import Row

_TAG = re.compile(r"<[^<>]{1,1000}>")


def called(row: Row) -> str:
    """A name, with the alternate one in brackets."""
    name, other = tidy(row.get("name")), tidy(row.get("alternate_name"))
    return f"{name} ({other})" if other and other.casefold() not in name.casefold() else name


def prose(text: str) -> str:
    """Text without the HTML that descriptions may hold."""
    if "<" in text or "&" in text:
        text = html.unescape(_TAG.sub(" ", text))
    return tidy(text)


def listed(*texts: str) -> str:
    """Those of the texts that say something, each once, with semicolons between."""
    return "; ".join(dict.fromkeys(filter(None, texts)))


def street(address: Row | None, location: Row | None) -> str:
    """The lines of an address above its city, led by the name of the place."""
    if address is None:
        return ""
    lines = [tidy(address.get(f"address_{n}")) for n in range(1, 5)]
    name = tidy(location.get("name")) if location else ""
    text = ", ".join(filter(None, lines))
    return text if name.casefold() in text.casefold() else ", ".join(filter(None, (name, text)))


def number(row: Row) -> str:
    """A telephone number with its extension and, when short, what it is for; no fax."""
    kind = row.get("type").lower()
    text = tidy(row.get("number")).strip("\"' ")
    if not text or kind in ("fax", "pager"):
        return ""
    extension, note = tidy(row.get("extension")), tidy(row.get("description"))
    text += f" ext. {extension}" if extension else ""
    note = note if len(note) <= 40 else ""
    note = note or (kind if kind in ("text", "textphone", "video") else "")
    return f"{text} ({note})" if note else text


def cost(row: Row) -> str:
    """A cost option: amount and currency, per what, and for whom."""
    amount = row.get("amount")
    parts = [amount, row.get("currency").upper() if amount else "", row.get("amount_description")]
    option, text = tidy(row.get("option")), tidy(" ".join(parts))
    return f"{text} ({option})" if text and option else text or option


def ages(row: Row) -> str:
    """The ages that a service is for; '' if it does not say."""
    least, most = tidy(row.get("minimum_age")), tidy(row.get("maximum_age"))
    if least and most:
        return f"ages {least} to {most}"
    return f"age {least}+" if least else f"up to age {most}" if most else ""


def is_label(text: str) -> bool:
    """Whether an eligibility entry names a group (`veterans`) rather than stating a rule."""
    return len(text.split()) <= 4 and not re.search(r"[\d.:;<>$%]", text)
