import json

import pytest

from dreamlab.models.completion import CompletionFormat
from dreamlab.settings import EMBEDDED, Settings

FORMAT = CompletionFormat(("food", "housing"), ("seniors", "veterans"), ("Delano", "Taft"))


@pytest.fixture(scope="session")
def completion_format():
    return FORMAT


@pytest.fixture(scope="session")
def settings(tmp_path_factory):
    return Settings(home=tmp_path_factory.mktemp("home"), threads=1)


@pytest.fixture(scope="session")
def start(completion_format):
    from dreamlab.models.minilm_decoder import EmbeddedModel

    return EmbeddedModel(completion_format)


@pytest.fixture(scope="session")
def adapter(completion_format, settings, tmp_path_factory):
    """A random adapter of every kind of weight that a training changes."""
    import torch
    from peft import LoraConfig, get_peft_model

    from dreamlab.models.decoder import CARD, load_start

    torch.manual_seed(1)
    fresh = load_start(EMBEDDED, completion_format, settings)
    model = get_peft_model(fresh.model, LoraConfig(r=2, init_lora_weights=False, **fresh.lora))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(str(folder), save_embedding_layers=False)
    card = {"base_sha256": fresh.sha256, "base_model": fresh.name}
    (folder / CARD).write_text(json.dumps({**card, "tokens": completion_format.tokens}))
    return folder
