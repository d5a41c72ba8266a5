"""``python -m brainseg bench``: the comparison of all models against a plain one.

Both run in turns, each in a process of its own, and are compared by their medians. Nothing else
should run on the machine meanwhile. It takes up to 20 minutes on two cores.
"""

from __future__ import annotations

import logging
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from brainseg.bench import before, hardware, our_comparison, plain_comparison, serving, stand_ins
from brainseg.bench.processes import in_own_process
from brainseg.checkpoints.folder import Checkpoint, find_checkpoints, load_module
from brainseg.checkpoints.ranges import LARGEST_CHANGE, LARGEST_MEAN_CHANGE, read_proof
from brainseg.data.phantom import make_case
from brainseg.files import markdown_table
from brainseg.inference.backends import fastest
from brainseg.inference.backends.names import INT8
from brainseg.inference.backends.opening import open_backend
from brainseg.machine import bf16_is_barred, processor_has_bf16, usable_cores
from brainseg.models.operations import operations
from brainseg.scans.scan import Scan

ROUNDS = 15
VOLUME_SHAPE = (155, 240, 240)
# Black at the bottom and the top, of as many slices: in a volume of BraTS that is 6 and 11 of 155.
BLANK_BELOW, BLANK_ABOVE = 6 / 155, 11 / 155
VOLUME_S = 420  # the plain comparison of one volume takes minutes; another round if time is left
COMPILE_S = 180  # likewise for compiling networks with PyTorch


def run(
    shipped: Path,
    *,
    data: Path | None = None,
    size: int = 192,
    rounds: int = ROUNDS,
    volume_shape: tuple[int, int, int] = VOLUME_SHAPE,
    starts: int = serving.STARTS,
    visitors: int = serving.VISITORS,
    comparisons: int = serving.COMPARISONS,
    compile_s: float = COMPILE_S,
) -> dict:
    """All figures. Keys that end in ``_ratio`` are reference time divided by ours, except
    ``app_start_ratio``, ``*_floor_ratio`` and ``resident_growth_ratio``, where less is better.

    shipped: folder of trained checkpoints; random weights stand in for those that are missing of
    the six compared first.
    data: the LGG set, to compare masks on its fold 0. The other arguments make it small for tests.
    """
    with (
        tempfile.TemporaryDirectory() as name,
        patch.dict(os.environ, BRAINSEG_CACHE=f"{name}/cache"),  # nothing is known, nothing is left
    ):
        folder = Path(name) / "checkpoints"
        random = stand_ins.gather(shipped, folder, size)
        device = torch.device("cpu")
        result = {"machine": f"{hardware.describe(device)}, {usable_cores()} cores used"}
        result |= {"size_px": size, "random_weights": random, "without_bf16": bf16_is_barred()}
        slices = _slices(visitors)
        with (
            in_own_process(plain_comparison.make, folder) as reference,
            in_own_process(our_comparison.make, folder) as ours,
        ):
            result |= _backends(folder, compile_s)
            result |= _one_slice(Scan(slices[0][None]), reference, ours, rounds)
            result |= _floors(folder, ours, rounds)
            with in_own_process(before.make, folder) as yardstick:
                result |= _volume(volume_shape, reference, yardstick, ours)
            result |= ours("agreement", data, set(random))
        result |= serving.first_pages(folder, starts)
        warm = [serving.first_comparison_s(folder, slices) for _ in range(starts)]
        result["first_comparison_s"] = statistics.median(warm)
        result |= serving.visits(folder, slices, comparisons)
        shutil.rmtree(f"{name}/cache")
        result["first_comparison_nothing_cached_s"] = serving.first_comparison_s(folder, slices)
    return result


