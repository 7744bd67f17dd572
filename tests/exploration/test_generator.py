from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import pytest

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import PhraseBank
from dreamlab.exploration.check import check
from dreamlab.exploration.curriculum import Curriculum, cells_asked
from dreamlab.exploration.drafts import STYLE
from dreamlab.exploration.generator import LANGUAGES, MIX, Dreams, dream
from dreamlab.exploration.strategies import choose, open_cells
from dreamlab.exploration.wording import Vocabulary, core, normal
from dreamlab.records import CITED_AT_MOST, Answer, Referral, Role, TaskKind
from tests.exploration.conftest import experience

Night = Callable[..., Dreams]
LEADING_HELP = re.compile(r"^(?:help (?:with |for )?|ayuda (?:con |para )?)")
QUIET = replace(STYLE, noise=0.0)


def texts(dreams: Dreams) -> list[str]:
    return [task.question for task in dreams.tasks]


def test_a_seed_reproduces_a_night(night: Night) -> None:
    assert night(seed=3) == night(seed=3)
    assert texts(night(seed=3)) != texts(night(seed=4))
    assert texts(night(name="2026-11-22")) != texts(night(name="2026-11-23"))


def test_a_night_has_the_kinds_and_languages_of_its_mix(night: Night) -> None:
    dreams = night(200)
    assert len(dreams.tasks) == 200
    assert dreams.dropped == {}
    kinds = Counter(task.kind for task in dreams.tasks)
    for kind, share in MIX.items():
        assert kinds[TaskKind(kind)] == pytest.approx(200 * share, abs=1)
    spanish = sum(task.language == "es" for task in dreams.tasks)
    assert spanish / 200 == pytest.approx(LANGUAGES["es"], abs=0.08)


def test_about_half_of_the_referrals_are_life_situations(night: Night) -> None:
    dreams = night(300)
    referrals = [task for task in dreams.tasks if task.kind == TaskKind.REFERRAL]
    told = sum(any("situations" in p for p in task.provenance) for task in referrals)
    assert 0.35 < told / len(referrals) < 0.6


def test_ids_count_up_and_name_no_row(night: Night, kern: Catalog) -> None:
    dreams = night()
    assert [task.id for task in dreams.tasks] == [f"d{n:03d}" for n in range(1, 121)]
    ids = re.compile("|".join(re.escape(service.id) for service in kern.services))
    assert not any(ids.search(text) for text in texts(dreams))
    assert not any("{" in text or "}" in text for text in texts(dreams))


def test_no_text_comes_twice(night: Night) -> None:
    said = [normal(text) for text in texts(night(400))]
    assert len(said) == len(set(said))


def test_texts_of_earlier_nights_are_avoided(night: Night) -> None:
    first = texts(night())
    again = night(earlier=first)
    assert not {normal(text) for text in first} & {normal(text) for text in texts(again)}
    assert len(again.tasks) == 120


def test_held_out_cells_are_never_visited(kern: Catalog, kern_phrases: PhraseBank) -> None:
    def held_out(need: str, group: str, place: str) -> bool:
        return len(need + group + place) % 3 == 0

    every = choose("random", open_cells(kern), Curriculum(), 300, Random(1))
    dreams = dream("n", 300, 1, every, kern, kern_phrases, held_out=held_out)
    visited = [cell for task in dreams.tasks for cell in cells_asked(task.expected)]
    assert len(visited) > 150
    assert not any(held_out(*cell) for cell in visited)


def test_refused_wordings_are_never_dreamt_and_are_replaced(night: Night) -> None:
    def refuse(batch: Sequence[str]) -> list[bool]:
        return ["need" in text.lower() or "¿" in text for text in batch]

    dreams = night(refuse=refuse)
    assert dreams.refused > 5
    assert not any(refuse(texts(dreams)))
    assert len(dreams.tasks) == 120


def test_when_everything_is_refused_there_are_fewer_dreams_and_a_reason(night: Night) -> None:
    dreams = night(30, refuse=lambda batch: [True] * len(batch))
    assert dreams.tasks == ()
    assert dreams.dropped == {"near_benchmark": 30}


def test_the_wording_carries_every_expected_facet(night: Night, kern_phrases: PhraseBank) -> None:
    words = Vocabulary(kern_phrases)
    seen = Counter()
    for task in night(300, style=QUIET).tasks:
        expected = task.expected
        if expected is None or expected.field or expected.nothing_fits or expected.service_ids:
            continue
        said = normal(task.question)
        for facet, values in (("needs", expected.needs), ("groups", expected.groups)):
            for value in values:
                phrases = [
                    *words.words(facet, value, task.language),
                    *words.situations(facet, value, task.language),
                ]
                used = [p for p in phrases if p.id in task.provenance]
                mended = [LEADING_HELP.sub("", p.text) for p in used]
                cores = [core(text, task.language) for text in mended]
                assert any(text in said for text in cores), (task.question, value, used)
                seen[facet] += 1
        if expected.place:
            assert expected.place in task.question
            seen["place"] += 1
    assert min(seen.values()) > 50


def test_no_facet_is_worded_that_is_not_expected(night: Night, kern: Catalog) -> None:
    for task in night(300, style=QUIET).tasks:
        if task.kind in (TaskKind.REFERRAL, TaskKind.CASE, TaskKind.CONNECT):
            assert task.expected is not None
            named = {place for place in kern.places if f"in {place}" in task.question}
            assert named <= {task.expected.place}
            by_facet = {p.split(".")[1] for p in task.provenance if p.startswith("needs.")}
            assert by_facet <= set(task.expected.needs)
            groups = {p.split(".")[1] for p in task.provenance if p.startswith("groups.")}
            assert groups == set(task.expected.groups)


