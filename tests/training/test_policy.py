"""Odds of completions, and training on what the base model writes itself."""

import json

import pytest

from dreamlab.errors import TrainingError, WindowClosed
from dreamlab.models.decoder import CARD, load_decoder, load_start, with_adapter
from dreamlab.models.minilm_decoder import IGNORED
from dreamlab.settings import EMBEDDED
from dreamlab.training import preference, reinforcement
from dreamlab.training.finetune import finetune
from dreamlab.training.frame import Job
from dreamlab.training.policy import Draw, Pointing
from tests.training.test_finetune import FORMAT, ROWS, settings, tiny_llama, weights  # noqa: F401

EPOCHS = {"dpo": 16, "grpo": 64}
"""Two steps and more after the warm start, which has not learnt all by then."""


def exact(prompts, expected, written):
    """1 for the expected completion, less for others, least for what cannot be parsed."""
    return [
        1.0 if FORMAT.decode(w) == FORMAT.decode(e) else 0.0 if FORMAT.decode(w) else -0.5
        for e, w in zip(expected, written, strict=True)
    ]


def train(home, strategy, rows=ROWS, progress=None, base_model=EMBEDDED, reward=exact, **given):
    rate = {"grpo": 1e-3, "dpo": 3e-3}.get(strategy, 1e-2)
    known = {"training_epochs": EPOCHS.get(strategy, 16), "learning_rate": rate, **given}
    return finetune(
        rows,
        base_model=base_model,
        format=FORMAT,
        settings=settings(home, **known),
        folder=home / "adapter",
        parent=None,
        seed=1,
        strategy=strategy,
        reward=reward,
        progress=progress,
    )


def odds(start, model, pairs):
    """The log-probabilities of completions, as the trainers see them."""
    import torch

    rows = [(start.prompt(prompt), ids) for prompt, ids in pairs]
    size = max(len(p) + len(ids) for p, ids in rows)
    ids = torch.full((len(rows), size), start.tokenizer.pad_token_id)
    labels, mask = torch.full_like(ids, IGNORED), torch.zeros_like(ids)
    for i, (p, written) in enumerate(rows):
        ids[i, : len(p) + len(written)] = torch.tensor([*p, *written])
        labels[i, len(p) : len(p) + len(written)] = torch.tensor(written)
        mask[i, : len(p) + len(written)] = 1
    with torch.inference_mode():
        return Pointing(start, model)(input_ids=ids, attention_mask=mask, labels=labels)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return load_start(EMBEDDED, FORMAT, settings(tmp_path_factory.mktemp("home")))


def test_the_odds_of_all_that_may_be_written_add_up_to_one(start):
    prompt = ROWS[0]["prompt"]
    tokens = sorted(start.writable(start.prompt(prompt)))
    told = odds(start, start.model, [(prompt, [token]) for token in tokens])
    assert told.log_probs.sum(-1).exp().sum() == pytest.approx(1, abs=1e-4)


def test_the_greedy_completion_is_the_likeliest_word_by_word(start):
    prompts = [row["prompt"] for row in ROWS]
    written = start.complete(start.model, prompts)
    pairs = [(p, start.completion(text)[:-1]) for p, text in zip(prompts, written, strict=True)]
    told = odds(start, start.model, pairs)
    assert [int(row.sum()) for row in told.is_top1] == [len(ids) for _, ids in pairs]


def test_odds_do_not_hang_on_what_else_is_in_the_batch(start):
    pairs = [(ROWS[i]["prompt"], start.completion(ROWS[i]["completion"])) for i in (0, 5)]
    together = odds(start, start.model, pairs).log_probs.sum(-1)
    alone = [odds(start, start.model, [pair]).log_probs.sum() for pair in pairs]
    assert together.tolist() == pytest.approx([float(a) for a in alone], abs=1e-4)


def test_a_pair_is_what_is_worse_than_expected_and_comes_once():
    rows = [{**ROWS[0], "rejected": "<none>"}, ROWS[1], ROWS[2]]
    job = Job("dpo", rows, None, FORMAT, None, None, None, 0)
    draws = [
        Draw(0, 1.0, ("<none>", rows[0]["completion"]), (0.0, 1.0)),
        Draw(1, 0.5, ("<need:food>", "<need:housing>", "<need:food>"), (0.0, 0.5, 0.0)),
    ]
    assert preference.pairs(job, draws) == [
        (rows[0]["prompt"], rows[0]["completion"], "<none>"),
        (rows[1]["prompt"], rows[1]["completion"], "<need:food>"),
    ]


def test_only_questions_answered_now_better_now_worse_are_reinforced():
    draws = [
        Draw(0, 1.0, ("a", "a"), (1.0, 1.0)),
        Draw(1, 1.0, ("a", "b"), (1.0, 0.0)),
        Draw(2, 1.0, ("c", "d"), (0.0, 0.0)),
    ]
    assert reinforcement.undecided(draws) == [1]


