import pytest

from dreamlab.training.replay import replay


def test_everything_is_replayed_while_it_fits():
    assert replay([1, 2], [3, 4, 5, 6], seed=0) == [3, 4, 5, 6]


def test_replay_stays_within_its_share_and_keeps_the_order():
    old = list(range(1000))
    chosen = replay([0] * 10, old, seed=0, share=0.5)
    assert len(chosen) == 10
    assert chosen == sorted(chosen)


def test_a_seed_fixes_the_choice():
    new, old = [0] * 10, list(range(1000))
    assert replay(new, old, seed=1) == replay(new, old, seed=1) != replay(new, old, seed=2)


def test_with_nothing_new_all_is_replayed():
    assert replay([], [1, 2, 3], seed=0) == [1, 2, 3]


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_outside_zero_to_one_is_refused(share):
    with pytest.raises(ValueError, match="share"):
        replay([1], [2], seed=0, share=share)
