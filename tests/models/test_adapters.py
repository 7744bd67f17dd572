"""An adapter in a directory that has changed: rows carried over by name, the rest as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dreamlab.errors import ModelError
from dreamlab.models.adapters import CONFIG, WEIGHTS, fits, fitted
from dreamlab.models.completion import CompletionFormat
from dreamlab.models.decoder import load_decoder, load_start, read_card, with_adapter
from dreamlab.settings import EMBEDDED
from tests.models.conftest import FORMAT

CHANGED = CompletionFormat(
    ("food", "housing"), ("families", "seniors", "veterans"), ("Arvin", "Taft")
)
"""A group and a place are new, in the middle of the order; Delano is gone."""
NEW = {"<group:families>", "<place:Arvin>"}
ASKED = [
    "said <need:food> maybe <need:housing> maybe <group:seniors> <place:Taft> near a hot meal",
    "maybe <need:housing> maybe <need:food> said <group:veterans> dim a bed for a veteran",
    "maybe <need:food> far who won the game?",
]
LAYERS = ("bert.embeddings.word_embeddings", "cls.predictions.decoder")


@pytest.fixture(scope="module")
def changed(settings):
    return load_start(EMBEDDED, CHANGED, settings)


def rows(folder: Path, layer: str) -> torch.Tensor:
    weights = load_file(str(folder / WEIGHTS))
    return weights[f"base_model.model.{layer}.token_adapter.trainable_tokens_delta"]


def test_rows_are_carried_over_by_name_and_new_ones_move_with_their_kind(adapter, changed):
    tokens = read_card(adapter)["tokens"]
    with fitted(adapter, tokens, changed) as folder:
        for layer in LAYERS:
            before = dict(zip([*tokens, "<end>"], rows(adapter, layer), strict=True))
            after = dict(zip([*CHANGED.tokens, "<end>"], rows(folder, layer), strict=True))
            weight = changed.model.get_submodule(layer).weight
            own = dict(zip(after, weight[changed.part_ids], strict=True))
            assert after.keys() - before.keys() == NEW
            assert all(torch.equal(after[p], before[p]) for p in after.keys() - NEW)
            moved = after["<place:Taft>"] - own["<place:Taft>"]
            assert torch.allclose(after["<place:Arvin>"] - own["<place:Arvin>"], moved, atol=1e-6)
            groups = [after[f"<group:{g}>"] - own[f"<group:{g}>"] for g in CHANGED.groups]
            assert torch.allclose(groups[0], (groups[1] + groups[2]) / 2, atol=1e-6)
            assert groups[0].norm() > 0
        others = {n: w for n, w in load_file(str(adapter / WEIGHTS)).items() if "tokens" not in n}
        kept = load_file(str(folder / WEIGHTS))
        assert all(torch.equal(kept[name], weight) for name, weight in others.items())
        indices = json.loads((folder / CONFIG).read_text())["trainable_token_indices"]
        assert list(indices.values()) == [changed.part_ids] * 2
    assert not folder.exists()


def test_an_adapter_of_the_same_parts_is_given_as_it_is(adapter, start):
    with fitted(adapter, read_card(adapter)["tokens"], start) as folder:
        assert folder == adapter


def test_what_it_knew_it_says_as_before(adapter, completion_format, settings):
    before = load_decoder(EMBEDDED, adapter, completion_format, settings).complete(ASKED)
    assert load_decoder(EMBEDDED, adapter, CHANGED, settings).complete(ASKED) == before


def test_a_fitted_parent_is_trained_on_and_saved_with_the_new_parts(adapter, settings, tmp_path):
    start = load_start(EMBEDDED, CHANGED, settings)
    model = with_adapter(start, adapter, trainable=True)
    start.loss(
        model,
        start.collate(
            [{"input_ids": start.prompt(ASKED[0]) + start.completion("<place:Arvin>"), "prompt": 9}]
        ),
    ).backward()
    trained = [n for n, p in model.named_parameters() if p.grad is not None and "tokens" in n]
    assert len(trained) == len(LAYERS)
    model.save_pretrained(str(tmp_path), save_embedding_layers=False)
    assert len(rows(tmp_path, LAYERS[0])) == len(CHANGED.tokens) + 1


@pytest.mark.parametrize(
    ("places", "fit"),
    [(("Arvin", "Taft"), True), (tuple(f"Town {n}" for n in range(9)), False)],
)
def test_it_fits_where_it_knows_half_of_the_facets(start, places, fit):
    other = CompletionFormat(FORMAT.needs, FORMAT.groups, places)
    assert fits({"tokens": FORMAT.tokens}, start, other.tokens) is fit


def test_the_adapter_of_a_model_that_reads_text_always_fits(start):
    class Text:
        part_ids = ()
        model, tokenizer = start.model, start.tokenizer

    assert fits({"tokens": FORMAT.tokens}, Text(), CompletionFormat(("x",), (), ()).tokens)
    with fitted(Path("any"), FORMAT.tokens, Text()) as folder:
        assert folder == Path("any")


def test_an_adapter_that_lacks_rows_is_one_line(adapter, settings, tmp_path):
    folder = shutil.copytree(adapter, tmp_path / "short")
    weights = load_file(str(folder / WEIGHTS))
    save_file(
        {n: w[:-1].contiguous() if n.endswith("tokens_delta") else w for n, w in weights.items()},
        str(folder / WEIGHTS),
    )
    with pytest.raises(ModelError, match="its card names") as caught:
        load_decoder(EMBEDDED, folder, CHANGED, settings)
    assert "\n" not in str(caught.value)
