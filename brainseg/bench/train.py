"""``python -m brainseg bench train``: one optimisation step of each model against a plain loop.

Both are measured in one run, in turns, data included, and compared by their medians. Nothing else
should run on the machine meanwhile.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from brainseg.bench import hardware, plain_training
from brainseg.bench.processes import in_own_process
from brainseg.config import Config
from brainseg.data import phantom
from brainseg.data.cache import PreparedSet, prepared_set
from brainseg.files import markdown_table
from brainseg.models.operations import operations
from brainseg.models.specs import MODELS
from brainseg.training.batches import Batches
from brainseg.training.learner import Learner, make_accelerator, make_learner

PATIENTS, SLICES = 8, 24
ROUNDS = 3
WORKERS = (0, 1, 2)


def run(size: int = 192, batch_size: int = 16, compiler: str | None = None) -> dict:
    """All figures. Times are in seconds per step; keys that end in ``_ratio`` are reference time
    divided by ours, with the two medians beside them. compiler: as ``make_accelerator`` takes it,
    for our side."""
    accelerator = make_accelerator("auto", compiler=compiler)
    device = accelerator.device
    dtype = torch.bfloat16 if accelerator.mixed_precision == "bf16" else torch.float32
    peak = hardware.matrix_product_flops(device, dtype)
    result: dict = {
        "machine": hardware.describe(device),
        "size_px": size,
        "batch_size": batch_size,
        "precision": accelerator.mixed_precision,
        "compiler": compiler,
        "peak_tflops": peak / 1e12,
        "copy_gb_per_s": hardware.copy_bytes(device) / 1e9,
    }
    with tempfile.TemporaryDirectory() as name:
        refs = phantom.load(patients=PATIENTS, slices=SLICES)
        data = prepared_set(refs, size, Path(name) / "cache")
        pairs = _write_files(refs, Path(name))
        for model in MODELS:
            config = Config(
                model=model, encoder_weights=None, dataset="phantom", size=size,
                batch_size=batch_size,
            )  # fmt: skip
            result |= _model(config, data, pairs, accelerator, peak)
    if device.type == "cpu":
        result["deeplabv3plus_256px_batch16_peak_memory_gb"] = peak_memory_gb()
    return result


def _model(config: Config, data: PreparedSet, pairs, accelerator, peak: float) -> dict:
    device = accelerator.device
    maps = None
    if config.is_stack:
        # Speed does not depend on what the maps hold.
        maps = np.repeat(data.masks[:, None].astype(np.float16), len(config.bases), axis=1)
    batches = Batches(config, data, maps, device)
    learner = make_learner(config, accelerator)
    ours = _our_steps(learner, batches, config)
    times: dict[str, list[float]] = {"reference": [], "ours": [], "input": []}
    with in_own_process(plain_training.make, config, pairs, device.type) as measure:
        workers = min(WORKERS, key=lambda count: statistics.median(measure(count)))
        for _ in range(ROUNDS):
            times["reference"] += measure(workers)
            times["ours"] += hardware.step_seconds(ours, device)
            times["input"] += hardware.step_seconds(_our_inputs(batches, config), device)
    medians = {key: statistics.median(values) for key, values in times.items()}
    flops = _step_operations(learner, batches, config)
    name = config.model
    return {
        f"{name}_step_ratio": medians["reference"] / medians["ours"],
        f"{name}_reference_s": medians["reference"],
        f"{name}_ours_s": medians["ours"],
        f"{name}_reference_workers": workers,
        f"{name}_images_per_s": config.batch_size / medians["ours"],
        f"{name}_input_share": medians["input"] / medians["ours"],
        f"{name}_share_of_peak": flops / medians["ours"] / peak,
    }


def report(result: dict) -> str:
    """The figures as text."""
    headings = (
        "model", "plain loop (workers)", "ours", "ratio", "images/s", "input", "share of peak"
    )  # fmt: skip
    compiled = f", ours compiled ({result['compiler']})" if result.get("compiler") else ""
    parts = [
        f"{result['machine']}: {result['precision']}{compiled}, {result['size_px']} px, batch "
        f"{result['batch_size']}; matrix product {result['peak_tflops']:.2f} TFLOP/s, copy "
        f"{result['copy_gb_per_s']:.1f} GB/s",
        markdown_table(headings, [_row(result, name) for name in MODELS]),
    ]
    memory = result.get("deeplabv3plus_256px_batch16_peak_memory_gb")
    if memory is not None:
        parts.append(f"deeplabv3plus at 256 px, batch 16: {memory:.1f} GB of memory at most")
    return "\n\n".join(parts)


def _row(result: dict, name: str) -> tuple[str, ...]:
    return (
        name,
        f"{result[f'{name}_reference_s']:.2f} s ({result[f'{name}_reference_workers']})",
        f"{result[f'{name}_ours_s']:.2f} s",
        f"{result[f'{name}_step_ratio']:.1f}",
        f"{result[f'{name}_images_per_s']:.1f}",
        f"{result[f'{name}_input_share']:.1%}",
        f"{result[f'{name}_share_of_peak']:.0%}",
    )


def peak_memory_gb() -> float:
    """Largest resident memory of a process that trains deeplabv3plus at 256 px, batch 16."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_train_a_little)


def _train_a_little() -> float:
    config = Config(model="deeplabv3plus", encoder_weights=None, size=256)
    accelerator = make_accelerator("auto", cpu=True)
    with tempfile.TemporaryDirectory() as name:
        data = prepared_set(phantom.load(patients=2, slices=SLICES), config.size, Path(name))
        batches = Batches(config, data, None, accelerator.device)
        steps = _our_steps(make_learner(config, accelerator), batches, config)
        for _ in range(4):
            next(steps)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _our_steps(learner: Learner, batches: Batches, config: Config) -> Iterator[torch.Tensor]:
    learner.model.train()
    for x, y in _our_inputs(batches, config):
        yield learner.step(x, y)


def _our_inputs(batches: Batches, config: Config) -> Iterator[tuple]:
    rng = np.random.default_rng(0)
    while True:
        rows = rng.choice(len(batches.data.patients), config.batch_size, replace=False)
        yield batches.augmented(rows, int(rng.integers(2**31)))


def _step_operations(learner: Learner, batches: Batches, config: Config) -> int:
    """The forward pass's operations three times, because a backward pass forms the gradients of
    inputs and of weights. (torch counts a depthwise convolution's backward pass as if it were a
    dense one.)"""
    x, _ = next(_our_inputs(batches, config))
    return 3 * operations(learner.bare, x)


def _write_files(refs, folder: Path) -> list[tuple[Path, Path]]:
    """Every slice and its mask as TIFF files, as the LGG set has them."""
    pairs = []
    for ref in refs:
        case = ref.read()
        for number, (image, mask) in enumerate(zip(case.scan.pixels, case.mask, strict=True)):
            pair = tuple(folder / f"{ref.name}_{number}{end}.tif" for end in ("", "_mask"))
            Image.fromarray(image).save(pair[0])
            Image.fromarray(mask.astype(np.uint8) * 255).save(pair[1])
            pairs.append(pair)
    return pairs