def test_every_checkable_dream_has_a_known_answer_in_the_directory(
    night: Night, kern: Catalog
) -> None:
    for task in night(300).tasks:
        expected = task.expected
        if expected is None:
            assert task.kind == TaskKind.GAP
            continue
        cited = expected.service_ids
        if not (cited or expected.nothing_fits):
            found = kern.lookup(expected, task.question, CITED_AT_MOST).matches
            cited = tuple(match.service.id for match in found)
        answer = Answer(Role.TEAM, replace(expected, service_ids=cited))
        assert check(task, answer, kern).verified is True, task
        if expected.field:
            assert getattr(kern.get(cited[0]), expected.field)
            assert kern.named(task.question, 1)[0].service.id == cited[0]


def test_a_place_without_rows_of_its_own_is_never_expected(night: Night, kern: Catalog) -> None:
    for task in night(300).tasks:
        if task.expected and task.expected.place:
            rows = kern.matching(task.expected)
            assert rows
            assert all(row.place in ("", task.expected.place) for row in rows)


def test_a_case_is_a_person_with_two_or_three_needs(night: Night) -> None:
    cases = [task.expected for task in night(300).tasks if task.kind == TaskKind.CASE]
    assert {len(case.needs) for case in cases if case} == {2, 3}
    assert all(case and case.groups for case in cases)


def test_a_connection_is_of_needs_that_one_row_meets(night: Night, kern: Catalog) -> None:
    for task in night(300).tasks:
        if task.kind == TaskKind.CONNECT:
            assert task.expected is not None
            assert any(set(task.expected.needs) <= set(s.needs) for s in kern.services)


def test_a_gap_is_an_open_question_about_what_no_row_offers(night: Night, kern: Catalog) -> None:
    gaps = {str(gap) for gap in kern.gaps()}
    dreamt = [task for task in night(200).tasks if task.kind == TaskKind.GAP]
    assert dreamt
    for task in dreamt:
        assert task.expected is None
        assert task.provenance[-1].removeprefix("gap:") in gaps


def test_a_quoted_row_is_what_its_quote_leads_to(kern: Catalog, kern_phrases: PhraseBank) -> None:
    cells = [cell for cell in open_cells(kern) if not (cell.group or cell.place)]
    style = replace(STYLE, quoted=1.0)
    mix = {TaskKind.REFERRAL: 1.0}
    dreams = dream("n", 60, 1, cells, kern, kern_phrases, mix=mix, style=style)
    quoted = [t for t in dreams.tasks if t.expected and t.expected.service_ids]
    assert len(quoted) > 5
    for task in quoted:
        assert task.expected is not None
        found = kern.lookup(Referral(needs=task.expected.needs), task.question).matches
        assert task.expected.service_ids[0] in {match.service.id for match in found}


def test_a_focus_holds_for_gaps_too(kern: Catalog, kern_phrases: PhraseBank) -> None:
    cells = choose("focus", open_cells(kern), Curriculum(), 60, Random(1), need="housing")
    dreams = dream("n", 60, 1, cells, kern, kern_phrases, mix={TaskKind.GAP: 1.0})
    about = [t.provenance[-1] for t in dreams.tasks if t.kind == TaskKind.GAP]
    assert about
    assert all(text.startswith("gap:no housing") for text in about)


def test_what_users_asked_is_imitated_and_never_copied(
    kern: Catalog, kern_phrases: PhraseBank
) -> None:
    question = "yo anybody hooking people up with a food box this week"
    asked = experience(None, kind=TaskKind.ASKED, question=question, team=Referral(needs=("food",)))
    cells = [cell for cell in open_cells(kern) if not (cell.group or cell.place)]
    dreams = dream(
        "n", 80, 1, cells, kern, kern_phrases, [asked], mix={TaskKind.REFERRAL: 1.0}, style=QUIET
    )
    like = [text for text in texts(dreams) if text.startswith("yo anybody hooking people up")]
    assert len(like) > 3
    assert normal(question) not in {normal(text) for text in texts(dreams)}


@pytest.mark.parametrize("bank", ["none", "borrowed"])
def test_another_directory_is_dreamt_about_in_its_own_facets(
    island: Catalog, kern_phrases: PhraseBank, bank: str
) -> None:
    phrases = PhraseBank() if bank == "none" else replace(kern_phrases, needs={}, groups={})
    cells = choose("random", open_cells(island), Curriculum(), 40, Random(1))
    dreams = dream("n", 40, 1, cells, island, phrases)
    assert len(dreams.tasks) >= 30
    needs = {need for t in dreams.tasks if t.expected for need in t.expected.needs}
    assert needs == set(island.needs)
    kinds = {task.kind for task in dreams.tasks}
    assert {TaskKind.REFERRAL, TaskKind.CASE, TaskKind.GAP} <= kinds
    assert (TaskKind.NONE in kinds) == (bank == "borrowed")
    said = " ".join(texts(dreams)).lower()
    assert "pet care" in said


def test_without_cells_there_is_no_dream_but_a_reason(
    kern: Catalog, kern_phrases: PhraseBank
) -> None:
    assert dream("n", 5, 1, [], kern, kern_phrases) == Dreams((), {"no_cell": 5})


def test_planning_a_night_takes_less_than_a_second(night: Night) -> None:
    night(1)
    start = time.perf_counter()
    night(120)
    assert time.perf_counter() - start < 1.0
