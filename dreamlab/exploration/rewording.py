"""Other wordings of verified dreams, to learn each of them in.

The known answer of a dream does not hang on its words. A small model that sees every dream in one
wording learns the wording by heart: of dreams it had not seen it read .50 right, of those it had
.97 (see `docs/lab-log.md`). Nothing is chosen, checked or stored here.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import PhraseBank
from dreamlab.exploration.drafts import STYLE, Drafter, NoDraft
from dreamlab.exploration.generator import LANGUAGES, Refuse, refuse_nothing
from dreamlab.exploration.strategies import HeldOut, nothing_held_out, open_cells
from dreamlab.exploration.wording import normal
from dreamlab.records import Task

DRAWS = 3
"""Draws for each wording wanted: what repeats an earlier one does not count."""


def reword(
    tasks: Sequence[Task],
    counts: Sequence[int],
    seed: int,
    catalog: Catalog,
    phrases: PhraseBank,
    refuse: Refuse = refuse_nothing,
    *,
    held_out: HeldOut = nothing_held_out,
) -> list[list[str]]:
    """For each task up to `counts` texts that ask for its known answer, its own the first.

    Same inputs, same texts. There may be fewer, or none: no text of a task comes twice, and those
    that `refuse` finds too near to the benchmark are left out, the task's own too: the benchmark
    may be another than when it was dreamt. A task without a known answer has its own text alone.
    """
    rng = Random(f"{seed}/reword")
    cells = open_cells(catalog, held_out)
    drafter = Drafter(catalog, phrases, (), cells, held_out, LANGUAGES, STYLE, rng)
    found = []
    for task, count in zip(tasks, counts, strict=True):
        texts = {normal(task.question): task.question}
        for _ in range(DRAWS * (count - 1)):
            if task.expected is None or len(texts) >= count:
                break
            try:
                text = drafter.reword(task.kind, task.expected, cells).text
            except NoDraft:
                continue
            texts.setdefault(normal(text), text)
        found.append([*texts.values()])
    near = iter(refuse([text for texts in found for text in texts]))
    return [[text for text in texts if not next(near)] for texts in found]
