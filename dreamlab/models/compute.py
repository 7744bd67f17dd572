"""torch and transformers as the lab wants them: imported late, quiet, on the right threads."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dreamlab.settings import Settings


def thread_count(settings: Settings) -> int:
    """Threads for tensor work: the setting, or the cores that this process may use."""
    if settings.threads:
        return settings.threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_torch(threads: int) -> Any:
    """The torch module, on so many threads.

    Waiting threads sleep instead of spinning: on cores shared with another busy process a
    spinning pool made one short forward pass 40 times slower (460 ms instead of 12). It takes
    effect only if torch was not imported before.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(threads)
    return torch


def multiplies_bfloat16(torch: Any, device: str) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware of their own.

    On a CPU that means AMX: where bfloat16 is only a storage format, it is slower than float32.
    """
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(device == "cpu" and torch.backends.mkldnn.is_available() and amx and amx())


@contextmanager
def one_thread(torch: Any, threads: int) -> Iterator[None]:
    """Compute on the calling thread alone, then on `threads` again.

    For one short text: waking the others sixty times takes longer than they save.
    """
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def give_back_memory() -> None:
    """Free what only reference cycles hold, and return freed pages to the system (with glibc).

    A trainer and its callbacks hold each other. After three small nights in one process 2.6 GiB
    were resident without this and 2.0 GiB with it.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim:
            trim(0)


def multiple_of(step: int, size: int) -> int:
    """The smallest multiple of `step` that is no less than `size`.

    oneDNN keeps a kernel with its buffers for each shape of a product, a thousand of them: 120
    training steps on lengths as they come held 1.5 GiB, on multiples 1.0 GiB in the same time.
    """
    return -(-size // step) * step


def by_length(
    prompts: Sequence[list[int]],
    size: int,
    write: Callable[[list[list[int]]], list[list[int]]],
) -> list[list[int]]:
    """What `write` gives for each prompt, in the same order; it is given at most `size` prompts of
    like length at a time, so that little is padded."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        for i, ids in zip(chosen, write([prompts[i] for i in chosen]), strict=True):
            found[i] = ids
    return found


def quiet_transformers() -> None:
    """Silence the progress bars and load reports of transformers and the hub client."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    for name in ("sentence_transformers", "huggingface_hub", "httpx"):
        logging.getLogger(name).setLevel(logging.ERROR)
