"""An adapter made to fit a directory that has changed since it was trained.

The embedded model has a token for each part of the completion format, and an adapter holds their
rows, in the order of its card. When places, needs or groups come and go, the rows of tokens that
stay are carried over by name, and the rest of the adapter is as it was: the model points at parts
that it reads, new ones among them. A new token's row is the start model's own, moved as training
has moved the rows of its kind on average; unmoved, it lies behind its fellows and is passed over
(`python benchmarks/new_parts.py`). A model that reads the parts as text has no such rows, so its
adapters always fit.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dreamlab.errors import ModelError

if TYPE_CHECKING:
    import torch

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
KNOWN = 0.5
"""Share of a directory's needs, groups and places that an adapter must know to be of use there."""

_FACET = re.compile(r"<(?:need|group|place):")
ROWS = ".token_adapter.trainable_tokens_delta"


class Parted(Protocol):
    """A start model, as far as its parts are concerned."""

    model: Any
    tokenizer: Any

    @property
    def part_ids(self) -> Sequence[int]:
        """The tokens of the parts and of the end; none for a model that reads them as text."""


def fits(card: Mapping[str, Any], start: Parted, tokens: Sequence[str]) -> bool:
    """Whether an adapter is of use for a directory whose format has these tokens: it knows half
    of the needs, groups and places, or the model reads them as text."""
    facets = {token for token in tokens if _FACET.match(token)}
    known = facets.intersection(card.get("tokens", ()))
    return not start.part_ids or len(known) >= KNOWN * len(facets)


@contextmanager
def fitted(adapter: Path, tokens: Sequence[str], start: Parted) -> Iterator[Path]:
    """The folder of an adapter that was trained with these tokens, or a temporary one with the
    adapter as it fits the start model's parts.

    An adapter of the very same parts is given as it is.

    Raises:
        ModelError: the adapter holds not the rows of these tokens.
    """
    parts = list(start.tokenizer.convert_ids_to_tokens(list(start.part_ids)))
    before = [*tokens, *parts[-1:]]
    if before == parts or not parts:
        yield adapter
        return
    with tempfile.TemporaryDirectory(prefix="dreamlab-adapter-") as folder:
        _write(adapter, Path(folder), start, {part: row for row, part in enumerate(before)})
        yield Path(folder)


def _write(adapter: Path, made: Path, start: Parted, before: Mapping[str, int]) -> None:
    from safetensors.torch import load_file, save_file

    config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    layers: dict[str, Any] = config["trainable_token_indices"]
    config["trainable_token_indices"] = {layer: list(start.part_ids) for layer in layers}
    (made / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    weights = load_file(str(adapter / WEIGHTS))
    for name in [name for name in weights if name.endswith(ROWS)]:
        if len(weights[name]) != len(before):
            raise ModelError(
                f"the adapter in {adapter} has rows for {len(weights[name])} parts, its card "
                f"names {len(before)}; restore it or roll back"
            )
        weights[name] = _rows(weights[name], name, start, before)
    save_file(weights, str(made / WEIGHTS))


def _rows(
    trained: torch.Tensor, name: str, start: Parted, before: Mapping[str, int]
) -> torch.Tensor:
    """The rows of the start model's parts, [parts, hidden]."""
    layer = name.removeprefix("base_model.model.").removesuffix(ROWS)
    ids = list(start.part_ids)
    rows: torch.Tensor = start.model.get_submodule(layer).weight.detach()[ids].clone()
    moved: dict[str, list[torch.Tensor]] = {}
    new: dict[int, str] = {}
    for row, part in enumerate(start.tokenizer.convert_ids_to_tokens(ids)):
        kind = part.partition(":")[0]
        if part in before:
            moved.setdefault(kind, []).append(trained[before[part]] - rows[row])
            rows[row] = trained[before[part]]
        else:
            new[row] = kind
    moved_alike(rows, moved, new)
    return rows.contiguous()


def moved_alike(
    rows: torch.Tensor, moved: Mapping[str, Sequence[torch.Tensor]], new: Mapping[int, str]
) -> None:
    """Move the rows of new parts as those of their kind were moved on average."""
    for row, kind in new.items():
        if kind in moved:
            rows[row] += sum(moved[kind]) / len(moved[kind])
