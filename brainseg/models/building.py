"""Models by name. A builder takes an encoder and its weights and gives a plain ``nn.Module``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import segmentation_models_pytorch as smp
from huggingface_hub.utils import logging as hub_logging
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from brainseg.config import STACKS
from brainseg.models.unet import UNet


class ModelError(ValueError):
    """An unknown model or encoder, or weights that can't be had; the message says what can."""


def _unet(encoder: str | None, weights: str | None, in_channels: int) -> nn.Module:
    if encoder is not None:
        raise ModelError(
            f"--encoder {encoder} does not go with unet: the self-defined U-Net has a fixed "
            "encoder. Leave --encoder out, or choose unet_resnet34 or deeplabv3plus."
        )
    return UNet(in_channels)


def _unet_resnet34(encoder: str | None, weights: str | None, in_channels: int) -> nn.Module:
    return smp.Unet(encoder, encoder_weights=weights, in_channels=in_channels)


def _deeplabv3plus(encoder: str | None, weights: str | None, in_channels: int) -> nn.Module:
    return smp.DeepLabV3Plus(encoder, encoder_weights=weights, in_channels=in_channels)


def _unetpp(encoder: str | None, weights: str | None, in_channels: int) -> nn.Module:
    return smp.UnetPlusPlus(encoder, encoder_weights=weights, in_channels=in_channels)


MODELS: dict[str, Callable[[str | None, str | None, int], nn.Module]] = {
    "unet": _unet,
    "unet_resnet34": _unet_resnet34,
    "deeplabv3plus": _deeplabv3plus,
    "unetpp": _unetpp,
}

DEFAULT_ENCODERS = {
    "unet": None,
    "unet_resnet34": "resnet34",
    "deeplabv3plus": "resnet50",
    "unetpp": "mobilenet_v2",  # its inputs are near-masks: 6.8 M parameters are enough
}

DEFAULT_BASES = ("unet_resnet34-bce", "deeplabv3plus-bce")
STACK_INPUTS = ("predictions", "predictions+image")

# oneDNN's bf16 kernels run U-Nets up to several times faster on channels-last tensors, but the
# dilated convolutions of DeepLabV3+ slower (measured on a 2-core AVX-512 machine).
CHANNELS_LAST = {"unet": True, "unet_resnet34": True, "deeplabv3plus": False, "unetpp": True}


def list_models() -> list[str]:
    """The names that ``create_model`` takes."""
    return list(MODELS)


def create_model(
    name: str,
    *,
    encoder: str | None = None,
    encoder_weights: str | None = None,
    stack_inputs: str = "predictions",
    bases: Sequence[str] = DEFAULT_BASES,
) -> nn.Module:
    """Build a network with random (``encoder_weights=None``) or ``"imagenet"`` encoder weights.

    Base models read float32 (batch, 3, height, width) z-scores. The stack ``unetpp`` reads the
    base models' probabilities, one channel for each of ``bases``, followed by the three image
    channels if ``stack_inputs`` is ``"predictions+image"``. All return logits
    (batch, 1, height, width); height and width are multiples of 32.

    Raises ModelError for unknown names, and when ImageNet weights can't be downloaded.
    """
    if name not in MODELS:
        raise ModelError(f"Unknown model {name!r}: expected one of {', '.join(MODELS)}.")
    if stack_inputs not in STACK_INPUTS:
        raise ModelError(f"Unknown stack inputs {stack_inputs!r}: expected {STACK_INPUTS}.")
    encoder = encoder or DEFAULT_ENCODERS[name]
    in_channels = 3
    if name in STACKS:
        in_channels = len(bases) + (3 if stack_inputs == "predictions+image" else 0)
    try:
        with _quiet_hub():
            return MODELS[name](encoder, encoder_weights, in_channels)
    except ModelError:
        raise
    except Exception as error:  # a wrong encoder and a failed download come in every type
        raise _explain(error, encoder, encoder_weights) from error


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Keep the Hub client from logging each of its retries: one sentence follows if all fail."""
    level = hub_logging.get_verbosity()
    hub_logging.set_verbosity(hub_logging.CRITICAL)
    try:
        yield
    finally:
        hub_logging.set_verbosity(level)


def _explain(error: Exception, encoder: str | None, weights: str | None) -> ModelError:
    # An encoder that builds without weights is a good one: then the weights were the trouble.
    try:
        get_encoder(encoder, weights=None)
    except Exception:
        return ModelError(
            f"Unknown encoder {encoder!r}: expected a name that segmentation_models_pytorch knows, "
            f"such as resnet34, efficientnet-b0, densenet121, or tu-<timm name> ({error})."
        )
    if weights is None:
        return ModelError(f"The encoder {encoder!r} does not fit this architecture: {error}")
    return ModelError(
        f"The {weights} weights of {encoder} could not be downloaded or do not exist "
        f"({type(error).__name__}); to train from random initialisation, say "
        "--encoder-weights none."
    )
