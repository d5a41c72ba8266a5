"""The models there are: one row each. Torch-free, so that ``--help`` and cards can read it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

PREDICTIONS, WITH_IMAGE = STACK_INPUTS = ("predictions", "predictions+image")
MASK, CORRECTION = STACK_OUTPUTS = ("mask", "correction")
PAIRS, SINGLES = STACK_MAPS = ("pairs", "singles")
IMAGE_CHANNELS = ("T1", "FLAIR", "T1c")
ATROUS_RATES = (2, 4, 6)  # a sixth, a third and half of the map at 192 px
ATROUS_STRIDE = 16  # the map that atrous convolutions read has a sixteenth of the input's side


@dataclass(frozen=True)
class ModelSpec:
    """What there is to know of a model before it is built.

    title: for readers.
    smp_class: its class in segmentation_models_pytorch, or None and
    builder: a function from the numbers of input and output channels to a plain ``nn.Module``.
    encoder: the default one; None for a network that takes none.
    bases: of a stack: the checkpoints whose predictions it reads if no others are given.
    is_atrous: the rates of its decoder's atrous convolutions are a setting of a run.
    """

    title: str
    smp_class: str | None = None
    builder: Callable | None = None
    encoder: str | None = None
    bases: tuple[str, ...] = ()
    is_atrous: bool = False

    @property
    def is_stack(self) -> bool:
        """It reads the predictions of other models."""
        return bool(self.bases)


def _unet(in_channels: int, out_channels: int):
    from brainseg.models.unet import UNet

    return UNet(in_channels, out_channels=out_channels)


MODELS: dict[str, ModelSpec] = {
    "unet": ModelSpec("self-defined U-Net", builder=_unet),
    "unet_resnet34": ModelSpec(
        "U-Net with a ResNet34 encoder", smp_class="Unet", encoder="resnet34"
    ),
    "unet_efficientnet": ModelSpec(
        "U-Net with an EfficientNet-Lite0 encoder",
        smp_class="Unet",
        encoder="tu-tf_efficientnet_lite0",  # 5.2 M parameters in all
    ),
    "deeplabv3plus": ModelSpec(
        "DeepLabV3+ with a ResNet50 encoder",
        smp_class="DeepLabV3Plus",
        encoder="resnet50",
        is_atrous=True,
    ),
    "deeplabv3plus_efficientnet": ModelSpec(
        "DeepLabV3+ with an EfficientNet-Lite0 encoder",
        smp_class="DeepLabV3Plus",
        encoder="tu-tf_efficientnet_lite0",
        is_atrous=True,
    ),
    "unetpp": ModelSpec(
        "U-Net++ that fuses the predictions of other models",
        smp_class="UnetPlusPlus",
        encoder="mobilenet_v2",  # its inputs are near-masks: 6.8 M parameters are enough
        bases=("unet_resnet34-bce", "deeplabv3plus-bce"),
    ),
    "unetpp_efficientnet": ModelSpec(
        "U-Net++ that fuses the predictions of the two models with EfficientNet-Lite0",
        smp_class="UnetPlusPlus",
        encoder="mobilenet_v2",
        bases=("unet_efficientnet-bce", "deeplabv3plus_efficientnet-bce"),
    ),
}


def reads_image(model: str, stack_inputs: str) -> bool:
    """Whether a network reads the image, and not predictions alone."""
    return not MODELS[model].is_stack or stack_inputs == WITH_IMAGE


CLASSES_SUFFIX = "-classes"  # of the name of a checkpoint that tells classes apart


def maps_of(name: str, classes: int) -> int:
    """How many maps a stack of ``classes`` reads of a base of this name: that of each class, or
    the tumour's."""
    return classes if classes and name.endswith(CLASSES_SUFFIX) else 1


def input_channels(model: str, stack_inputs: str, bases: Sequence[str], classes: int = 0) -> int:
    """How many planes a network reads: the maps of each base of a stack, then those of the
    image."""
    own = sum(maps_of(base, classes) for base in bases) if MODELS[model].is_stack else 0
    return own + len(IMAGE_CHANNELS) * reads_image(model, stack_inputs)


def atrous_warning(model: str, rates: Sequence[int], size: int) -> str | None:
    """A sentence about the atrous rates of a model that are as good as none at an input of ``size``
    pixels, because all taps but the centre lie in the padding; None if there is nothing to say."""
    side = size // ATROUS_STRIDE
    idle = [rate for rate in rates if rate >= side]
    if not (idle and MODELS[model].is_atrous):
        return None
    fitting = " ".join(str(max(1, side * sixths // 6)) for sixths in (1, 2, 3))
    return (
        f"At {size} px the atrous convolutions read a map of {side} x {side}, where those of rate "
        f"{', '.join(map(str, idle))} see nothing but the centre. Rates below {side} have context, "
        f"such as --atrous-rates {fitting}."
    )
