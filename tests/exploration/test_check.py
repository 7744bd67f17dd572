from __future__ import annotations

import pytest

from dreamlab.directory.catalog import Catalog
from dreamlab.exploration.check import REASONS, check, misread
from dreamlab.records import Answer, Referral, Role, Task, TaskKind

LODGING = Referral(needs=("lodging",), groups=("sailors",), place="Northport")


def judged(catalog: Catalog, expected: Referral | None, got: Referral, question: str = "beds"):
    task = Task("d001", question, TaskKind.REFERRAL, expected=expected)
    return check(task, Answer(Role.TEAM, got), catalog)


def test_an_answer_with_the_known_facets_and_fitting_rows_is_verified(island: Catalog) -> None:
    got = Referral(("lodging",), ("sailors",), "Northport", service_ids=("i1", "i2"))
    outcome = judged(island, LODGING, got)
    assert (outcome.verified, outcome.score, outcome.reasons) == (True, 1.0, ())


def test_the_order_of_facets_does_not_matter(island: Catalog) -> None:
    expected = Referral(needs=("lodging", "medicine"))
    got = Referral(needs=("medicine", "lodging"), service_ids=("i3", "i2"))
    assert judged(island, expected, got).verified is True


@pytest.mark.parametrize(
    ("got", "reason"),
    [
        (Referral((), ("sailors",), "Northport", service_ids=("i2",)), "need_missed"),
        (
            Referral(("lodging", "medicine"), ("sailors",), "Northport", service_ids=("i2",)),
            "need_invented",
        ),
        (Referral(("lodging",), (), "Northport", service_ids=("i2",)), "group_missed"),
        (
            Referral(("lodging",), ("islanders", "sailors"), "Northport", service_ids=("i2",)),
            "group_invented",
        ),
        (Referral(("lodging",), ("sailors",), "", service_ids=("i2",)), "place_wrong"),
        (Referral(("lodging",), ("sailors",), "Northport", "phone", ("i2",)), "field_wrong"),
        (Referral(nothing_fits=True), "refused"),
        (Referral(("lodging",), ("sailors",), "Northport"), "need_missed"),
        (
            Referral(("lodging",), ("sailors",), "Northport", service_ids=("i2", "i3")),
            "cited_outside",
        ),
        (
            Referral(("lodging",), ("sailors",), "Northport", service_ids=("i2", "zz")),
            "cited_outside",
        ),
    ],
)
def test_each_mistake_has_its_reason(island: Catalog, got: Referral, reason: str) -> None:
    outcome = judged(island, LODGING, got)
    assert outcome.verified is False
    assert reason in outcome.reasons
    assert set(outcome.reasons) <= set(REASONS)


def test_every_need_must_be_served_by_a_cited_row(island: Catalog) -> None:
    expected = Referral(needs=("lodging", "medicine"))
    got = Referral(needs=("lodging", "medicine"), service_ids=("i2",))
    assert judged(island, expected, got).reasons == ("need_missed",)


def test_a_fact_needs_its_field_and_its_service_first(island: Catalog) -> None:
    expected = Referral(field="phone", service_ids=("i1",))
    assert judged(island, expected, expected).verified is True
    other = judged(island, expected, Referral(field="phone", service_ids=("i2", "i1")))
    assert other.reasons == ("wrong_service",)
    field = judged(island, expected, Referral(field="fees", service_ids=("i1",)))
    assert field.reasons == ("field_wrong",)


def test_only_a_refusal_that_cites_nothing_answers_an_outside_question(island: Catalog) -> None:
    expected = Referral(nothing_fits=True)
    assert judged(island, expected, expected).score == 1.0
    assert judged(island, expected, Referral()).reasons == ("not_refused",)
    citing = judged(island, expected, Referral(nothing_fits=True, service_ids=("i1",)))
    assert (citing.verified, citing.reasons) == (False, ("cited_outside",))


def test_a_quoted_row_must_be_cited(island: Catalog) -> None:
    expected = Referral(needs=("lodging",), service_ids=("i2",))
    missed = judged(island, expected, Referral(needs=("lodging",), service_ids=("i1",)))
    assert missed.reasons == ("wrong_service",)


def test_an_open_task_is_neither_right_nor_wrong(island: Catalog) -> None:
    outcome = judged(island, None, LODGING)
    assert (outcome.verified, outcome.reasons) == (None, ("open",))


def test_a_malformed_answer_is_never_verified(island: Catalog) -> None:
    answer = Answer(Role.BASE, LODGING, well_formed=False)
    assert misread(LODGING, answer) == ("malformed",)


def test_the_score_is_the_f1_of_the_cited_services(island: Catalog) -> None:
    outcome = judged(
        island, Referral(needs=("lodging",)), Referral(("lodging",), service_ids=("i1",))
    )
    assert outcome.verified is True
    assert outcome.score == pytest.approx(2 / 3)
