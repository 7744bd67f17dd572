"""The task runners that dreams are spread over: threads, or processes of a Dask or Ray cluster.

A cluster without an address is one of this machine, for the length of a flow run, on loopback. What
is spread is `tasks`' business.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dreamlab.errors import SettingsError
from dreamlab.orchestration.services import LOOPBACK
from dreamlab.settings import Settings


@contextmanager
def task_runner(settings: Settings) -> Iterator[Any]:
    """The started task runner of the settings.

    Raises:
        SettingsError: its extra is missing, or a cluster of this machine would be open to others.
    """
    make = {"threads": _threads, "dask": _dask, "ray": _ray}[settings.task_runner]
    try:
        runner = make(settings.batches_at_once, settings.cluster_address)
    except ImportError:
        name = settings.task_runner
        raise SettingsError(
            f"DREAMLAB_TASK_RUNNER={name} needs an extra: pip install 'dreamlab[{name}]'"
        ) from None
    with runner as started:
        if settings.task_runner == "ray" and not settings.cluster_address:
            _check_loopback()
        yield started


def _threads(at_once: int, _address: str) -> Any:
    from prefect.task_runners import ThreadPoolTaskRunner

    return ThreadPoolTaskRunner(max_workers=at_once)


def _dask(at_once: int, address: str) -> Any:
    from prefect_dask import DaskTaskRunner

    if address:
        return DaskTaskRunner(address=address)
    local = {
        "n_workers": at_once,
        "threads_per_worker": 1,
        "host": LOOPBACK,
        "dashboard_address": None,
    }
    return DaskTaskRunner(cluster_kwargs=local)


def _ray(at_once: int, address: str) -> Any:
    if not address:
        _keep_ray_to_itself()
    from prefect_ray import RayTaskRunner

    if address:
        return RayTaskRunner(address=address)
    # `local`: begin a cluster, even where RAY_ADDRESS or another one of this machine is at hand.
    local = {"address": "local", "num_cpus": at_once, "include_dashboard": False}
    return RayTaskRunner(init_kwargs=local)


def _keep_ray_to_itself() -> None:
    """Settings that Ray reads from the environment when it is imported; those set before stay.

    With clusters of several machines off, Ray takes loopback for the address of this machine and
    all its processes listen there; on Linux they are on by default, and it listens on every
    interface whatever `_node_ip_address` says.
    """
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray asks for a token by itself; without this one it leaves one in the user's home.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _check_loopback() -> None:
    """Refuses a local Ray cluster that listens where others can reach it.

    Raises:
        SettingsError: it does: Ray was imported before us, or is told otherwise.
    """
    import ray

    address = ray.util.get_node_ip_address()
    if address != LOOPBACK:
        raise SettingsError(
            f"Ray listens on {address}, not on loopback: unset RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER, "
            "or name a cluster of your own in DREAMLAB_CLUSTER_ADDRESS"
        )
