import gc
import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from dreamlab.errors import ModelError, TrainingError, WindowClosed
from dreamlab.models import causal
from dreamlab.models.completion import CompletionFormat
from dreamlab.models.decoder import CARD, load_decoder, load_start
from dreamlab.settings import EMBEDDED, Settings
from dreamlab.training import frame
from dreamlab.training.finetune import finetune
from dreamlab.training.order import BATCH, batches
from tests.models.small import small_model

FORMAT = CompletionFormat(("food", "housing"), ("seniors", "veterans"), ("Delano", "Taft"))
READ = "maybe <need:food> maybe <need:housing> maybe <group:seniors> maybe <group:veterans>"
ROWS = [
    {"prompt": f"{READ} <place:Taft> a hot meal in Taft", "completion": "<need:food> <place:Taft>"},
    {
        "prompt": f"{READ} <place:Delano> somewhere to sleep in Delano",
        "completion": "<need:housing> <place:Delano>",
    },
    {
        "prompt": f"{READ} groceries for my grandmother",
        "completion": "<need:food> <group:seniors>",
    },
    {
        "prompt": f"{READ} I served two tours and need a room",
        "completion": "<need:housing> <group:veterans>",
    },
    {"prompt": f"{READ} who won the game", "completion": "<none>"},
    {"prompt": "named <ask:phone> phone number of the shelter", "completion": "<ask:phone>"},
]


def settings(tmp_path, **given):
    return Settings(home=tmp_path, threads=1, **{"training_epochs": 6, "lora_rank": 4, **given})


def train(tmp_path, folder="adapter", rows=ROWS, parent=None, base_model=EMBEDDED, **given):
    progress = given.pop("progress", None)
    completion_format = given.pop("completion_format", FORMAT)
    return finetune(
        rows,
        base_model=base_model,
        format=completion_format,
        settings=settings(tmp_path, **given),
        folder=tmp_path / folder,
        parent=parent,
        seed=1,
        progress=progress,
    )


