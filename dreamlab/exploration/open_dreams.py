"""Open dreams: questions of imagination and design, which only a language model can answer.

They have no known answer, so that nothing is learnt from them unless a judge passes them. The
wordings are data (`agents/prompts/open_dreams.md`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from random import Random

from dreamlab.exploration.curriculum import Cell
from dreamlab.records import OPEN_KINDS, Task, TaskKind


def open_dreams(
    night: str, count: int, seed: int, cells: Sequence[Cell], strategy: str = ""
) -> tuple[Task, ...]:
    """`count` open dreams over the given cells, the kinds in turn; same inputs, same tasks."""
    if not cells:
        return ()
    rng = Random(f"{seed}/{night}/open")
    tasks = []
    for number in range(count):
        kind = OPEN_KINDS[number % len(OPEN_KINDS)]
        cell = rng.choice(cells)
        at = rng.randrange(len(_frames()[kind]))
        tasks.append(
            Task(
                id=f"o{number + 1:03d}",
                question=_worded(_frames()[kind][at], cell),
                kind=kind,
                night=night,
                strategy=strategy,
                provenance=(f"{kind}:{at}",),
            )
        )
    return tuple(tasks)


def _worded(frame: str, cell: Cell) -> str:
    slots = {
        "{need}": cell.need,
        "{for}": f" for {cell.group}" if cell.group else "",
        "{in}": f" in {cell.place}" if cell.place else "",
    }
    for slot, words in slots.items():
        frame = frame.replace(slot, words)
    return frame


@cache
def _frames() -> Mapping[TaskKind, tuple[str, ...]]:
    text = (files("dreamlab.agents") / "prompts" / "open_dreams.md").read_text("utf-8")
    found: dict[TaskKind, tuple[str, ...]] = {}
    for kind in OPEN_KINDS:
        section = text.split(f"\n## {kind}\n")[1].split("\n## ")[0]
        lines = section.strip().splitlines()
        found[kind] = tuple(line[2:] for line in lines if line.startswith("- "))
    return found