def report(result: dict) -> str:
    """The figures as text."""
    r = result
    floor_ms = sum(r[f"{name}_floor_ms"] for name in r["models"])
    bound = r["one_slice_reference_s"] * 1000 / floor_ms
    peaks = [f"{gflops:.0f} GFLOP/s in {kind}" for kind, gflops in r["peak_gflops"].items()]
    parts = [
        f"{r['machine']}; input {r['size_px']} px. Random weights stand in for "
        f"{', '.join(r['random_weights']) or 'no model'}."
        + r["without_bf16"]
        * " Nothing is computed in bf16, as on a processor that can't.",
        markdown_table(("figure", "found", "bar"), [*_comparison_rows(r), *_mask_rows(r)]),
        *_int8_part(r),
        "Milliseconds per slice by backend, the chosen one's time against the floor last:",
        _backends_table(r),
        f"Peak of a matrix product: {', '.join(peaks)}. At that peak all networks take "
        f"{floor_ms:.0f} ms, {bound:.1f} times less than the plain comparison.",
    ]
    return "\n\n".join(parts)


def _comparison_rows(r: dict) -> list[tuple[str, str, str]]:
    slices = "×".join(map(str, r["volume_shape"]))
    first_s, uncached_s = r["first_comparison_s"], r["first_comparison_nothing_cached_s"]
    return [
        (
            "all models and fusions on one slice, against the plain comparison",
            f"{r['one_slice_ratio']:.1f}×: {r['one_slice_reference_s'] * 1000:.0f} ms became "
            f"{r['one_slice_s'] * 1000:.0f} ms",
            _bar("8×", r["one_slice_ratio"] >= 8),
        ),
        (
            "the networks of the same, against the machine's floor",
            f"{r['all_floor_ratio']:.2f}×",
            _bar("1.5×", r["all_floor_ratio"] <= 1.5),
        ),
        (
            f"a {slices} volume through all of them, against the plain comparison",
            f"{r['volume_ratio']:.1f}×: {r['volume_reference_s']:.0f} s became "
            f"{r['volume_s']:.1f} s, {r['volume_peak_gb']:.1f} GB at most",
            _bar("5×, under 3 GB", r["volume_ratio"] >= 5 and r["volume_peak_gb"] < 3),
        ),
        (
            f"the same without int8, and with networks asked about its {r['volume_blank_slices']} "
            "black slices too",
            f"{r['volume_before_s']:.1f} s, of which {r['volume_before_share']:.2f} are left",
            _bar("0.55", r["volume_before_share"] <= 0.55),
        ),
        *_int8_rows(r),
        (
            "start of `python app.py` to the first page, against a Gradio app of three lines",
            f"{r['app_start_ratio']:.2f}×: {r['app_start_s']:.1f} s, "
            f"{r['three_line_app_start_s']:.1f} s",
            _bar("1.3×", r["app_start_ratio"] <= 1.3),
        ),
        (
            "first comparison after start",
            f"{first_s:.1f} s; {uncached_s:.1f} s where nothing is cached yet",
            _bar("10 s", max(first_s, uncached_s) < 10),
        ),
        (
            f"resident memory with all models loaded, and after {r['comparisons']} comparisons",
            f"{r['resident_loaded_gb']:.2f} GB, {r['resident_after_comparisons_gb']:.2f} GB",
            _bar(
                "3 GB, flat",
                r["resident_after_comparisons_gb"] < 3 and r["resident_growth_ratio"] < 1.1,
            ),
        ),
        (
            f"{r['visitors']} visitors at once, one slice each",
            f"last answer after {r['visitors_at_once_last_answer_s']:.1f} s, one after another "
            f"{r['visitors_one_after_another_s']:.1f} s ({r['visitors_ratio']:.2f}×); "
            f"{r['visitors_errors']} errors, {r['visitors_with_wrong_answers']} wrong answers",
            _bar(
                "1×, none",
                r["visitors_ratio"] >= 1
                and not r["visitors_errors"] + r["visitors_with_wrong_answers"],
            ),
        ),
    ]


def _int8_rows(r: dict) -> list[tuple[str, str, str]]:
    """How much faster int8 is than float32, both by OpenVINO, where there is any."""
    ms = [model["ms"] for model in r["models"].values() if INT8 in model["ms"]]
    if not ms:
        return [("networks in int8 against float32, both by OpenVINO", "no model is", "")]
    ratio = sum(each["openvino"] for each in ms) / sum(each[INT8] for each in ms)
    bar = _bar("2.5×", ratio >= 2.5) if r["without_bf16"] else ""
    what = f"{len(ms)} of {len(r['models'])} networks in int8 against float32, both by OpenVINO"
    return [(what, f"{ratio:.1f}×", bar)]


