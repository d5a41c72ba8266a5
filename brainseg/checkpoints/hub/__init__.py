"""The Hugging Face Hub: one repository holds checkpoint folders side by side.

Only safetensors and JSON are ever read from a repository; ``push`` and ``space`` write to one.
"""

from brainseg.checkpoints.hub.pull import download, local_folder

__all__ = ["download", "local_folder"]
