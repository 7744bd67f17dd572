from collections import Counter
from pathlib import Path

from dreamlab.lab import Lab
from dreamlab.orchestration.learning import clues_to_learn_from
from dreamlab.settings import Settings


def test_needs_and_groups_are_hidden_together_and_each_without_the_other(tmp_path: Path) -> None:
    lab = Lab(Settings(home=tmp_path))
    questions = [f"food for seniors, please, {number}" for number in range(80)]
    said = Counter(
        ("said <need:food>" in clue.prompt, "said <group:seniors>" in clue.prompt)
        for clue in clues_to_learn_from(lab, questions)
    )
    assert len(said) == 4
    assert min(said.values()) >= 10
    assert clues_to_learn_from(lab, questions)[0].prompt.endswith(questions[0])
