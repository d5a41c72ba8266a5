"""A grid of runs on a Ray cluster: each run a task with its own GPU or CPU, bases before stacks."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace

import torch

from brainseg.config import Config, ConfigError
from brainseg.training.learner import make_accelerator
from brainseg.training.planning import Planned
from brainseg.training.runs import Workplace, run


def run_on_ray(
    needed: Iterable[Planned], place: Workplace, address: str, **hardware
) -> dict[Config, Exception]:
    """Run everything planned (see ``planning.plan``) on the cluster; returns what failed.

    place: without an accelerator, which each task makes for itself; its folders must be such as
        every node sees.
    address: of a running cluster ("auto", "ray://head:10001"), or "local" to start one here.
    hardware: precision, cpu and compiler as in ``learner.make_accelerator``; on the CPU also where
        a node has no GPU.

    What a lost node took is retried up to three times, from the last finished epoch.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--ray needs Ray: pip install 'brainseg[ray]'") from error
    place = _absolute(place)
    ray.init(address=None if address == "local" else address, log_to_driver=False)
    try:
        has_gpus = not hardware["cpu"] and ray.cluster_resources().get("GPU", 0) > 0
        request = {"num_gpus": 1} if has_gpus else {"num_cpus": 1}
        task = ray.remote(max_retries=3, **request)(_task)
        running: dict[Config, object] = {}
        for planned in needed:
            # Handing over the references makes Ray wait for the runs that this one reads.
            references = [running[other] for other in planned.reads]
            running[planned.config] = task.remote(planned, place, hardware, *references)
        failed = {}
        for config, reference in running.items():
            try:
                print(f"{config.name}: {ray.get(reference)}", flush=True)
            except Exception as error:
                cause = getattr(error, "cause", None) or error
                failed[config] = cause
                print(f"error: {config.title}: {cause}", file=sys.stderr)
        return failed
    finally:
        ray.shutdown()


def _task(planned: Planned, place: Workplace, hardware: dict, *reads: str) -> str:
    """One run, on whichever node Ray gave it; returns its folder."""
    import ray

    given = ray.get_runtime_context().get_assigned_resources()
    if not given.get("GPU"):
        torch.set_num_threads(max(1, int(given.get("CPU", 1))))
    accelerator = make_accelerator(**{**hardware, "cpu": hardware["cpu"] or not given.get("GPU")})
    # A retry finds what the lost try left.
    return str(run(planned, replace(place, accelerator=accelerator, resume=True)).folder)


def _absolute(place: Workplace) -> Workplace:
    """The same folders by absolute paths, since a task's working folder is Ray's."""
    folders = ("data", "cache", "runs", "initial", "unlabelled")
    return replace(place, **{key: _resolved(getattr(place, key)) for key in folders})


def _resolved(folder):
    """A path, a list of them or some by name; None as it is."""
    if isinstance(folder, dict):
        return {name: _resolved(own) for name, own in folder.items()}
    if isinstance(folder, list):
        return [_resolved(own) for own in folder]
    return folder and folder.expanduser().resolve()
