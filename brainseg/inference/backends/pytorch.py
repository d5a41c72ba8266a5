"""PyTorch, eager or compiled, float32 or bf16."""

from __future__ import annotations

import torch

from brainseg.checkpoints.folder import Checkpoint, load_module
from brainseg.inference.backends.names import REFERENCE, Run
from brainseg.machine import device, processor_has_bf16, usable_cores
from brainseg.models.classes import to_probabilities

CHANNELS_LAST, BF16, COMPILED = "pytorch-channels-last", "pytorch-bf16", "pytorch-compiled"


def available() -> list[str]:
    """Those that make sense on this processor, the reference first."""
    return [REFERENCE, CHANNELS_LAST, *([BF16] if processor_has_bf16() else [])]


def open_module(checkpoint: Checkpoint, name: str) -> Run:
    """The network as a function of planes; ``name`` is one of those above."""
    return run_module(load_module(checkpoint), name)


def run_module(module: torch.nn.Module, name: str) -> Run:
    """Likewise, of a module in evaluation mode, which is changed in place. It runs on the CPU, or
    where ``$BRAINSEG_DEVICE`` says (``cuda``)."""
    home = torch.device(device())
    module.to(home)
    if torch.get_num_threads() > usable_cores():  # in a container it counts its host's cores
        torch.set_num_threads(usable_cores())
    if name != REFERENCE:
        module.to(memory_format=torch.channels_last)
    if name == BF16:
        for layer in module.modules():  # else autocast converts the weights at every pass
            if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Linear):
                layer.to(torch.bfloat16)
    if name == COMPILED:
        module = torch.compile(module)

    def run(planes):
        x = torch.from_numpy(planes).to(home)
        if name != REFERENCE:
            x = x.to(memory_format=torch.channels_last)
        with (
            torch.inference_mode(),
            torch.autocast(home.type, torch.bfloat16, enabled=name == BF16),
        ):
            logits = module(x)
        probabilities = to_probabilities(logits.float()).cpu().numpy()
        return probabilities[:, 0] if logits.shape[1] == 1 else probabilities

    return run
