"""A grid of runs on a Ray cluster: each run a task with its own GPU or CPU, bases before stacks."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from brainseg.config import Config, ConfigError
from brainseg.training.planning import Planned


def run_on_ray(
    needed: Iterable[Planned], place: dict, address: str, **hardware
) -> dict[Config, Exception]:
    """Run everything planned (see ``planning.plan``) on the cluster; returns what failed.

    place: keyword arguments of ``runs.Workplace`` that can travel; data, cache and runs must be
        paths that every node sees.
    address: of a running cluster ("auto", "ray://head:10001"), or "local" to start one here.
    hardware: precision, cpu and compiler as in ``learner.make_accelerator``; on the CPU also where
        a node has no GPU.

    What a lost node took is retried up to three times, from the last finished epoch.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--ray needs Ray: pip install 'brainseg[ray]'") from error
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


def _task(planned: Planned, place: dict, hardware: dict, *reads: str) -> str:
    """One run, on whichever node Ray gave it; returns its folder."""
    import ray
    import torch

    from brainseg.training.learner import make_accelerator
    from brainseg.training.runs import Workplace, run

    given = ray.get_runtime_context().get_assigned_resources()
    if not given.get("GPU"):
        torch.set_num_threads(max(1, int(given.get("CPU", 1))))
    accelerator = make_accelerator(**{**hardware, "cpu": hardware["cpu"] or not given.get("GPU")})
    # A retry finds what the lost try left.
    place = Workplace(accelerator=accelerator, **{**place, "resume": True})
    return str(run(planned, place).folder)


def absolute(**folders) -> dict:
    """Paths, lists of them, and by name, made absolute, since a task's working folder is Ray's."""

    def resolved(folder):
        if isinstance(folder, dict):
            return absolute(**folder)
        if isinstance(folder, list):
            return [resolved(single) for single in folder]
        return folder and folder.expanduser().resolve()

    return {key: resolved(folder) for key, folder in folders.items()}
