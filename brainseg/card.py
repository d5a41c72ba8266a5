"""The model card: a checkpoint folder's README.md, with the metadata the Hub reads."""

from __future__ import annotations

from brainseg.data import DATASETS

_TITLES = {
    "unet": "self-defined U-Net",
    "unet_resnet34": "U-Net with a ResNet34 encoder",
    "deeplabv3plus": "DeepLabV3+ with a ResNet50 encoder",
    "unetpp": "U-Net++ that fuses the predictions of other models",
}
_LOSSES = {"bce": "BCE", "dice": "Dice", "hybrid": "hybrid (70 % BCE + 30 % Dice)"}


def model_card(settings: dict, metrics: dict) -> str:
    """Markdown with YAML front matter from a checkpoint's settings and metrics.

    The weights carry the licence of the data they were trained on.
    """
    dataset = DATASETS[settings["dataset"]]
    run = settings["run"]
    title = _TITLES[settings["model"]]
    if run["encoder"]:
        title += f" (encoder here: {run['encoder']})"
    start = "ImageNet encoder weights" if run["encoder_weights"] else "random initialisation"
    if settings["model"] == "unet":
        start = "random initialisation"
    if run["init_from"]:
        start = f"the weights with sha256 {run['init_from'][:12]}"
    parts = [
        "---",
        f"license: {dataset.LICENCE_ID}",
        "library_name: brainseg",
        "pipeline_tag: image-segmentation",
        "tags: [brain-tumor-segmentation, mri, segmentation-models-pytorch, pytorch]",
        "---",
        f"# {settings['name']}",
        "",
        f"{title}, trained with the {_LOSSES[settings['loss']]} loss on {dataset.TITLE}. "
        "For research and teaching, **not for clinical use**.",
        "",
        "## Use",
        "```python",
        "import brainseg",
        "",
        f'predictor = brainseg.load("{settings["name"]}")',
        'result = predictor.predict(brainseg.read_scan("scan.nii.gz"))',
        "result.mask  # bool, (slices, height, width)",
        "```",
        "",
        "## Training",
        f"- Data: {dataset.TITLE}, {dataset.HOME}",
        f"- Patients: {settings['patients']['train']} to train on, "
        f"{settings['patients']['val']} to validate on, {settings['patients']['test']} to test on "
        f"(fold {settings['fold']} of 5, split by patient)",
        f"- Input: {settings['preprocessing']['size']} px squares of T1, FLAIR, T1c; z-scores per "
        "volume",
        f"- Start: {start}",
        f"- {settings['epochs_done']} epochs, the best was number {settings['best_epoch']}; AdamW, "
        f"peak learning rate {run['lr']:g}, batch {run['batch_size']}, seed {run['seed']}",
    ]
    if settings.get("bases"):
        names = ", ".join(base["name"] for base in settings["bases"])
        parts.append(
            f"- Reads the predictions of {names}; fitted on out-of-fold predictions "
            f"({run['stack_folds']} blocks of the training patients)"
        )
    parts += ["", "## Scores", *_scores(metrics), "", "## Licence"]
    parts.append(
        f"The weights follow the licence of their training data: {dataset.LICENCE}. brainseg's "
        "code is Apache-2.0."
    )
    return "\n".join(parts) + "\n"


def _scores(metrics: dict) -> list[str]:
    lines = [
        "Dice is computed per patient over the whole volume; intervals are 95 % bootstrap "
        "intervals over patients.",
        "",
        "| patients | number | mean Dice | 95 % interval | median Dice |",
        "|---|---|---|---|---|",
    ]
    validation = metrics["validation"]
    lines.append(
        f"| validation (fold {validation['fold']}; epoch and threshold "
        f"{validation['threshold']:.2f} were chosen on it) | {validation['patients']} | "
        f"{validation['mean_dice']:.3f} | | |"
    )
    for label, key in (("test", "test"), ("test, each slice alone", "test_slicewise")):
        if (scores := metrics.get(key)) and scores.get("dice"):
            dice = scores["dice"]
            interval = f"{dice['low']:.3f} to {dice['high']:.3f}" if dice["patients"] > 1 else ""
            lines.append(
                f"| {label} (fold {scores['fold']}) | {dice['patients']} | {dice['mean']:.3f} | "
                f"{interval} | {dice['median']:.3f} |"
            )
    return lines
