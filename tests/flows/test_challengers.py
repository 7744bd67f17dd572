"""What becomes of a challenger that the gate does not let pass."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from dreamlab.lab import Lab
from dreamlab.models.decoder import read_card
from dreamlab.models.projection import FILE, load_projection
from dreamlab.orchestration import forgetting, learning, tasks
from dreamlab.records import Training, TrainingReport, Verdict
from flows.dream_session import dream_session
from tests.flows.conftest import NIGHT, Opening

TIED = Verdict(passed=False, reasons=("not_better",), tied=True)
WORSE = Verdict(passed=False, reasons=("worse",))
PASSED = Verdict(passed=True, reasons=("better",))


def live(lab: Lab, day: int, verdict: Verdict) -> tuple[Training, TrainingReport]:
    """A night whose gate says what it is told to."""
    lab.now = lambda: NIGHT + timedelta(days=day)
    tasks.use_lab(lab)
    tasks.run_flow(dream_session)
    training = learning.gather(lab)
    learning.train(lab, training)
    learning.evaluate(lab, training)
    return training, learning.conclude(lab, training, verdict)


def test_a_challenger_that_ties_is_trained_on_until_its_line_passes_and_a_worse_one_is_dropped(
    tmp_path: Path, opening: Opening
) -> None:
    lab = opening(tmp_path / "home", dream_task_count=8, training_tokens=400, score_team=False)
    first, _ = live(lab, 0, TIED)
    second, _ = live(lab, 1, WORSE)
    assert (first.start, second.start) == ("", first.key)
    assert (first.parent, second.parent) == ("1", "1")
    assert second.replayed == first.new  # what the challenger learnt is not new again
    folder = lab.settings.training_data_path
    cards = [read_card(folder / key / learning.ADAPTER) for key in (first.key, second.key)]
    assert cards[1]["parent"] == cards[0]["plan"]
    learnt = [
        load_projection(folder / t.key / learning.ADAPTER, lab.embedder) for t in (first, second)
    ]
    assert all(projection is not None and projection.moves.any() for projection in learnt)
    path = folder / second.key / learning.ADAPTER / FILE
    saved = path.read_bytes()
    path.unlink()
    learning.train(lab, second)  # as if killed before it was written: the adapter stays
    assert path.read_bytes() == saved
    third, _ = live(lab, 2, TIED)
    assert third.start == ""  # what was worse is not trained on
    assert third.new > second.new
    fourth, ended = live(lab, 3, PASSED)
    assert (fourth.start, ended.version) == (third.key, "2")
    assert learning.fresh_examples(lab) == 0
    assert learning.line_of(lab, fourth.key) == [fourth.key, third.key]
    # The weights of the tied challenger live on in version 2, so forgetting marks that one.
    assert forgetting._descendants(lab, [third.key]) == (2,)
