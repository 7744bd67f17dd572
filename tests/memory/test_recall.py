from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamlab.memory.codec import experience_row
from dreamlab.memory.recall import Filters, Hit, Weights, merge, quote, rank, recency
from dreamlab.records import MemoryKind
from tests.memory.fakes import NOON, experience

RECORD = experience_row(experience()).record


def hit(key: str = "a", *, cosine: float = 0.5, bm25: float = 0.0, days: float = 0) -> Hit:
    created = NOON - timedelta(days=days)
    return Hit(f"experience:{key}", RECORD, 0.5, created, cosine, bm25)


def keys_in_order(hits: list[Hit], **options: Weights) -> list[float]:
    return [round(memory.score, 6) for memory in rank(hits, now=NOON, limit=9, **options)]


def test_no_filter_is_no_condition() -> None:
    assert Filters().where() == ""


def test_filters_are_joined_by_and() -> None:
    filters = Filters((MemoryKind.INSIGHT, MemoryKind.EXPERIENCE), before_night="b", need="x")
    assert filters.where() == (
        "kind IN ('experience', 'insight') AND night < 'b' AND array_has(needs, 'x')"
    )


def test_no_kinds_at_all_match_nothing() -> None:
    assert Filters(kinds=()).where() == "false"


def test_an_empty_place_is_a_condition_and_none_is_not() -> None:
    assert Filters(place="").where() == "place = ''"


def test_quotes_in_values_are_doubled() -> None:
    assert quote("it's'; DROP") == "'it''s''; DROP'"


@pytest.mark.parametrize(("days", "expected"), [(0, 1), (30, 0.5), (60, 0.25), (-5, 1)])
def test_recency_halves_with_each_half_life(days: float, expected: float) -> None:
    assert recency(NOON - timedelta(days=days), NOON, 30) == pytest.approx(expected)


def test_a_moment_without_zone_is_taken_as_utc() -> None:
    assert recency(datetime(2026, 11, 1, 12), NOON, 30) == 1


def test_the_more_similar_memory_comes_first() -> None:
    found = rank([hit("a", cosine=0.2), hit("b", cosine=0.9)], now=NOON, limit=1)
    assert found[0].similarity == pytest.approx(0.8 * 0.9)


def test_full_text_counts_relative_to_the_best_match() -> None:
    one, two = rank([hit("a", bm25=8), hit("b", bm25=4)], now=NOON, limit=2)
    assert one.similarity == pytest.approx(0.8 * 0.5 + 0.2)
    assert two.similarity == pytest.approx(0.8 * 0.5 + 0.1)


def test_of_equally_similar_memories_the_newer_comes_first() -> None:
    old, new = hit("a", days=90), hit("b", days=1)
    found = rank([old, new], now=NOON, limit=2)
    assert found[0].recency > found[1].recency


def test_of_equally_similar_memories_the_more_important_comes_first() -> None:
    dull, telling = hit("a"), replace(hit("b"), importance=0.9)
    assert rank([dull, telling], now=NOON, limit=1)[0].importance == 0.9


def test_neither_age_nor_importance_lifts_what_is_not_similar() -> None:
    relevant = replace(hit("a", cosine=0.9, days=5000), importance=0.0)
    fresh = replace(hit("b", cosine=0.5), importance=1.0)
    assert rank([fresh, relevant], now=NOON, limit=1)[0].importance == 0.0


def test_a_row_found_by_both_searches_counts_once_with_both_scores() -> None:
    assert merge([hit("a"), hit("b")], [hit("b", bm25=2)]) == [hit("a"), hit("b", bm25=2)]


@given(
    st.lists(
        st.builds(
            hit,
            st.text(max_size=3),
            cosine=st.floats(-1, 1),
            bm25=st.floats(0, 50),
            days=st.floats(-10, 4000),
        ),
        max_size=8,
        unique_by=lambda h: h.key,
    )
)
def test_scores_fall_and_stay_between_0_and_1_whatever_the_order_of_hits(hits: list[Hit]) -> None:
    scores = keys_in_order(hits)
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert keys_in_order(hits[::-1]) == scores
