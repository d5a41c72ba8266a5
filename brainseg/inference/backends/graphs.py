"""Exported graphs: how they are made, what they say of themselves, where they are kept.

A graph reads ``planes``, prepared float32 (n, channels, size, size), any n, and gives
``probabilities``, float32 (n, 1, size, size) in [0, 1], or of a network that tells classes apart
those of each, (n, classes, size, size), whose sum is that of tumour. Its metadata, one JSON text
under the key ``brainseg``, says how to prepare a scan and which threshold to use.

They are kept in the user's cache, as ``graphs/<place>/<key>``: never beside the weights, where
whoever gave them could put a graph of something else. The place is a hash of the checkpoint's
folder, the key one of weights, settings and int8 ranges, so a graph of others is never used, and
is removed when the new one is made.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from pathlib import Path

from brainseg.checkpoints.folder import RANGES, Checkpoint, load_module
from brainseg.files import cache_folder, sha256
from brainseg.inference.backends.names import GRAPHS
from brainseg.scans.preprocessing import CLIP

INPUT, OUTPUT, METADATA = "planes", "probabilities", "brainseg"
_FILES = {kind: f"graph{suffix}" for kind, suffix in GRAPHS.items()}
_KEPT_S = 90 * 24 * 3600
_FORMAT = 1  # part of the key: raise it when graphs of the same checkpoint change


def cached(checkpoint: Checkpoint, kind: str) -> Path:
    """The file of a checkpoint's graph; ``kind`` is one of ``GRAPHS``. Made if it isn't there.

    Raises CheckpointError for damaged weights, and what the exporter raises.
    """
    found = find(checkpoint, f"{kind}/{_FILES[kind]}")
    if found is not None:
        return found
    folder = home(checkpoint) / kind
    aside = Path(tempfile.mkdtemp(prefix=f".{kind}-", dir=folder.parent))
    try:
        write(checkpoint, kind, aside / _FILES[kind])
        with contextlib.suppress(OSError):  # another process was faster
            os.rename(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder / _FILES[kind]


def find(checkpoint: Checkpoint, name: str) -> Path | None:
    """A file derived from a checkpoint as it is now, or None if there is none."""
    place = _place(checkpoint)
    with contextlib.suppress(OSError):
        os.utime(place)  # it is in use
    path = place / _key(checkpoint) / name
    return path if path.is_file() else None


def remove(checkpoint: Checkpoint, kind: str) -> None:
    """Remove a cached graph, if there is one."""
    found = find(checkpoint, f"{kind}/{_FILES[kind]}")
    if found is not None:
        shutil.rmtree(found.parent, ignore_errors=True)


def home(checkpoint: Checkpoint) -> Path:
    """The folder for what is derived from a checkpoint as it is now. Stale ones are removed, and so
    are places that were not looked at for long, whose checkpoints may be gone."""
    place, key = _place(checkpoint), _key(checkpoint)
    with contextlib.suppress(OSError):
        (place / key).mkdir(parents=True, exist_ok=True)
    if not os.access(place / key, os.W_OK):
        raise OSError(
            f"Exported graphs can't be kept: {place} can't be written. Set BRAINSEG_CACHE to a "
            "folder that can."
        )
    for stale in place.iterdir():
        if stale.name != key:
            shutil.rmtree(stale, ignore_errors=True)
    for other in place.parent.iterdir():
        with contextlib.suppress(OSError):
            if other.stat().st_mtime < time.time() - _KEPT_S:
                shutil.rmtree(other, ignore_errors=True)
    return place / key


def write(checkpoint: Checkpoint, kind: str, path: Path) -> None:
    """Export the network with its sigmoid and metadata. Raises CheckpointError for damaged
    weights."""
    import torch

    from brainseg.models.classes import Probabilities

    settings = checkpoint.settings
    last = Probabilities() if settings.classes else torch.nn.Sigmoid()
    module = torch.nn.Sequential(load_module(checkpoint), last).eval()
    planes = torch.zeros(2, settings.channels, settings.size, settings.size)
    told = json.dumps(describe(checkpoint))
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, but OpenVINO reads nothing else
        {"onnx": _write_onnx, "openvino": _write_openvino}[kind](module, planes, told, path)


def _write_onnx(module, planes, told: str, path: Path) -> None:
    import onnx
    import torch

    torch.onnx.export(
        module, (planes,), path, opset_version=17,
        dynamo=False,  # the other exporter needs one more package, onnxscript
        input_names=[INPUT], output_names=[OUTPUT],
        dynamic_axes={INPUT: {0: "slices"}, OUTPUT: {0: "slices"}},
    )  # fmt: skip
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {METADATA: told})
    onnx.save(model, path)


def _write_openvino(module, planes, told: str, path: Path) -> None:
    import openvino

    model = openvino.convert_model(module, example_input=planes, input=[-1, *planes.shape[1:]])
    model.inputs[0].set_names({INPUT})
    model.outputs[0].set_names({OUTPUT})
    model.set_rt_info(told, METADATA)
    openvino.save_model(model, path, compress_to_fp16=False)


def _place(checkpoint: Checkpoint) -> Path:
    place = hashlib.sha256(str(checkpoint.folder.resolve()).encode()).hexdigest()[:16]
    return cache_folder() / "graphs" / place


def _key(checkpoint: Checkpoint) -> str:
    parts = [_FORMAT, describe(checkpoint)]
    if (ranges := checkpoint.folder / RANGES).is_file():
        parts.append(sha256(ranges))  # with others there is another choice to make
    told = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def describe(checkpoint: Checkpoint) -> dict:
    """What a graph says of itself: all that is needed to use it without brainseg."""
    settings = checkpoint.settings
    reads = [base.name for base in checkpoint.bases]
    return {
        "name": checkpoint.name,
        "weights_sha256": checkpoint.sha256(),
        "model": settings.model,
        "encoder": settings.encoder,
        "threshold": settings.threshold,
        **({"classes": list(settings.classes)} if settings.classes else {}),
        "reads": [*reads, "image"] if settings.reads_image else reads,
        "preprocessing": {
            **settings.preprocessing,
            "proportions": "square pixels first, where the voxels' sides differ by 2 % or more",
            "padding": "to a square, centred, with 0",
            "resize": "to size x size: area average to shrink, bilinear to enlarge",
            "grey_levels": "0 to 255",
            "normalise": "(x - mean) / std per channel, over the head in the whole volume",
            "clip": CLIP,
        },
    }