def _int8_part(r: dict) -> list[str]:
    """What int8 changes, by each checkpoint's proof and on fold 0; nothing where none is known."""
    if not r["int8"]:
        return []
    rows = []
    for name, proof in r["int8"].items():
        mean, largest = r["lgg_changes"].get(name, (None, None))
        rows.append(
            (
                name,
                f"{proof['int8_share']:.0%}",
                f"{proof['patients']} ({proof['role']})",
                f"{proof['mean_change']:+.4f}, {proof['largest_change']:.4f}",
                "" if mean is None else f"{mean:+.4f}, {largest:.4f}",
                r[f"{name}_backend"],
            )
        )
    headings = (
        "model", "multiplications in int8", "proven on", "mean and largest change there",
        "on LGG fold 0, as chosen", "chosen",
    )  # fmt: skip
    told = (
        f"What int8 changes in Dice, which decides whether it may run: at most "
        f"{LARGEST_MEAN_CHANGE} in the mean and {LARGEST_CHANGE} for any patient, as each "
        "checkpoint's proof tells."
    )
    return [told, markdown_table(headings, rows)]


def _mask_rows(r: dict) -> list[tuple[str, str, str]]:
    rows = [
        (
            "lowest Dice with the mask of float32 PyTorch, on phantoms, random weights included",
            f"{r['phantom_mask_dice']:.4f}",
            "",
        )
    ]
    if r["lgg_dice_difference"] is not None:
        rows.append(
            (
                "largest difference in Dice from float32 PyTorch, trained models, "
                f"{r['lgg_patients']} patients of LGG fold 0",
                f"{r['lgg_dice_difference']:.4f} for one patient, "
                f"{r['lgg_mean_dice_difference']:.4f} in a model's mean",
                _bar("0.002", r["lgg_dice_difference"] <= 0.002),
            )
        )
    return rows


def _bar(bar: str, is_met: bool) -> str:
    return f"{bar} ({'met' if is_met else 'missed'})"


def _backends_table(r: dict) -> str:
    backends = list(dict.fromkeys(key for model in r["models"].values() for key in model["ms"]))
    rows = [
        (
            name,
            *(f"{model['ms'][key]:.0f}" if key in model["ms"] else "" for key in backends),
            r[f"{name}_backend"],
            f"{r[f'{name}_floor_ratio']:.2f}×",
        )
        for name, model in r["models"].items()
    ]
    return markdown_table(("model", *backends, "chosen", "floor"), rows)


def page(result: dict) -> str:
    """``docs/performance.md``."""
    return (
        "# How fast the comparison is\n\n"
        "Written by `python -m brainseg bench --write docs/performance.md`, which measures both "
        "sides in turns\nand states medians. The plain comparison runs PyTorch as it comes, in "
        "float32, one model after another,\nbases again for each stack; the floor is a network's "
        'operations at the peak of a matrix product, below which\nconvolutions can come. "All '
        'models" are those that are shipped, and a bar is what we aim at. Figures hold for\nthe '
        "machine named. How int8 works is told in [int8.md](int8.md).\n\n"
        f"{report(result)}\n"
    )


def _slices(count: int) -> list[np.ndarray]:
    """Different phantom slices with a tumour, uint8 (256, 256, 3)."""
    pixels = make_case(3, "large", slices=3 * count).scan.pixels
    return list(pixels[count : 2 * count])


def _backends(folder: Path, compile_s: float) -> dict:
    """What each model's choice was made from, and the compiled network where there is time."""
    models, proofs = {}, {}
    give_up = time.perf_counter() + compile_s
    for checkpoint in find_checkpoints(folder)[0]:
        name = checkpoint.name
        known = fastest.remembered(checkpoint)
        ms = dict(known.ms)
        if time.perf_counter() < give_up:
            ms |= _compiled_ms(checkpoint)
        models[name] = {"ms": ms, "difference": known.difference}
        if (proof := read_proof(checkpoint)) is not None:
            proofs[name] = asdict(proof)
    return {"models": models, "int8": proofs}


