from __future__ import annotations

import os

import pytest

from dreamlab.models.compute import load_torch, one_thread, thread_count
from dreamlab.settings import load_settings


def test_threads_are_the_setting_or_the_cores_of_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert thread_count(load_settings(threads=3)) == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert thread_count(load_settings()) == 2


def test_torch_runs_on_so_many_threads_and_waits_asleep() -> None:
    torch = load_torch(1)
    assert torch.get_num_threads() == 1
    load_torch(2)
    assert torch.get_num_threads() == 2
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_one_thread_is_for_the_moment() -> None:
    torch = load_torch(2)
    with one_thread(torch, 2):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
