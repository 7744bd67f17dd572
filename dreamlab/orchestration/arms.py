"""The arms of an experiment on learning: the same lab with one thing taken away, or made worse.

What an arm changes is read where the work is done (`dreaming.py`, `learning.py`); this names the
arms, combines them, and makes a team err. It runs nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, replace
from random import Random

from dreamlab.directory.catalog import Catalog
from dreamlab.errors import SettingsError
from dreamlab.lab import Lab
from dreamlab.records import CITED_AT_MOST, FACT_FIELDS, Answer, Arm, Referral, Task

ARMS = {
    arm.name: arm
    for arm in (
        Arm("aimed", strategy="curriculum"),
        Arm("random", strategy="random"),
        Arm("no-dreams", asked=True, strategy="random", checked=False),
        Arm("no-replay", replayed=False),
        Arm("replace", replayed=False, accumulated=False),
        Arm("no-check", checked=False),
        Arm("no-gate", gated=False),
        Arm("errs-10", errs=0.1),
        Arm("errs-30", errs=0.3),
        Arm("dpo", training="dpo"),
        Arm("grpo", training="grpo"),
    )
}
"""The arms by name. What people ask has no known answer, so `no-dreams` cannot check any."""


def arm_named(name: str) -> Arm:
    """The arm of that name, or several joined by `+`, such as `errs-30+no-check+no-gate`.

    Raises:
        SettingsError: there is no such arm.
    """
    joined = Arm()
    for part in name.split("+"):
        if part not in ARMS:
            close = difflib.get_close_matches(part, ARMS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(ARMS)}"
            raise SettingsError(f"unknown arm {part!r}: {hint}")
        default = asdict(Arm())
        changed = {k: v for k, v in asdict(ARMS[part]).items() if v != default[k]}
        joined = replace(joined, **changed)
    return replace(joined, name=name)


def with_errors(
    lab: Lab, tasks: Sequence[Task], solved: Sequence[Sequence[Answer]]
) -> list[Sequence[Answer]]:
    """The answers to each task, the team's (the first) wrong for the share that the lab's arm errs.

    Which tasks those are hangs on their keys alone, so that a resumed night errs alike.
    """
    return [
        [mistaken(task, answers[0], lab.catalog), *answers[1:]]
        if Random(f"{task.key}/{task.question}").random() < lab.arm.errs
        else answers
        for task, answers in zip(tasks, solved, strict=True)
    ]


def mistaken(task: Task, answer: Answer, catalog: Catalog) -> Answer:
    """The answer as a team that got one thing wrong would give it, with the rows that follow.

    A refusal becomes an answer, a fact another field; of anything else a need, the group or the
    place is another one, or it is refused.
    """
    rng = Random(task.key)
    said = answer.referral
    if said.nothing_fits or not said.understood:
        wrong = Referral(needs=(rng.choice(catalog.needs),))
    elif said.field:
        wrong = replace(said, field=rng.choice([f for f in FACT_FIELDS if f != said.field]))
    else:
        other = [need for need in catalog.needs if need not in said.needs]
        slips = [Referral(nothing_fits=True)]
        if other:
            slips.append(Referral((rng.choice(other), *said.needs[1:]), said.groups, said.place))
        if catalog.groups:
            groups = [group for group in catalog.groups if group not in said.groups]
            slips.append(Referral(said.needs, (rng.choice(groups),), said.place))
        if catalog.places:
            places = [place for place in catalog.places if place != said.place]
            slips.append(Referral(said.needs, said.groups, rng.choice(places)))
        wrong = rng.choice(slips)
    if not (wrong.nothing_fits or wrong.field):
        found = catalog.lookup(wrong, task.question, CITED_AT_MOST)
        wrong = replace(wrong, service_ids=tuple(m.service.id for m in found.matches))
    return replace(answer, referral=wrong)