@pytest.fixture(scope="module", params=["dpo", "grpo"])
def trained(request, tmp_path_factory):
    return request.param, train(tmp_path_factory.mktemp(request.param), request.param)


def test_what_is_published_is_one_adapter_with_the_history_of_both_stages(trained, tmp_path):
    strategy, found = trained
    card = json.loads((found.folder / CARD).read_text())
    assert card["strategy"] == strategy
    assert not [path for path in found.folder.iterdir() if path.is_dir()]
    assert [path.name for path in found.folder.parent.iterdir()] == ["adapter"]
    for name in ("step", "seconds", "tokens"):
        values = [point[name] for point in found.history]
        assert values == sorted(values)
    assert found.history[-1]["step"] == found.steps
    decoder = load_decoder(EMBEDDED, found.folder, FORMAT, settings(tmp_path))
    assert len(decoder.complete([row["prompt"] for row in ROWS])) == len(ROWS)


def test_a_stopped_training_ends_where_an_unbroken_one_ends(trained, tmp_path):
    strategy, unbroken = trained

    def closing(done, total):
        closing.stages += done == 1
        if closing.stages == 2 and done == 2:
            raise WindowClosed("the window closed")

    closing.stages = 0
    with pytest.raises(WindowClosed):
        train(tmp_path, strategy, progress=closing)
    steps = []
    resumed = train(tmp_path, strategy, progress=lambda done, _: steps.append(done))
    assert 0 < len(steps) < resumed.steps / 2
    ours, theirs = weights(resumed.folder), weights(unbroken.folder)
    assert all(abs(ours[name] - theirs[name]).max() < 1e-6 for name in theirs)
    assert resumed.history[-1]["tokens"] == unbroken.history[-1]["tokens"]


def test_preference_widens_the_odds_of_right_over_wrong(tmp_path, monkeypatch):
    rows = [{**row, "rejected": "<none>"} for row in ROWS if row["completion"] != "<none>"]
    monkeypatch.setattr(preference, "RATE", 0.5)
    margins = []
    for share in (0.0, 0.25):
        home = tmp_path / str(share)
        if share:
            found = train(home, "dpo", rows, training_epochs=24, learning_rate=1e-2)
        else:
            found = train(home, "sft", rows, training_epochs=18)
        start = load_start(EMBEDDED, FORMAT, settings(tmp_path))
        model = with_adapter(start, found.folder).eval()
        right = [(r["prompt"], start.completion(r["completion"])) for r in rows]
        wrong = [(r["prompt"], start.completion("<none>")) for r in rows]
        told = [odds(start, model, pairs).log_probs.sum() for pairs in (right, wrong)]
        margins.append(float(told[0] - told[1]))
    assert margins[1] > margins[0] + 1


def test_reinforcement_earns_more_than_its_warm_start(tmp_path, monkeypatch):
    """The reward likes a completion that the rows do not teach: it alone can bring it about."""
    monkeypatch.setattr(reinforcement, "RATE", 0.2)
    monkeypatch.setattr(reinforcement, "budget", lambda job: 10_000)

    def refusals(prompts, expected, written):
        return [float(text == "<none>") for text in written]

    found = train(tmp_path, "grpo", reward=refusals, training_epochs=16, learning_rate=1e-2)
    decoder = load_decoder(EMBEDDED, found.folder, FORMAT, settings(tmp_path))
    written = decoder.complete([row["prompt"] for row in ROWS])
    assert written.count("<none>") > len(ROWS) / 2, written


@pytest.mark.parametrize("strategy", ["dpo", "grpo"])
def test_a_text_model_learns_the_same_way(strategy, tiny_llama, tmp_path):  # noqa: F811
    found = train(tmp_path, strategy, base_model=str(tiny_llama), lora_rank=8)
    assert found.history[-1]["tokens"] > 0
    assert json.loads((found.folder / CARD).read_text())["strategy"] == strategy


@pytest.mark.parametrize("strategy", ["dpo", "grpo"])
def test_where_all_is_worth_the_same_supervised_fine_tuning_goes_on(strategy, tmp_path):
    def content(prompts, expected, written):
        return [1.0] * len(written)

    found = train(tmp_path, strategy, reward=content, training_epochs=8)
    assert found.steps == 4  # of six rows: 36 in the warm start, 12 after it, 16 a step
    assert json.loads((found.folder / CARD).read_text())["strategy"] == strategy


def test_a_strategy_without_reward_is_one_line(tmp_path):
    with pytest.raises(TrainingError, match="needs a reward") as caught:
        train(tmp_path, "grpo", reward=None)
    assert "\n" not in str(caught.value)
