import pytest
import torch

from dreamlab.errors import ModelError
from dreamlab.models.completion import CompletionFormat
from dreamlab.models.decoder import Decoder, load_decoder, load_start, with_adapter
from dreamlab.settings import EMBEDDED

QUESTIONS = ["a hot meal in Taft", "my uncle served and sleeps in his car", "pizza?"]


def logits_of(start, model, question):
    rows = [{"input_ids": start.prompt(question), "prompt": len(start.prompt(question))}]
    batch = start.collate(rows)
    del batch["labels"]
    with torch.inference_mode():
        return model.eval()(**batch, use_cache=False).logits[0, -1]


def test_a_merged_adapter_answers_as_the_wrapped_one(adapter, completion_format, settings):
    """PEFT ignores the bias of a layer whose rows are trained: it must be zero before merging."""
    merged = load_decoder(EMBEDDED, adapter, completion_format, settings)
    wrapped = load_start(EMBEDDED, completion_format, settings)
    model = with_adapter(wrapped, adapter)
    for question in QUESTIONS:
        ours = logits_of(merged.start, merged.model.cpu(), question)
        assert torch.allclose(ours, logits_of(wrapped, model, question), atol=2e-3)


def test_an_adapter_changes_the_completions(adapter, start, completion_format, settings):
    changed = load_decoder(EMBEDDED, adapter, completion_format, settings).complete(QUESTIONS)
    assert changed != Decoder(start, start.model).complete(QUESTIONS)


def test_completions_come_in_the_order_of_their_questions(start):
    decoder = Decoder(start, start.model)
    assert decoder.complete(QUESTIONS[::-1]) == decoder.complete(QUESTIONS)[::-1]


def test_no_questions_no_completions(start):
    assert Decoder(start, start.model).complete([]) == []


def test_an_adapter_of_another_directory_is_refused(adapter, settings):
    other = CompletionFormat(("mat",), ("barn",), ("Oslo",))
    with pytest.raises(ModelError, match="other needs, groups or places"):
        load_decoder(EMBEDDED, adapter, other, settings)


def test_a_missing_adapter_is_one_line(completion_format, settings, tmp_path):
    with pytest.raises(ModelError, match="missing or damaged") as caught:
        load_decoder(EMBEDDED, tmp_path, completion_format, settings)
    assert "\n" not in str(caught.value)


def test_a_corrupt_adapter_is_one_line(adapter, completion_format, settings, tmp_path):
    for path in adapter.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "adapter_model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match="cannot load the adapter") as caught:
        load_decoder(EMBEDDED, tmp_path, completion_format, settings)
    assert "\n" not in str(caught.value)


def test_an_unknown_base_model_is_one_line(completion_format, settings, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="has no safetensors"):
        load_decoder(str(tmp_path), None, completion_format, settings)
