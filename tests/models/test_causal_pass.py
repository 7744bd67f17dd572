"""Rows laid end to end teach what padded rows teach, in the architecture of Qwen3 and SmolLM2."""

import logging

import pytest
import torch
from peft import LoraConfig, get_peft_model

from dreamlab.models.causal import TextModel
from dreamlab.models.causal_pass import ATTENTION, CausalPass
from dreamlab.models.compute import multiplies_bfloat16
from tests.models.small import small_model

ROWS = [
    ("maybe <need:food> a hot meal in Taft", "<need:food>"),
    ("food?", "<none>"),
    ("somewhere to sleep for my grandfather who served two tours", "<need:housing>"),
    ("<ask:phone> number of the shelter", "<ask:phone>"),
    ("a bed", "<need:housing> <place:Taft>"),
]


def batch_of(start, rows=ROWS):
    encoded = []
    for question, completion in rows:
        prompt, rest = start.prompt(question), start.completion(completion)
        encoded.append({"input_ids": [*prompt, *rest], "prompt": len(prompt)})
    return start.collate(encoded)


def adapted(folder, half=False):
    start = TextModel(str(folder), half)
    torch.manual_seed(1)
    config = LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, **start.lora)
    return start, get_peft_model(start.model, config)


@pytest.fixture(scope="module", params=["qwen3", "llama"])
def folder(request, tmp_path_factory):
    texts = [text for row in ROWS for text in row]
    return small_model(tmp_path_factory.mktemp(request.param), request.param, texts)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}


def test_rows_laid_end_to_end_give_the_loss_and_gradients_of_padded_ones(folder):
    start, model = adapted(folder)
    batch = batch_of(start)
    plain = start.loss(model, batch)
    expected = gradients(model, plain)
    passing = CausalPass(model)
    loss = passing.loss(batch)
    assert passing.packs
    assert torch.isclose(loss, plain, atol=1e-5)
    for name, gradient in gradients(model, loss).items():
        assert gradient.any(), name
        assert torch.allclose(gradient, expected[name], rtol=1e-3, atol=1e-5), name


def test_no_row_sees_another(folder):
    start, model = adapted(folder)
    passing = CausalPass(model.eval())
    with torch.no_grad():
        before = passing.packed(batch_of(start, ROWS[:3]))
        after = passing.packed(batch_of(start, [("an altogether other one", "<none>"), *ROWS[1:3]]))
    kept = len(start.completion(ROWS[1][1])) + len(start.completion(ROWS[2][1]))
    assert torch.allclose(before[-kept:], after[-kept:], atol=1e-5)


def test_no_token_is_lost(folder):
    start, model = adapted(folder)
    batch = batch_of(start)
    seen = []
    model.get_base_model().get_input_embeddings().register_forward_hook(
        lambda module, given, output: seen.append(given[0])
    )
    with torch.no_grad():
        logits = CausalPass(model).packed(batch)
    assert seen[0].shape == (1, int(batch["attention_mask"].sum()))
    assert seen[0][0].tolist() == batch["input_ids"][batch["attention_mask"].bool()].tolist()
    assert len(logits) == int((batch["labels"] != -100).sum())


def test_a_model_whose_layers_look_beyond_a_row_is_trained_on_padded_ones(folder, caplog):
    start, model = adapted(folder)
    batch = batch_of(start)
    passing = CausalPass(model)
    layer = model.get_base_model().get_decoder().layers[0]
    layer.register_forward_hook(
        lambda module, given, output: output + output.roll(1, dims=1).cumsum(1)
    )
    with caplog.at_level(logging.WARNING):
        loss = passing.loss(batch)
    assert not passing.packs
    assert "padded rows" in caplog.text
    assert torch.isclose(loss, start.loss(model, batch), atol=1e-5)


def test_a_model_without_this_kind_of_attention_is_trained_on_padded_rows(folder):
    start, model = adapted(folder)
    model.get_base_model().set_attn_implementation("eager")
    batch = batch_of(start)
    passing = CausalPass(model)
    assert torch.isclose(passing.loss(batch), start.loss(model, batch), atol=1e-5)
    assert model.get_base_model().config._attn_implementation != ATTENTION


def test_a_window_of_attention_is_kept(tmp_path):
    texts = [text for row in ROWS for text in row]
    window = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}
    start, model = adapted(small_model(tmp_path, "qwen3", texts, **window))
    batch = batch_of(start)
    plain = start.loss(model, batch)
    passing = CausalPass(model)
    assert torch.isclose(passing.loss(batch), plain, atol=1e-5)
    assert passing.packs


def test_questions_are_completed_as_before(folder):
    start, model = adapted(folder)
    questions = [question for question, _ in ROWS]
    with torch.inference_mode():
        before = start.complete(model.eval(), questions)
        CausalPass(model)
        assert start.complete(model, questions) == before


def test_half_precision_changes_little(folder):
    if not multiplies_bfloat16(torch, "cpu"):
        pytest.skip("this CPU has no units for bfloat16")
    exact, half = (
        CausalPass(model).loss(batch_of(start)).item()
        for start, model in (adapted(folder), adapted(folder, half=True))
    )
    assert half == pytest.approx(exact, rel=0.03)


def test_a_disabled_adapter_is_not_applied(folder):
    start, model = adapted(folder)
    batch = batch_of(start)
    passing = CausalPass(model)
    with torch.no_grad(), model.disable_adapter():
        off = passing.loss(batch)
    untouched = TextModel(str(folder), half=False)
    with torch.no_grad():
        assert torch.isclose(off, untouched.loss(untouched.model, batch), atol=1e-5)


@pytest.mark.slow
def test_compiled_layers_give_the_same(folder):
    start, model = adapted(folder)
    batch = batch_of(start)
    plain = start.loss(model, batch)
    expected = gradients(model, plain)
    loss = CausalPass(model, compiled=True).loss(batch)
    assert torch.isclose(loss, plain, atol=1e-4)
    for name, gradient in gradients(model, loss).items():
        assert torch.allclose(gradient, expected[name], rtol=1e-2, atol=1e-4), name