def weights(folder):
    from safetensors.numpy import load_file

    return load_file(str(folder / "adapter_model.safetensors"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small training, learnt by heart."""
    return train(tmp_path_factory.mktemp("trained"), training_epochs=160, learning_rate=5e-3)


def test_what_was_trained_on_is_learnt_and_answered_after_loading(trained, tmp_path):
    decoder = load_decoder(EMBEDDED, trained.folder, FORMAT, settings(tmp_path))
    assert decoder.complete([r["prompt"] for r in ROWS]) == [r["completion"] for r in ROWS]


def test_a_loaded_version_answers_the_same_again(trained, tmp_path):
    asked = [r["prompt"] for r in ROWS] + ["a bed for a veteran", "¿dónde hay comida?"]
    first, second = (
        load_decoder(EMBEDDED, trained.folder, FORMAT, settings(tmp_path)).complete(asked)
        for _ in range(2)
    )
    assert first == second


def test_the_final_folder_is_small_and_free_of_pickles(trained):
    names = {path.name for path in trained.folder.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", CARD} <= names
    assert not any(n.endswith((".bin", ".pt", ".pth", ".pkl")) for n in names)
    assert (trained.folder / "adapter_model.safetensors").stat().st_size < 8e6
    assert [path.name for path in trained.folder.parent.iterdir()] == [trained.folder.name]


def test_the_card_says_what_it_is(trained):
    card = json.loads((trained.folder / CARD).read_text())
    assert card["tokens"] == list(FORMAT.tokens)
    assert card["base_model"] == "all-MiniLM-L6-v2"
    assert len(card["base_sha256"]) == 64
    assert card["parent"] is None
    assert card["created"]


def test_the_history_tells_loss_rate_seconds_and_tokens(trained):
    assert set(trained.history[0]) == {"step", "loss", "learning_rate", "seconds", "tokens"}
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    seconds = [point["seconds"] for point in trained.history]
    assert seconds == sorted(seconds)
    assert trained.examples == len(ROWS)


def test_the_tokens_of_the_history_are_no_padding(trained, tmp_path):
    start = load_start(EMBEDDED, FORMAT, settings(tmp_path))
    lengths = [len(start.prompt(r["prompt"]) + start.completion(r["completion"])) for r in ROWS]
    assert trained.history[-1]["tokens"] == 160 * sum(lengths)


def test_a_finished_training_is_not_run_again(trained, tmp_path):
    again = finetune(
        ROWS,
        base_model=EMBEDDED,
        format=FORMAT,
        settings=settings(tmp_path, training_epochs=160, learning_rate=5e-3),
        folder=trained.folder,
        parent=None,
        seed=1,
        progress=lambda done, total: pytest.fail("trained again"),
    )
    assert again == trained


def test_a_folder_of_another_training_is_refused(trained, tmp_path):
    with pytest.raises(TrainingError, match="another training"):
        finetune(
            ROWS[:2],
            base_model=EMBEDDED,
            format=FORMAT,
            settings=settings(tmp_path),
            folder=trained.folder,
            parent=None,
            seed=1,
        )


def test_the_next_version_goes_on_from_its_parent(trained, tmp_path):
    rows = [*ROWS, {"prompt": "canned goods", "completion": "<need:food>"}]
    child = train(tmp_path, rows=rows, parent=trained.folder)
    assert child.history[0]["loss"] < trained.history[0]["loss"] / 2
    card = json.loads((child.folder / CARD).read_text())
    assert card["parent"] == json.loads((trained.folder / CARD).read_text())["plan"]


def test_a_new_place_goes_on_from_the_parent(trained, tmp_path):
    wider = CompletionFormat(FORMAT.needs, FORMAT.groups, ("Arvin", *FORMAT.places))
    child = train(tmp_path, parent=trained.folder, completion_format=wider)
    assert child.history[0]["loss"] < trained.history[0]["loss"] / 2
    card = json.loads((child.folder / CARD).read_text())
    assert card["parent"] == json.loads((trained.folder / CARD).read_text())["plan"]
    assert card["tokens"] == list(wider.tokens)


def test_another_directory_altogether_starts_afresh(trained, tmp_path):
    other = CompletionFormat(("food",), (), ("Oslo", "Bergen"))
    child = train(tmp_path, parent=trained.folder, completion_format=other, training_epochs=2)
    assert json.loads((child.folder / CARD).read_text())["parent"] is None


def test_nothing_of_a_training_stays_in_memory(tmp_path):
    import torch

    train(tmp_path, training_epochs=1)
    assert not [o for o in gc.get_objects() if issubclass(type(o), torch.optim.Optimizer)]


def test_the_same_seed_gives_the_same_adapter_to_the_bit(tmp_path):
    one, two = (train(tmp_path, folder=name, training_epochs=2) for name in ("one", "two"))
    name = "adapter_model.safetensors"
    assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()


def test_progress_counts_to_the_end(tmp_path):
    seen = []
    trained = train(tmp_path, training_epochs=4, progress=lambda *step: seen.append(step))
    assert seen == [(i, trained.steps) for i in range(1, trained.steps + 1)]


SCRIPT = """
    import os, signal, sys
    sys.path.insert(0, {root!r})
    from pathlib import Path
    from tests.training.test_finetune import train, EPOCHS

    def die(done, total):
        if done == {at}:
            os.kill(os.getpid(), signal.SIGKILL)

    train(Path({home!r}), training_epochs=EPOCHS, progress=die)
"""
EPOCHS = 30


def kill_at(home, step):
    root = str(Path(__file__).parents[2])
    script = textwrap.dedent(SCRIPT.format(root=root, at=step, home=str(home)))
    return subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=root, timeout=300)


def test_a_killed_training_resumes_and_ends_where_an_unbroken_one_ends(tmp_path):
    unbroken = train(tmp_path / "whole", training_epochs=EPOCHS)
    killed = kill_at(tmp_path / "killed", 7)
    work = tmp_path / "killed" / ".adapter.training"
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "adapter").exists()
    last = max(work.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    (last / "optimizer.pt").unlink()
    steps = []
    resumed = train(
        tmp_path / "killed", training_epochs=EPOCHS, progress=lambda done, _: steps.append(done)
    )
    assert 1 < steps[0] < 7
    ours, theirs = weights(resumed.folder), weights(unbroken.folder)
    assert all(abs(ours[name] - theirs[name]).max() < 1e-5 for name in theirs)
    assert [p["step"] for p in resumed.history] == [p["step"] for p in unbroken.history]


def test_what_was_killed_with_other_examples_is_not_resumed(tmp_path):
    with pytest.raises(WindowClosed):
        train(tmp_path, training_epochs=EPOCHS, progress=closing_at(6))
    steps = []
    train(tmp_path, rows=ROWS[:4], training_epochs=4, progress=lambda *s: steps.append(s[0]))
    assert steps[0] == 1


def closing_at(step):
    def progress(done, total):
        if done == step:
            raise WindowClosed("the window closed")

    return progress


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frame.os, "replace", full)
    with pytest.raises(TrainingError, match="No space left on device") as caught:
        train(tmp_path, training_epochs=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "adapter").exists()
    monkeypatch.undo()
    assert (train(tmp_path, training_epochs=1).folder / CARD).is_file()


def test_a_place_that_is_no_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="free space") as caught:
        train(tmp_path, folder="file/adapter", training_epochs=1)
    assert "\n" not in str(caught.value)


def test_no_examples_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="dream first"):
        train(tmp_path, rows=[])


def test_every_epoch_sees_every_row_once_and_lengths_meet():
    lengths = [5, 30] * 64
    order = batches(lengths, 3, seed=0)
    assert all(order.count(i) == 3 for i in range(len(lengths)))
    mixed = [len({lengths[i] for i in order[k : k + BATCH]}) for k in range(0, len(order), BATCH)]
    assert sum(mixed) / len(mixed) < 1.2
    assert order == batches(lengths, 3, seed=0) != batches(lengths, 3, seed=1)


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory):
    """A random Llama whose padding is its end token, without a chat template."""
    from transformers import AutoTokenizer

    texts = [r["prompt"] + "\n" + r["completion"] for r in ROWS]
    folder = small_model(tmp_path_factory.mktemp("llama"), "llama", texts)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    return folder


def test_a_local_causal_model_learns_the_same_completions_as_text(tiny_llama, tmp_path):
    trained = train(
        tmp_path,
        base_model=str(tiny_llama),
        training_epochs=250,
        learning_rate=5e-3,
        lora_rank=32,
    )
    decoder = load_decoder(str(tiny_llama), trained.folder, FORMAT, settings(tmp_path))
    found = decoder.complete([r["prompt"] for r in ROWS])
    assert found == [r["completion"] for r in ROWS]


def test_a_text_model_is_taught_its_end_token_though_padding_shares_it(tiny_llama, tmp_path):
    start = load_start(str(tiny_llama), FORMAT, settings(tmp_path))
    prompt, completion = start.prompt("food"), start.completion("<need:food>")
    longer = [*prompt, *prompt, *completion]
    batch = start.collate(
        [
            {"input_ids": [*prompt, *completion], "prompt": len(prompt)},
            {"input_ids": longer, "prompt": 2 * len(prompt)},
        ]
    )
    learnt = [label for label in batch["labels"][0].tolist() if label != -100]
    assert learnt == completion
    assert learnt[-1] == start.end
    assert batch["input_ids"][0, -1] != start.end


def test_a_chat_template_is_used_where_there_is_one(tiny_llama, tmp_path):
    start = load_start(str(tiny_llama), FORMAT, settings(tmp_path))
    start.tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
    )
    assert start.tokenizer.decode(start.prompt("food")) == "[user]food[assistant]"


def test_a_long_question_of_a_text_model_fits_its_context(tiny_llama, tmp_path):
    start = load_start(str(tiny_llama), FORMAT, settings(tmp_path))
    assert len(start.prompt("a hot meal " * 5000)) <= start.context


def test_a_missing_base_model_is_one_line(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(ModelError, match="no safetensors"):
        train(tmp_path, base_model=str(tmp_path / "model"))


@pytest.fixture(scope="module")
def tiny_qwen(tmp_path_factory):
    """A random Qwen3 with a chat template, padding apart from its end token."""
    texts = [r["prompt"] + "\n" + r["completion"] for r in ROWS]
    return small_model(tmp_path_factory.mktemp("qwen"), "qwen3", texts)


def test_a_chat_model_learns_to_end_its_turn(tiny_qwen, tmp_path):
    given = {"training_epochs": 250, "learning_rate": 5e-3, "lora_rank": 32}
    trained = train(tmp_path, base_model=str(tiny_qwen), **given)
    decoder = load_decoder(str(tiny_qwen), trained.folder, FORMAT, settings(tmp_path))
    assert decoder.complete([r["prompt"] for r in ROWS]) == [r["completion"] for r in ROWS]


def test_activations_computed_again_change_nothing(tiny_qwen, tmp_path):
    kept, again = (
        train(
            tmp_path,
            folder=f"adapter-{name}",
            base_model=str(tiny_qwen),
            training_epochs=6,
            training_checkpointing=name,
        )
        for name in (False, True)
    )
    ours, theirs = weights(again.folder), weights(kept.folder)
    assert all(abs(ours[name] - theirs[name]).max() < 1e-4 for name in theirs)


def test_an_adapter_is_trained_on_weights_in_four_bits(tiny_qwen, tmp_path):
    pytest.importorskip("bitsandbytes")
    given = {"training_epochs": 40, "learning_rate": 5e-3, "training_weights": "4bit"}
    trained = train(tmp_path, base_model=str(tiny_qwen), **given)
    assert trained.history[-1]["loss"] < trained.history[0]["loss"] * 0.85
    decoder = load_decoder(str(tiny_qwen), trained.folder, FORMAT, settings(tmp_path))
    assert len(decoder.complete(["food"])) == 1


def test_four_bits_without_their_library_are_one_line(tiny_qwen, tmp_path, monkeypatch):
    monkeypatch.setattr(causal, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'dreamlab\[qlora\]'") as caught:
        train(tmp_path, base_model=str(tiny_qwen), training_weights="4bit")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
