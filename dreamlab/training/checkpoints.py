"""Which checkpoint a killed training may resume from. Reads files only, needs no torch.

A Trainer accepts a checkpoint without its optimizer in silence and then ends elsewhere, so every
part is looked at first. Nothing is trained or loaded here.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

STATE, WEIGHTS = "trainer_state.json", "adapter_model.safetensors"
ARCHIVES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")


def last_checkpoint(folder: Path) -> Path | None:
    """The furthest whole checkpoint in a folder of `checkpoint-<step>`; None if there is none."""
    numbered = [p for p in folder.glob("checkpoint-*") if p.name.split("-")[1].isdigit()]
    for path in sorted(numbered, key=_step, reverse=True):
        if is_whole(path):
            return path
    return None


def is_whole(checkpoint: Path) -> bool:
    """Whether adapter, optimizer, scheduler, random state and progress are all there, unbroken."""
    try:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
        if state["global_step"] != _step(checkpoint):
            return False
        for name in ARCHIVES:
            with zipfile.ZipFile(checkpoint / name) as archive:
                if archive.testzip() is not None:
                    return False
        return _whole_safetensors(checkpoint / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return False


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def _whole_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(size, 100_000_000)))
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    return path.stat().st_size == 8 + size + max(ends, default=0)
