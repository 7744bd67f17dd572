import torch

QUESTIONS = [
    "said <need:food> maybe <need:housing> <place:Taft> near a hot meal in Taft",
    "maybe <group:veterans> dim I served",
]


def drawn(start, seed, times=3, temperature=50.0):
    torch.manual_seed(seed)
    with torch.inference_mode():
        return start.sample(start.model, QUESTIONS, times, temperature)


def test_what_is_drawn_may_be_written_and_ends(start):
    found = drawn(start, 0)
    assert len(found) == 6
    prompts = [start.prompt(question) for question in QUESTIONS]
    for i, ids in enumerate(found):
        for k, token in enumerate(ids):
            assert token in start.writable(prompts[i // 3], ids[:k])
        assert start.end not in ids[:-1]


def test_the_same_seed_draws_the_same_and_another_something_else(start):
    assert drawn(start, 1) == drawn(start, 1) != drawn(start, 2)


def test_without_heat_the_greedy_completion_is_drawn_every_time(start):
    with torch.inference_mode():
        greedy = start.complete(start.model, QUESTIONS)
    cold = [
        start.tokenizer.decode([i for i in ids if i != start.end])
        for ids in drawn(start, 0, 2, 1e-4)
    ]
    assert cold == [greedy[0], greedy[0], greedy[1], greedy[1]]
