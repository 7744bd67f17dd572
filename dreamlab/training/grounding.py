"""Phone numbers in a text that no row it rests on holds: the measure of the first promise.

It finds and compares numbers; what is done about one is the caller's business.
"""

from __future__ import annotations

import re
from dataclasses import astuple

from dreamlab.directory.catalog import Catalog
from dreamlab.records import Answer

PHONE = re.compile(
    r"(?<![\w$])(?:"
    r"(?:\+?1[-.\s]?)?(?:\(\d{3}\)\s?|\d{3}[-.\s]?)\d{3}[-.\s]?\d{4}"  # (555) 010-0199
    r"|\d{3}[-.]\d{4}"  # 010-0199
    r"|(?:1-)?8\d\d-(?=[\dA-Z-]*[A-Z])[\dA-Z-]{7,}"  # 1-800-NEW-HOPE
    r"|[2-9]-1-1|[2-9]11|988"  # short codes such as 2-1-1
    r")(?!\d)"
)


def ungrounded(answer: Answer, catalog: Catalog) -> tuple[str, ...]:
    """The phone numbers in an answer's text that stand in no row it cites or offers as nearest.

    All columns of a row count, and the directory's helpline is always allowed. Numbers compare
    by their digits and letters, without a leading 1.
    """
    shown = PHONE.findall(answer.text)
    if not shown:
        return ()
    known = _numbers(catalog.helpline)
    for service_id in (*answer.referral.service_ids, *answer.nearest):
        if service_id in catalog:
            for value in astuple(catalog.get(service_id)):
                known |= _numbers(str(value))
    return tuple(number for number in shown if _bare(number) not in known)


def _numbers(text: str) -> set[str]:
    return {_bare(number) for number in PHONE.findall(text)}


def _bare(number: str) -> str:
    bare = re.sub(r"[^0-9A-Z]", "", number)
    return bare[1:] if len(bare) > 10 and bare.startswith("1") else bare
