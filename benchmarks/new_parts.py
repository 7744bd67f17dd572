"""What is the best start for the token of a new place, group or need?

    python benchmarks/new_parts.py --home DIR [--kind place]

Takes the champion of a home, forgets every second part of a kind as if the directory had not had it
when the version was trained, and asks for each of them four times: how often is it understood, with
the rows that training gave it, with the start model's own, and with those moved as training has
moved their fellows (what `models/adapters.py` does)? The rest of the adapter was trained with these
parts, so all three flatter; they flatter alike.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

from safetensors.torch import load_file, save_file

from dreamlab.errors import RegistryError
from dreamlab.lab import Lab
from dreamlab.models import adapters
from dreamlab.models.decoder import CARD, load_decoder, read_card
from dreamlab.settings import load_settings

WORDINGS = {
    "place": (
        "Where can I find {need} in {part}?",
        "my mother lives in {part} and needs {need}",
        "{need} {part}",
        "we just moved to {part}, is there any {need} around",
    ),
    "group": (
        "{need} for {part}",
        "is there {need} for {part}?",
        "{part}: {need}?",
        "{need}, {part}",
    ),
    "need": ("{part}", "who has {part} for seniors?", "looking for {part}", "is there {part} here"),
}


def without(adapter: Path, gone: set[str], folder: Path) -> Path:
    """A copy of an adapter that never knew some parts."""
    made = shutil.copytree(adapter, folder / "adapter")
    card = read_card(adapter)
    kept = [row for row, part in enumerate([*card["tokens"], "end"]) if part not in gone]
    weights = load_file(str(made / adapters.WEIGHTS))
    for name in weights:
        if name.endswith(adapters.ROWS):
            weights[name] = weights[name][kept].contiguous()
    save_file(weights, str(made / adapters.WEIGHTS))
    card["tokens"] = [part for part in card["tokens"] if part not in gone]
    (made / CARD).write_text(json.dumps(card))
    return made


def main() -> None:
    """Ask, and print how often each part was understood."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, required=True, help="a home with a trained champion")
    parser.add_argument("--kind", choices=WORDINGS, default="place")
    options = parser.parse_args()
    lab = Lab(load_settings(home=options.home))
    champion = lab.registry.champion()
    adapter = lab.adapter(champion.number) if champion else None
    if adapter is None:
        raise RegistryError(f"no trained champion in {options.home}; live a night there first")
    parts = [part for part in lab.format.tokens if part.startswith(f"<{options.kind}:")]
    gone, needs = parts[::2], lab.catalog.needs
    asked = [
        (
            wording.format(need=needs[(i + j) % len(needs)], part=part[1:-1].split(":", 1)[1]),
            part,
        )
        for i, part in enumerate(gone)
        for j, wording in enumerate(WORDINGS[options.kind])
    ]
    prompts = [clue.prompt for clue in lab.evidence.read([question for question, _ in asked])]

    def understood(folder: Path) -> int:
        decoder = load_decoder(lab.settings.base_model, folder, lab.format, lab.settings)
        written = decoder.complete(prompts)
        return sum(part in text for text, (_, part) in zip(written, asked, strict=True))

    with tempfile.TemporaryDirectory() as folder:
        bare = without(adapter, set(gone), Path(folder))
        print(f"{len(gone)} of {len(parts)} parts of kind {options.kind} forgotten")
        print(f"as trained          {understood(adapter)} of {len(asked)}")
        with patch.object(adapters, "moved_alike", lambda rows, moved, new: None):
            print(f"the start model's   {understood(bare)} of {len(asked)}")
        print(f"moved with its kind {understood(bare)} of {len(asked)}")


if __name__ == "__main__":
    main()
