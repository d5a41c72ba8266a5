"""brainseg: train, ensemble and compare brain-tumour segmentation models on MRI."""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

# Names are fetched on first use, so that `import brainseg` stays cheap.
_HOMES = {
    "read_scan": "brainseg.scans.reading",
    "read_mask": "brainseg.scans.masks",
    "read_sequences": "brainseg.scans.sequences",
    "write_mask": "brainseg.scans.masks",
    "Scan": "brainseg.scans.scan",
    "ScanError": "brainseg.scans.scan",
    "load": "brainseg.inference.loading",
    "compare": "brainseg.inference.comparing",
    "Predictor": "brainseg.inference.predictor",
    "Comparison": "brainseg.inference.results",
    "Result": "brainseg.inference.results",
    "create_model": "brainseg.models.building",
    "list_models": "brainseg.models.building",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'brainseg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
