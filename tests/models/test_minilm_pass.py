"""The written-out training pass gives what the plain form of transformers and PEFT gives."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from dreamlab.models.compute import multiplies_bfloat16
from dreamlab.models.decoder import load_start
from dreamlab.settings import EMBEDDED
from tests.models.test_minilm_decoder import LONG, SHORT, row

QUESTIONS = [
    ("maybe <need:food> maybe <need:housing> <place:Taft> a meal in Taft", "<need:food>"),
    (SHORT, "<none>"),
    (f"<group:seniors> {LONG}", "<need:food> <group:seniors> <place:Taft>"),
]


@pytest.fixture(scope="module")
def adapted(completion_format, settings):
    """The embedded model in an adapter whose every weight differs from its start."""
    start = load_start(EMBEDDED, completion_format, settings)
    torch.manual_seed(1)
    model = get_peft_model(start.model, LoraConfig(r=4, lora_alpha=8, **start.lora)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return start, model


def loss_and_gradients(model, loss, batch):
    model.zero_grad()
    value = loss(batch)
    value.backward()
    named = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
    return value.detach(), named


@pytest.fixture(scope="module")
def plain(adapted):
    start, model = adapted
    batch = start.collate([row(start, *given) for given in QUESTIONS])
    return batch, *loss_and_gradients(model, lambda b: start.loss(model, b), batch)


def test_it_gives_the_loss_and_the_gradients_of_the_plain_form(adapted, plain):
    start, model = adapted
    batch, loss, gradients = plain
    ours, named = loss_and_gradients(model, start.pass_of(model, False), batch)
    assert torch.isclose(ours, loss, atol=1e-5)
    assert named.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert gradient.any(), name
        assert torch.allclose(named[name], gradient, rtol=1e-3, atol=1e-5), name


def test_half_precision_changes_little(adapted, plain):
    start, model = adapted
    if not multiplies_bfloat16(torch, "cpu"):
        pytest.skip("this CPU has no units for bfloat16")
    batch, loss, gradients = plain
    ours, named = loss_and_gradients(model, start.pass_of(model, True), batch)
    off = sum(((named[n] - g) ** 2).sum() for n, g in gradients.items()) ** 0.5
    assert torch.isclose(ours, loss, rtol=5e-3)
    assert off < 0.03 * sum((g**2).sum() for g in gradients.values()) ** 0.5


def test_its_rows_do_not_mix(adapted):
    start, model = adapted
    loss = start.pass_of(model, False)
    rows = [row(start, *given) for given in QUESTIONS]
    labels = [len(r["input_ids"]) - r["prompt"] for r in rows]
    with torch.inference_mode():
        alone = [loss(start.collate([r])) * n for r, n in zip(rows, labels, strict=True)]
        assert torch.isclose(loss(start.collate(rows)), sum(alone) / sum(labels), atol=1e-5)


def test_dropout_belongs_to_training_alone(adapted, plain):
    start, model = adapted
    batch, loss, _ = plain
    passed = start.pass_of(model, False)
    try:
        model.train()
        dropped = passed(batch)
    finally:
        model.eval()
    assert not torch.isclose(dropped, loss, atol=1e-4)
    assert torch.isclose(passed(batch), loss, atol=1e-5)
