"""A night's dreams: how many of which kind, over which cells, none too near to the benchmark.

`dream` turns chosen cells into tasks; how one dream comes about is in `drafts.py`. Nothing is
answered, checked or stored here, and no clock, file or model is touched: whether a text is a near
paraphrase of a benchmark question is asked of a callable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import MappingProxyType

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import PhraseBank
from dreamlab.exploration.curriculum import LEVELS, Cell
from dreamlab.exploration.drafts import STYLE, Draft, Drafter, NoDraft, Style
from dreamlab.exploration.strategies import HeldOut, nothing_held_out
from dreamlab.exploration.wording import normal
from dreamlab.records import Experience, Task, TaskKind

Refuse = Callable[[Sequence[str]], Sequence[bool]]

BY_LEVEL: Mapping[str, float] = MappingProxyType(
    dict(zip(LEVELS, (0.12, 0.35, 0.08, 0.17, 0.11, 0.12), strict=True))
)
"""Shares of the levels of difficulty in a night; open questions about gaps take the rest."""

GAPS, ALONE, APART = 0.05, 0.65, 0.7
"""Shares: of a night, the open questions after what no row offers; of the facts, those that ask
for one field, not what a service does; of several needs, those that no one row need meet."""


def kinds_of(levels: Mapping[str, float]) -> dict[str, float]:
    """The shares of the kinds of task that the shares of the levels come to."""
    return {
        TaskKind.REFERRAL: levels["one need"] + levels["place and group"],
        TaskKind.FACT: levels["conditions"] + levels["facts"] * ALONE,
        TaskKind.EXPLAIN: levels["facts"] * (1 - ALONE),
        TaskKind.CASE: levels["several needs"] * APART,
        TaskKind.CONNECT: levels["several needs"] * (1 - APART),
        TaskKind.NONE: levels["refusals"],
        TaskKind.GAP: GAPS,
    }


def style_of(levels: Mapping[str, float]) -> Style:
    """The shares of the ways of wording that the shares of the levels ask for."""
    facts = levels["conditions"] + levels["facts"] * ALONE
    return replace(STYLE, conditions=levels["conditions"] / facts)


MIX: Mapping[str, float] = MappingProxyType(kinds_of(BY_LEVEL))
"""Shares of the kinds in a night."""

ASKED_MIX: Mapping[str, float] = MappingProxyType(
    {TaskKind.REFERRAL: 0.6, TaskKind.CASE: 0.1, TaskKind.FACT: 0.15, TaskKind.NONE: 0.15}
)
ASKED_STYLE = replace(STYLE, situations=1.0, quoted=0.0, noise=0.6)
"""Kinds and wording of tasks as people put them, for experiments: people tell their situation and
rarely use a directory's words. The shares are about those of the natural benchmark questions."""

LANGUAGES: Mapping[str, float] = MappingProxyType({"en": 0.8, "es": 0.2})
"""Shares of the languages; what cannot be said in one is said in English."""

ROUNDS = 8
"""Rounds in which refused and failed dreams are replaced: from the third at another cell, from
the fifth with texts of earlier nights allowed, in the last two as plain referrals."""


@dataclass(frozen=True, slots=True)
class Dreams:
    """A night's plan: its tasks, and what was not to be had.

    `dropped` counts, by reason code, the dreams that are missing; `refused` the texts thrown away
    as too near to the benchmark, most of which were replaced.
    """

    tasks: tuple[Task, ...]
    dropped: Mapping[str, int]
    refused: int = 0


def refuse_nothing(texts: Sequence[str]) -> Sequence[bool]:
    """The rule of a directory without a benchmark: no text is too near to anything."""
    return [False] * len(texts)


def dream(
    night: str,
    count: int,
    seed: int,
    cells: Sequence[Cell],
    catalog: Catalog,
    phrases: PhraseBank,
    asked: Sequence[Experience] = (),
    refuse: Refuse = refuse_nothing,
    *,
    held_out: HeldOut = nothing_held_out,
    earlier: Collection[str] = (),
    strategy: str = "",
    mix: Mapping[str, float] = MIX,
    languages: Mapping[str, float] = LANGUAGES,
    style: Style = STYLE,
) -> Dreams:
    """`count` tasks over the given cells, in the order of dreaming; same inputs, same tasks.

    `cells` are taken in turn, again from the start when there are fewer than `count`; those that
    are held out or that no row fits are passed over. `refuse` says for each text whether it is a
    near paraphrase of a benchmark question; such a dream is replaced. `earlier` are texts of
    earlier nights, avoided as long as there is anything else to say. What users asked lately
    (`asked`) is imitated, never copied. No two tasks have the same text.
    """
    rng = Random(f"{seed}/{night}")
    drafter = Drafter(catalog, phrases, asked, cells, held_out, languages, style, rng)
    kinds = _kinds(mix, count, rng)
    usable = [cell for cell in cells if cell in drafter.universe]
    taken = {normal(experience.task.question) for experience in asked}
    old = {normal(text) for text in earlier}
    drafts: dict[int, Draft] = {}
    missing = dict.fromkeys(range(count), "no_cell")
    refused = 0
    for turn in range(ROUNDS if usable else 0):
        fresh: dict[int, Draft] = {}
        for i in missing:
            kind = kinds[i] if turn < ROUNDS - 2 else TaskKind.REFERRAL
            cell = usable[i % len(usable)] if turn < 2 else rng.choice(usable)
            try:
                draft = drafter.draft(kind, cell, taken if turn >= 4 else taken | old)
            except NoDraft as reason:
                missing[i] = str(reason)
                continue
            taken.add(normal(draft.text))
            fresh[i] = draft
        verdicts = refuse([draft.text for draft in fresh.values()]) if fresh else ()
        for (i, draft), near in zip(fresh.items(), verdicts, strict=True):
            if near:
                missing[i] = "near_benchmark"
                refused += 1
            else:
                drafts[i] = draft
                del missing[i]
    ready = [drafts[i] for i in sorted(drafts)]
    tasks = tuple(_task(night, n, draft, strategy) for n, draft in enumerate(ready, 1))
    return Dreams(tasks, dict(sorted(Counter(missing.values()).items())), refused)


def _task(night: str, number: int, draft: Draft, strategy: str) -> Task:
    return Task(
        id=f"d{number:03d}",
        question=draft.text,
        kind=draft.kind,
        night=night,
        language=draft.language,
        expected=draft.expected,
        strategy=strategy,
        provenance=draft.provenance,
    )


def _kinds(mix: Mapping[str, float], count: int, rng: Random) -> list[TaskKind]:
    """`count` kinds in the shares of the mix (largest remainders), shuffled."""
    total = sum(mix.values())
    exact = {TaskKind(kind): count * share / total for kind, share in mix.items()}
    numbers = {kind: int(share) for kind, share in exact.items()}
    by_rest = sorted(exact, key=lambda kind: (numbers[kind] - exact[kind], kind))
    for kind in by_rest[: count - sum(numbers.values())]:
        numbers[kind] += 1
    kinds = [kind for kind in exact for _ in range(numbers[kind])]
    rng.shuffle(kinds)
    return kinds
