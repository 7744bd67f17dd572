"""A directory that changes under the model: how deep it falls, and how fast it recovers.

    python benchmarks/drift.py --nights 2 --after 3 --folder DIR

Lives some nights on a copy of the directory, on a clock of their own. Then the directory changes: a
tenth of its rows close, a tenth move to another place, a tenth come on top (copies of others under
new names, served for another group), and one whole city is new. The same lab goes on. Asked, in
wordings that no dream has: cells whose rows changed, the new city, facts of new services, and as a
control cells whose rows did not change. F1 before the change by the old rows;
right after it, untrained, and after each further night by the new ones.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from statistics import mean

from dreamlab.cli.common import progress_bars
from dreamlab.directory.catalog import Catalog, import_directory, open_directory
from dreamlab.directory.rows import MANIFEST, ROWS, format_manifest, format_rows
from dreamlab.lab import Lab
from dreamlab.orchestration import dreaming, tasks
from dreamlab.orchestration.arms import arm_named
from dreamlab.orchestration.learning import Answering, team_answers
from dreamlab.records import Answer, Question, Referral, Service, TaskKind
from dreamlab.settings import Settings, load_settings
from dreamlab.training.evaluate import evaluate
from dreamlab.training.generated import generated
from flows.dream_session import dream_session
from flows.finetune_base_model import finetune_base_model

NAME = "drifting"
CITY = "Quillhaven"
NEW = ("Amber", "Birch", "Copper", "Dawn", "Ember", "Fern", "Garnet", "Hazel", "Indigo", "Juniper")
KINDS = ("Alliance", "Bureau", "Circle", "Depot", "Exchange", "Forum", "Guild")
FIRST = datetime(2026, 1, 1)
MOST = 60
"""Questions of each sort."""


@dataclass(frozen=True)
class Change:
    """The rows after a change; and of rows by what became of them, as they were or are now."""

    services: tuple[Service, ...]
    closed: tuple[Service, ...]
    moved: tuple[Service, ...]
    added: tuple[Service, ...]
    city: tuple[Service, ...]


def changed(catalog: Catalog, seed: int, share: float = 0.1) -> Change:
    """The directory's rows with this share closed, moved and added each, and one new city with a
    row for every need. The same seed changes the same rows."""
    rng = Random(seed)
    count = max(1, round(share * len(catalog)))
    drawn = rng.sample(catalog.services, 3 * count)
    closed, moving, copied = (tuple(drawn[i * count : (i + 1) * count]) for i in range(3))
    names = (f"{new} {kind}" for kind in KINDS for new in NEW)

    def elsewhere(row: Service) -> str:
        return rng.choice([place for place in catalog.places if place != row.place])

    def new(row: Service, number: int, place: str) -> Service:
        name, phone = next(names), f"555-{100 + number // 100:03}-{number % 100:04}"
        groups = (rng.choice(catalog.groups),) if catalog.groups else ()
        return replace(
            row,
            id=f"new-{number:03}",
            organization=name,
            name=f"{name} {row.needs[0]}",
            groups=groups,
            place=place,
            phone=phone,
        )

    moved = {row.id: replace(row, place=elsewhere(row)) for row in moving}
    added = tuple(new(row, i, row.place) for i, row in enumerate(copied, 1))
    of_need = [next(s for s in catalog.services if need in s.needs) for need in catalog.needs]
    city = tuple(new(row, 500 + i, CITY) for i, row in enumerate(of_need, 1))
    gone = {row.id for row in closed}
    kept = tuple(moved.get(s.id, s) for s in catalog.services if s.id not in gone)
    return Change((*kept, *added, *city), closed, tuple(moved.values()), added, city)


def put(catalog: Catalog, services: Sequence[Service], settings: Settings) -> None:
    """Import the rows, with the catalog's phrases, as an operator would."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        (made / ROWS).write_text(format_rows(services), encoding="utf-8")
        manifest = format_manifest("any", catalog.title, catalog.helpline)
        (made / MANIFEST).write_text(manifest, encoding="utf-8")
        if catalog.folder:
            phrases = (catalog.folder / "phrases.toml").read_text(encoding="utf-8")
            (made / "phrases.toml").write_text(phrases, encoding="utf-8")
        import_directory(made, NAME, settings)


def asked(rows: Sequence[Service], catalog: Catalog, kind: TaskKind) -> Iterator[Question]:
    """Questions about some rows in held-out wordings, with what the whole directory accepts."""
    some = Catalog("some", rows, folder=catalog.folder)
    for number, draft in enumerate(d for d in generated(some) if d.kind == kind):
        accepted: tuple[str, ...] = draft.accepted
        if draft.cell:
            need, group, place = draft.cell
            known = Referral((need,), (group,) if group else (), place)
            accepted = tuple(service.id for service in catalog.matching(known))
        yield Question(
            f"{number}",
            draft.question,
            kind,
            "generated",
            "report",
            draft.language,
            accepted,
            accepted,
            draft.field,
            cell=draft.cell,
        )


