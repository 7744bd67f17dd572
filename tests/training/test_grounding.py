from __future__ import annotations

import pytest

from dreamlab.directory.catalog import Catalog
from dreamlab.records import Answer, Referral, Role, Service
from dreamlab.training.grounding import ungrounded

SERVICE = Service(
    "x-1",
    "Org",
    "Line",
    phone="(555) 010-0001",
    how_to_apply="Call 1-800-NEW-HOPE or text 988 [see also 555.010.0002 (fax)]",
    address="911 Main St, 93301-1234",
    url="https://example.org/page-555-0199",
)
CATALOG = Catalog("one", [SERVICE], helpline="2-1-1")


def said(text: str, ids: tuple[str, ...] = ("x-1",), nearest: tuple[str, ...] = ()) -> Answer:
    return Answer(Role.TEAM, Referral(service_ids=ids), text, nearest)


@pytest.mark.parametrize(
    "text",
    [
        "Call 555-010-0001.",
        "Call +1 555 010 0001, or 5550100001",
        "1-800-NEW-HOPE",
        "fax 555-010-0002 or 988",
        "Nothing fits: call 2-1-1 (211).",
        "911 Main St, 93301-1234, since 2021-10-09, $211 or 1988",
        "Open 8-5, room 12, 20 miles",
        "",
    ],
)
def test_numbers_of_a_cited_row_and_the_helpline_are_grounded(text: str):
    assert ungrounded(said(text), CATALOG) == ()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Call 555-010-9999", "555-010-9999"),
        ("Call (555) 010-9999 now", "(555) 010-9999"),
        ("or 010-0001", "010-0001"),
        ("1-800-BAD-LUCK", "1-800-BAD-LUCK"),
        ("dial 3-1-1", "3-1-1"),
        ("dial 511", "511"),
        ("555.010.9999x12", "555.010.9999"),
    ],
)
def test_an_invented_number_is_found(text: str, number: str):
    assert ungrounded(said(text), CATALOG) == (number,)


def test_a_number_of_a_row_that_is_not_cited_is_ungrounded():
    assert ungrounded(said("Call 555-010-0001", ids=()), CATALOG) == ("555-010-0001",)
    assert ungrounded(said("Call 555-010-0001", ids=("gone",)), CATALOG) == ("555-010-0001",)


def test_a_number_of_a_row_offered_as_nearest_is_grounded():
    assert ungrounded(said("Call 555-010-0001", ids=(), nearest=("x-1",)), CATALOG) == ()


def test_every_phone_of_the_shipped_rows_is_recognised(kern: Catalog):
    for service in kern.services:
        if service.phone:
            text = f"Call {service.phone}."
            assert ungrounded(said(text, ids=()), kern), service.id
            assert not ungrounded(said(text, ids=(service.id,)), kern), service.id
