import re

import torch

from dreamlab.models.minilm_decoder import CONTEXT, END, IGNORED, NEW_TOKENS, EmbeddedModel, _layout

SHORT, LONG = "food?", "where can my grandfather in Taft find somebody who brings him a hot meal"


def row(start, question, completion):
    prompt, rest = start.prompt(question), start.completion(completion)
    return {"input_ids": [*prompt, *rest], "prompt": len(prompt)}


def test_the_start_model_is_the_same_every_time(completion_format):
    once, again = (EmbeddedModel(completion_format).model.state_dict() for _ in range(2))
    assert all(torch.equal(value, again[name]) for name, value in once.items())


def test_every_part_is_one_token_spelt_as_it_is(start, completion_format):
    for part in completion_format.tokens:
        assert start.tokenizer.decode(start.completion(part)[:-1]) == part
        assert len(start.completion(part)) == 2


def test_a_completion_ends_with_a_token_that_is_not_padding(start):
    assert start.completion("<need:food>")[-1] == start.end
    assert start.tokenizer.convert_ids_to_tokens(start.end) == END
    assert start.end != start.tokenizer.pad_token_id


def test_only_the_completion_and_its_end_are_learnt(start):
    rows = [row(start, SHORT, "<need:food>"), row(start, LONG, "<need:food> <place:Taft>")]
    batch = start.collate(rows)
    food, taft = start.completion("<need:food> <place:Taft>")[:2]
    assert batch["labels"].tolist() == [[IGNORED, food, start.end], [food, taft, start.end]]


def test_padding_changes_neither_loss_nor_completion(start):
    short, long = row(start, SHORT, "<need:food>"), row(start, LONG, "<place:Taft>")
    with torch.inference_mode():
        alone = [start.loss(start.model, start.collate([r])) for r in (short, long)]
        together = start.loss(start.model, start.collate([short, long]))
        single = [start.complete(start.model, [q])[0] for q in (SHORT, LONG)]
        assert start.complete(start.model, [SHORT, LONG]) == single
    assert torch.isclose(torch.stack(alone).mean(), together, atol=1e-4)


def test_a_prompt_sees_itself_both_ways_and_a_completion_only_what_is_before_it():
    mask, positions = _layout([2], [4], 4)
    assert mask[0, 0].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert positions.tolist() == [[0, 1, 2, 3]]


def test_decoding_step_by_step_reads_what_training_reads(start):
    """The cache and the one-shot pass of training give the same next token everywhere."""
    question = "<need:food> maybe <need:housing> <place:Taft> a hot meal in Taft"
    with torch.inference_mode():
        text = start.complete(start.model, [question])[0]
        assert text
        prompt = start.prompt(question)
        written = start.tokenizer(text, add_special_tokens=False)["input_ids"]
        batch = start.collate([{"input_ids": [*prompt, *written], "prompt": len(prompt)}])
        logits = start.logits(start.model, batch)[0]
    free = [token for token in start.part_ids if token in {*prompt, start.none, start.end}]
    for scores, token in zip(logits, written, strict=False):
        assert max(free, key=lambda part: float(scores[part])) == token
        if token != start.none:
            free.remove(token)


def test_only_parts_that_stand_in_the_prompt_are_written(start):
    with torch.inference_mode():
        (text,) = start.complete(start.model, ["<need:housing> <place:Taft> food in Delano"])
        (nothing,) = start.complete(start.model, ["food in Delano"])
    assert {*re.findall("<[^<>]+>", text)} <= {"<need:housing>", "<place:Taft>", "<none>"}
    assert {*re.findall("<[^<>]+>", nothing)} <= {"<none>"}


def test_no_part_is_written_twice(start):
    asked = [f"<need:housing> <place:Taft> food for {n} people in Delano" for n in range(8)]
    with torch.inference_mode():
        found = start.complete(start.model, asked)
    for text in found:
        parts = [part for part in re.findall("<[^<>]+>", text) if part != "<none>"]
        assert len(parts) == len({*parts})


def test_a_part_in_the_prompt_is_pointed_at_and_others_are_not(start):
    plain, said = row(start, "a meal", "<need:food>"), row(start, "<need:food> a meal", "<none>")
    with torch.inference_mode():
        for one, pointed in ((plain, False), (said, True)):
            batch = start.collate([one])
            unread = {**batch, "copied": torch.zeros_like(batch["copied"])}
            changed = start.logits(start.model, batch) != start.logits(start.model, unread)
            assert {*changed.nonzero()[:, 2].tolist()} == (
                {start.completion("<need:food>")[0]} if pointed else set()
            )


def test_a_long_question_keeps_its_head_and_tail(start):
    ids = start.prompt("Taft " + "word " * 5000 + "Delano")
    words = start.tokenizer.convert_ids_to_tokens(ids)
    assert len(ids) == CONTEXT
    assert words[:2] == ["[CLS]", "taft"]
    assert words[-1] == "[SEP]"
    assert "delano" in "".join(words[-8:-1]).replace("##", "")


def test_any_text_gets_a_bounded_completion(start):
    odd = ["", " ", "\x00\x07", "日本語で", "\ud800", "x" * 100_000]
    with torch.inference_mode():
        found = start.complete(start.model, odd)
    assert len(found) == len(odd)
    assert all(len(text.split()) <= NEW_TOKENS for text in found)


def test_the_untouched_model_writes_nothing_well_formed(start, completion_format):
    with torch.inference_mode():
        found = start.complete(start.model, [SHORT, LONG, "a shelter for veterans"])
    assert [completion_format.decode(text) for text in found] == [None] * 3
