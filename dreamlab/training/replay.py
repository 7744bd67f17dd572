"""Which earlier examples are trained on again beside the new ones. Pure.

Accumulating what was learnt, never replacing it, keeps a model from forgetting and from drifting
(Gerstgrasser et al., "Is Model Collapse Inevitable?", arXiv 2404.01413).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")

SHARE = 0.75
"""Earlier examples make up at most this share of a training set: two nights after the first are
trained with everything, and a night's training stays bounded for ever after."""


def replay(new: Sequence[Item], old: Sequence[Item], seed: int, share: float = SHARE) -> list[Item]:
    """The examples of `old` to train on with `new`, in their order; same inputs, same choice.

    All of them as long as they are at most `share` of the whole, else a random sample of that
    size. With nothing new, all of `old`.

    Args:
        new: examples that no version was trained on.
        old: examples that earlier versions were trained on.
        seed: of the sample.
        share: largest share of replayed examples in the training set, in [0, 1).

    Raises:
        ValueError: `share` is not in [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must be in [0, 1), not {share}")
    room = round(len(new) * share / (1 - share))
    if not new or len(old) <= room:
        return list(old)
    return [old[i] for i in sorted(Random(seed).sample(range(len(old)), room))]
