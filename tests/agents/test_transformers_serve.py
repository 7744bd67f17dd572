"""End to end: a small Llama, taught three replies on the spot, behind `transformers serve`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from dreamlab.agents.asking import Occasion, open_models
from dreamlab.agents.team import Team
from dreamlab.records import Role
from dreamlab.settings import Settings
from tests.agents.conftest import ask
from tests.agents.llm_server import dutiful, role_of, serving

QUESTION = "where can I get groceries"
EXPERT = {"needs": ["food"], "groups": [], "words": "food boxes"}
LEAD = {"needs": ["food"], "groups": [], "field": "", "nothing_fits": False}
WRITE = {"text": "Pantry Express has groceries and food boxes. It pays rent."}
LAST = 60
"""Characters of a prompt that the little model reads: enough to tell the requests apart."""


def taught(folder: Path, lessons: list[tuple[str, str]]) -> None:
    """A Llama of 150,000 weights that gives each prompt's end its reply; saved in safetensors."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet
    )
    pieces.train_from_iterator([reply for _, reply in lessons], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=pieces, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = f"{{{{ messages[-1]['content'][-{LAST}:] }}}}<s>"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    batches = []
    for prompt, reply in lessons:
        read = tokenizer(prompt[-LAST:] + "<s>", add_special_tokens=False)["input_ids"]
        written = [*tokenizer(reply, add_special_tokens=False)["input_ids"], 1]
        batches.append((torch.tensor([read + written]), len(read)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(400):
        worst = 0.0
        for ids, start in batches:
            labels = ids.clone()
            labels[0, :start] = -100
            loss = model(input_ids=ids, labels=labels).loss
            loss.backward()
            worst = max(worst, loss.item())
        optimizer.step()
        optimizer.zero_grad()
        if worst < 0.01:
            break
    torch.set_num_threads(threads)
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address and name of the little model behind `transformers serve`."""
    from dreamlab.directory.catalog import Catalog
    from tests.agents.conftest import BANK, SERVICES, WordEmbedder

    folder = tmp_path_factory.mktemp("model")
    with serving(dutiful) as server:
        models = open_models(Settings(home=folder / "home", llm_url=server.url, llm_model="m"))
        team = Team(Catalog("tiny", SERVICES, helpline="2-1-1"), BANK, WordEmbedder())
        team.seat(models, lambda task: Occasion("n", task.key)).solve(ask(QUESTION))
    ends = {role_of(body): body["messages"][-1]["content"] for body in server.requests}
    replies = {"expert": EXPERT, "lead": LEAD, "write": WRITE}
    taught(folder, [(ends[role], json.dumps(reply)) for role, reply in replies.items()])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        process.terminate()
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, "transformers serve has ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert time.monotonic() < deadline, "transformers serve does not answer"
            time.sleep(0.2)


def test_a_real_model_behind_a_real_server_answers_for_expert_and_lead(served, team, tmp_path):
    url, name = served
    settings = Settings(home=tmp_path, llm_url=url, llm_model=name, llm_max_tokens=150)
    models = open_models(settings)
    answers = team.seat(models, lambda t: Occasion("n", t.key), 1).solve(ask(QUESTION))
    by_role = {answer.role: answer for answer in answers}
    assert {a.role: a.use.fallback for a in answers if a.use.fallback} == {}
    assert by_role[Role.SEARCH].notes == ("reads: food", "looks for: food boxes")
    text = by_role[Role.TEAM].text
    assert text.startswith("Pantry Express has groceries and food boxes [s3].\n\n")
    assert "555-010-0003" in text
    assert by_role[Role.TEAM].use.cut >= 1
    assert by_role[Role.TEAM].use.tokens_out > 4 * 10
    assert models.ledger.spent("n").tokens == sum(
        a.use.tokens_in + a.use.tokens_out for a in answers if a.role != Role.TEAM
    )