def _compiled_ms(checkpoint: Checkpoint) -> dict[str, float]:
    planes = _empty_planes(checkpoint)
    try:
        run = open_backend("pytorch-compiled", checkpoint)
        run(planes)
    except Exception as error:  # without a C++ compiler, for one
        logging.getLogger(__name__).warning("PyTorch can't compile here: %s", error)
        return {}
    return {"pytorch-compiled": min(fastest.milliseconds({"it": run}, planes)["it"])}


def _one_slice(scan: Scan, reference: Callable, ours: Callable, rounds: int) -> dict:
    reference(scan)
    ours("compare", scan)
    times: dict[str, list[float]] = {"reference": [], "ours": []}
    for _ in range(rounds):
        times["reference"].append(reference(scan)[0])
        times["ours"].append(ours("compare", scan)[0])
    medians = {key: statistics.median(values) for key, values in times.items()}
    return {
        "one_slice_ratio": medians["reference"] / medians["ours"],
        "one_slice_reference_s": medians["reference"],
        "one_slice_s": medians["ours"],
    }


def _floors(folder: Path, ours: Callable, rounds: int) -> dict:
    """Each network's time divided by its operations over the peak of a matrix product."""
    result: dict = {}
    peaks: dict[str, float] = {}
    total_s = total_floor_s = 0.0
    for checkpoint in find_checkpoints(folder)[0]:
        name = checkpoint.name
        backend, seconds = ours("network", name, rounds)
        # Of int8 too the floor is that of bf16, where there is any: it may well be undercut.
        narrow = torch.bfloat16 if processor_has_bf16() else torch.float32
        dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16, "int8": narrow}
        dtype = dtypes.get(backend.rpartition("-")[2], torch.float32)
        kind = str(dtype).removeprefix("torch.")
        if kind not in peaks:
            peaks[kind] = hardware.matrix_product_flops(torch.device("cpu"), dtype)
        planes = torch.from_numpy(_empty_planes(checkpoint))
        floor_s = operations(load_module(checkpoint), planes) / peaks[kind]
        total_s, total_floor_s = total_s + seconds, total_floor_s + floor_s
        result |= {
            f"{name}_backend": backend,
            f"{name}_ms": seconds * 1000,
            f"{name}_floor_ms": floor_s * 1000,
            f"{name}_floor_ratio": seconds / floor_s,
        }
    gflops = {kind: peak / 1e9 for kind, peak in peaks.items()}
    return {**result, "all_floor_ratio": total_s / total_floor_s, "peak_gflops": gflops}


def _empty_planes(checkpoint: Checkpoint) -> np.ndarray:
    """Zeros in place of one slice of what a network reads."""
    settings = checkpoint.settings
    return np.zeros((1, settings.channels, settings.size, settings.size), np.float32)


def _volume(
    shape: tuple[int, int, int], reference: Callable, yardstick: Callable, ours: Callable
) -> dict:
    count, height, width = shape
    pixels = make_case(3, "large", size=max(height, width), slices=min(count, 31)).scan.pixels
    pixels = np.resize(pixels[:, :height, :width], (*shape, 3))
    below, above = round(count * BLANK_BELOW), round(count * BLANK_ABOVE)
    pixels[:below] = pixels[count - above :] = 0
    scan = Scan(pixels)
    times: dict[str, list[float]] = {"reference": [], "yardstick": [], "ours": []}
    peaks = []
    began = time.perf_counter()
    while not peaks or (
        len(peaks) < 3 and (time.perf_counter() - began) * (1 + 1 / len(peaks)) < VOLUME_S
    ):
        times["reference"].append(reference(scan)[0])
        times["yardstick"].append(yardstick(scan)[0])
        seconds, _, peak = ours("compare", scan)
        times["ours"].append(seconds)
        peaks.append(peak)
    medians = {key: statistics.median(values) for key, values in times.items()}
    return {
        "volume_shape": list(shape),
        "volume_blank_slices": below + above,
        "volume_rounds": len(peaks),
        "volume_before_s": medians["yardstick"],
        "volume_before_share": medians["ours"] / medians["yardstick"],
        "volume_ratio": medians["reference"] / medians["ours"],
        "volume_reference_s": medians["reference"],
        "volume_s": medians["ours"],
        "volume_peak_gb": max(peaks),
    }