def questions(old: Catalog, new: Catalog, change: Change) -> dict[str, dict[str, list[Question]]]:
    """By sort, the questions to ask before the change and after it: the same ones, but that none
    is asked before of what was not there."""
    ids = {row.id for row in change.moved}
    touched = (*change.closed, *change.moved, *change.added)
    touched += tuple(row for row in old.services if row.id in ids)
    still = [row for row in old.services if row in new.services]

    def both(rows: Sequence[Service], differ: bool) -> dict[str, list[Question]]:
        asks = (asked(rows, catalog, TaskKind.REFERRAL) for catalog in (old, new))
        pairs = [
            pair
            for pair in zip(*asks, strict=True)
            if (pair[0].accepted != pair[1].accepted) is differ
        ][:MOST]
        return {"before": [was for was, _ in pairs], "after": [now for _, now in pairs]}

    city = [q for q in asked(change.city, new, TaskKind.REFERRAL) if CITY in q.cell]
    facts = [*asked((*change.added, *change.city), new, TaskKind.FACT)]
    return {
        "cells that changed": both(touched, True),
        "the new city": {"after": city[:MOST]},
        "facts of new services": {"after": facts[:MOST]},
        "cells that did not": both(still, False),
    }


def night(lab: Lab, number: int, seed: int) -> str:
    """Live one night that starts when the window opens; the version that answers after it."""
    hour = lab.settings.downtime_start_hour
    opens = (FIRST + timedelta(days=number)).replace(hour=hour, tzinfo=lab.settings.zone)
    began = time.monotonic()
    lab.now = lambda: opens + timedelta(seconds=time.monotonic() - began)  # type: ignore[method-assign]
    tasks.use_lab(lab)
    if dreaming.tonight(lab) is None:  # a killed run goes on where it was
        dream_session.fn(seed=seed)
    training = finetune_base_model.fn(seed=seed)
    champion = lab.registry.champion()
    reason = training.verdict.reasons[0] if training.verdict else training.training.skipped
    plan = training.training
    return (
        f"version {champion.number if champion else '-'}, {plan.new} examples new and "
        f"{plan.replayed} replayed, {'passed' if training.version else reason}"
    )


def main() -> None:
    """Live the nights, change the directory, live on, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nights", type=int, default=3, help="before the change")
    parser.add_argument("--after", type=int, default=3, help="nights after the change")
    parser.add_argument("--dreams", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=50_000, help="that a training reads")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directory", default="kern", help="the one to begin with")
    parser.add_argument("--folder", type=Path, help="data folder; default: a temporary one")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    settings = load_settings(
        home=options.folder or Path(tempfile.mkdtemp(prefix="dreamlab-")),
        directory=NAME,
        dream_task_count=options.dreams,
        training_tokens=options.tokens,
        threads=options.threads,
        min_examples_for_training=10,
        score_team=False,
    )
    first = open_directory(options.directory, settings)
    put(first, first.services, settings)
    lab = Lab(settings, arm=arm_named("aimed"))
    old = lab.catalog
    change = changed(old, options.seed)
    closed = {row.id for row in change.closed}
    found: dict[str, dict[str, float]] = {}
    sizes: dict[str, int] = {}

    def measure(when: str, sets: dict[str, dict[str, list[Question]]]) -> None:
        base = lab.base()
        subjects: dict[str, Answering] = {"team": team_answers(lab.team(base))}
        if base:
            subjects["base"] = base.propose
        cited = 0
        for name, answering in subjects.items():
            for sort, asks in sets.items():
                part = asks.get("before" if when == "before" else "after", [])
                if not part:
                    continue
                answers: list[Answer] = []
                scored = evaluate(name, _kept(answering, answers), part, lab.catalog)
                found.setdefault(when, {})[f"{name}, {sort}"] = mean(s.f1 for s in scored.scores)
                sizes[f"{name}, {sort}"] = len(part)
                cited += sum(bool(closed & {*a.referral.service_ids, *a.nearest}) for a in answers)
        if when != "before":
            found[when]["answers that name a closed service"] = cited
        print(when, {k: round(v, 3) for k, v in found[when].items()}, flush=True)

    with progress_bars() as lab.progress:
        for number in range(options.nights):
            print(f"night {number + 1}: {night(lab, number, options.seed)}", flush=True)
        new = Catalog(NAME, change.services, folder=old.folder)
        measure("before", questions(old, new, change))
        put(old, change.services, settings)
        lab.refresh()
        sets = questions(old, lab.catalog, change)
        measure("right after", sets)
        for number in range(1, options.after + 1):
            print(f"night +{number}: {night(lab, options.nights + number - 1, options.seed)}")
            measure(f"night +{number}", sets)
    print("\n".join(table(found, sizes, change)))
    if options.json:
        options.json.write_text(json.dumps({"f1": found, "questions": sizes}, indent=1))


def _kept(answering: Answering, answers: list[Answer]) -> Answering:
    """The same answering, which keeps what it answered."""

    def answer(texts: Sequence[str]) -> Sequence[Answer]:
        given = answering(texts)
        answers.extend(given)
        return given

    return answer


def table(
    found: dict[str, dict[str, float]], sizes: dict[str, int], change: Change
) -> Iterator[str]:
    """F1 in Markdown, one row a subject and sort of questions, one column a moment."""
    rows = list(dict.fromkeys(name for figures in found.values() for name in figures))
    yield (
        f"{len(change.closed)} rows closed, {len(change.moved)} moved, {len(change.added)} added, "
        f"{len(change.city)} in {CITY}"
    )
    yield "| F1 | questions | " + " | ".join(found) + " |"
    yield "|---" * (len(found) + 2) + "|"
    show: Callable[[str, float], str] = lambda name, v: f"{v:.2f}" if name in sizes else f"{v:.0f}"  # noqa: E731
    for name in rows:
        cells = [show(name, f[name]) if name in f else "-" for f in found.values()]
        yield f"| {name} | {sizes.get(name, '')} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
