"""The Hugging Face Hub: one repository holds checkpoint folders side by side."""

from __future__ import annotations

from pathlib import Path

from brainseg.checkpoint import Checkpoint, CheckpointError, read_checkpoint


def download(reference: str) -> Checkpoint:
    """The checkpoint ``user/repo/name[@revision]``, with its bases if it is a stack, from the
    Hub or its local cache. Raises CheckpointError when it can't be had."""
    from huggingface_hub import snapshot_download

    path, _, revision = reference.partition("@")
    user, repo, name = path.split("/")

    def fetch(names: list[str]) -> Path:
        patterns = [f"{n}/*" for n in names]
        root = snapshot_download(
            f"{user}/{repo}", revision=revision or None, allow_patterns=patterns
        )
        return Path(root)

    try:
        checkpoint = read_checkpoint(fetch([name]) / name)
        if checkpoint.bases:
            fetch([base["name"] for base in checkpoint.bases])
        return checkpoint
    except CheckpointError:
        raise
    except Exception as error:  # the client raises its own, httpx's and the operating system's
        raise CheckpointError(
            f"{reference} could not be fetched from the Hugging Face Hub "
            f"({type(error).__name__}): check the name, the network and, for private "
            "repositories, `hf auth login`."
        ) from error
