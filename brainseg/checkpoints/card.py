"""Model cards, with the metadata the Hub reads: of one checkpoint, and of a repository."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from types import ModuleType

from huggingface_hub import EvalResult, ModelCardData

from brainseg.checkpoints.settings import CheckpointError, Settings
from brainseg.data import datasets_of, notes_of
from brainseg.files import markdown_table
from brainseg.models.consistency import SEMI
from brainseg.models.losses import LOSSES
from brainseg.models.specs import MODELS

_METRICS = {"dice": "Dice", "iou": "IoU", "precision": "Precision", "recall": "Recall"}
_TAGS = ["brain-tumor-segmentation", "mri", "segmentation-models-pytorch", "pytorch"]

INTENDED_USE = """\
For research and teaching: to compare models, losses and ensembles, and to see on one's own scans
which of them to trust. **Not for clinical use**: it is no medical device, no clinician has examined
its results, and nothing it marks or leaves unmarked is a finding."""

LIMITS = """\
- Trained on the patients of {sets}. Other tumours, ages, sequences, scanners or
  preparations (skull-stripped volumes, for instance): expect less, and look before you believe.
- It reads T1, FLAIR and post-contrast T1 of one brain. A single grey picture stands for all three,
  and scores drop with it.
- Slices are segmented one by one; nothing checks that neighbouring slices agree.
- Dice hides small tumours behind large ones: look at the slices without tumour too."""


def scored_parts(settings: Settings) -> list[tuple[str, str, bool]]:
    """Where ``metrics.json`` has test scores: key, data set, whether each slice was scored alone.

    The first data set's are ``test`` and ``test_slicewise``, another's ``test_<name>`` and
    ``test_<name>_slicewise``.
    """
    first = settings.datasets[0]
    return [
        ("test" + (name != first) * f"_{name}" + alone * "_slicewise", name, alone)
        for name in settings.datasets
        for alone in (False, True)
    ]


def model_card(settings: Settings, metrics: dict, repo: str | None = None) -> str:
    """Markdown with YAML front matter from a checkpoint's settings and metrics.

    repo: ``user/repo`` on the Hub where it lies, if it does. The weights carry the licence of the
    data they were trained on. Raises CheckpointError if the settings or scores are not such as
    training writes.
    """
    try:
        return _model_card(settings, metrics, repo)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(
            f"{settings.name}: no model card can be written from its settings and scores "
            f"({type(error).__name__}: {str(error)[:80]}): expected those that training writes."
        ) from error


def repository_card(repo: str, checkpoints: Sequence[tuple[Settings, dict]]) -> str:
    """The card of a repository from the settings and metrics of each checkpoint in it."""
    names = [settings.name for settings, _ in checkpoints]
    datasets = _datasets(checkpoints)
    licences = {dataset.LICENCE for dataset in datasets}
    rows = [row for checkpoint in checkpoints for row in _repository_rows(*checkpoint)]
    headings = ["checkpoint", "model", "data", "test patients", "mean Dice", "95 % interval"]
    most = max(len(settings.datasets) for settings, _ in checkpoints)
    lines = [
        _front_matter(repo.partition("/")[2], checkpoints),
        f"# {repo.partition('/')[2]}",
        "",
        "Brain-tumour segmentation models for MRI, one folder each, trained by brainseg.",
        "",
        markdown_table(headings, rows),
        "",
        "Dice is computed per patient over the whole volume; intervals are 95 % bootstrap "
        "intervals over patients. Folders of smp models also load with "
        "`segmentation_models_pytorch.from_pretrained`.",
        *_notes("+".join(name for settings, _ in checkpoints for name in settings.datasets)),
        "",
        "## How to load",
        *_usage(f"{repo}/{names[0]}"),
        f"`python -m brainseg pull {repo}` puts all of them into `checkpoints/`. Put `@` and a "
        "commit behind the name to pin it.",
        "",
        *_use_and_limits(most),
        *_licence("; ".join(sorted(licences))),
    ]
    return "\n".join(lines) + "\n"


def _repository_rows(settings: Settings, metrics: dict) -> list[list[str]]:
    """A row for each data set that a checkpoint is scored on."""
    rows = []
    for key, dataset, alone in scored_parts(settings):
        if alone:
            continue
        dice = (metrics.get(key) or {}).get("dice") or {}
        figures = [""] * 3
        if dice:
            figures = [
                str(dice["patients"]),
                _mean(dice["mean"], dice["patients"]),
                _interval(dice),
            ]
        name, data = settings.name, f"{dataset}, fold {settings.fold}"
        if len(settings.datasets) > 1:
            data += f" (trained on {' and '.join(settings.datasets)})"
        rows.append([f"[{name}]({name}/README.md)", MODELS[settings.model].title, data, *figures])
    return rows


def _datasets(checkpoints: Sequence[tuple[Settings, dict]]) -> list[ModuleType]:
    """The modules of all data sets that these were trained on, each once."""
    found = [datasets_of(settings.dataset).values() for settings, _ in checkpoints]
    return list(dict.fromkeys(chain.from_iterable(found)))


def _notes(dataset: str) -> list[str]:
    """What must stand beside scores on these data sets, as paragraphs."""
    return [line for note in notes_of(dataset) for line in ("", note)]


def _model_card(settings: Settings, metrics: dict, repo: str | None) -> str:
    datasets = datasets_of(settings.dataset).values()
    name = settings.name
    lines = [
        _front_matter(name, [(settings, metrics)]),
        f"# {name}",
        "",
        f"{_title(settings)}, trained with the {LOSSES[settings.loss].title} loss on "
        f"{' and '.join(dataset.TITLE for dataset in datasets)}.",
        *_classes(settings),
        "",
        "## How to load",
        *_usage(f"{repo}/{name}" if repo else name),
        "`predictor.module` is the plain `torch.nn.Module`.",
        "",
        *_use_and_limits(len(datasets), _false_alarms(settings, metrics)),
        "## Training",
        *_training(settings),
        "",
        "## Scores",
        *_scores(settings, metrics),
        *_notes(settings.dataset),
        "",
        *_licence("; ".join(dict.fromkeys(dataset.LICENCE for dataset in datasets))),
    ]
    return "\n".join(lines) + "\n"


def _classes(settings: Settings) -> list[str]:
    """What it tells apart, as a paragraph; empty for tumour only."""
    if not settings.classes:
        return []
    numbered = ", ".join(f"{name} ({i})" for i, name in enumerate(settings.classes, start=1))
    told = f"It tells classes apart, the values of `result.labels`: {numbered}."
    return [
        "",
        f"{told} `result.class_probabilities` are those of each, and their sum is P(tumour).",
    ]


def _use_and_limits(sets: int, found: Sequence[str] = ()) -> list[str]:
    limits = LIMITS.format(sets=f"{sets} data sets" if sets > 1 else "one data set")
    return ["## Intended use", INTENDED_USE, "", "## Limits", limits, *found, ""]


def _licence(of_the_data: str) -> list[str]:
    return [
        "## Licence",
        f"The weights follow the licence of their training data: {of_the_data}. brainseg's code "
        "is Apache-2.0.",
    ]


def _front_matter(name: str, checkpoints: Sequence[tuple[Settings, dict]]) -> str:
    datasets = _datasets(checkpoints)
    licences = {dataset.LICENCE_ID for dataset in datasets}
    licence = {"license": licences.pop()} if len(licences) == 1 else {"license": "other"}
    if licence["license"] == "other":
        licence["license_name"] = "of-the-training-data"
        if homes := sorted(d.HOME for d in datasets if d.HOME.startswith("https://")):
            licence["license_link"] = homes[0]
    data = ModelCardData(
        **licence,
        library_name="brainseg",
        pipeline_tag="image-segmentation",
        tags=_TAGS,
        model_name=name,
        eval_results=[r for checkpoint in checkpoints for r in _eval_results(*checkpoint)],
    )
    return f"---\n{data.to_yaml()}\n---"


def _eval_results(settings: Settings, metrics: dict) -> list[EvalResult]:
    """Mean per patient of each score on the test fold, with its interval beside it."""
    found = []
    for part, dataset, alone in scored_parts(settings):
        scores = metrics.get(part) or {}
        words = _words(settings, dataset, alone)
        for key, label in _METRICS.items():
            figures = scores.get(key) or {}
            if not math.isfinite(figures.get("mean", math.nan)):
                continue
            args = {"patients": figures["patients"]}
            if figures["patients"] > 1:
                args["interval_95"] = [round(figures["low"], 4), round(figures["high"], 4)]
            if notes := notes_of(dataset):
                args["note"] = " ".join(notes)
            found.append(
                EvalResult(
                    task_type="image-segmentation",
                    task_name="Brain-tumour segmentation",
                    dataset_type=dataset,
                    dataset_name=datasets_of(dataset)[dataset].TITLE,
                    dataset_config=f"fold {scores['fold']}",
                    dataset_split="test",
                    metric_type=key,
                    metric_name=f"{settings.name}: mean {label} per patient ({words})",
                    metric_value=round(figures["mean"], 4),
                    metric_args=args,
                )
            )
    return found


def _words(settings: Settings, dataset: str, alone: bool) -> str:
    """What was scored: ``"test"``, or of several data sets ``"test on lgg, each slice alone"``."""
    on = f" on {dataset}" if len(settings.datasets) > 1 else ""
    return f"test{on}{', each slice alone' if alone else ''}"


def _title(settings: Settings) -> str:
    title = MODELS[settings.model].title
    encoder = settings.run.encoder
    return f"{title} (encoder here: {encoder})" if encoder else title


def _usage(name: str) -> list[str]:
    return [
        "```python",
        "import brainseg",
        "",
        f'predictor = brainseg.load("{name}")',
        'result = predictor.predict(brainseg.read_scan("scan.nii.gz"))',
        "result.mask  # bool, (slices, height, width)",
        "```",
    ]


def _training(settings: Settings) -> list[str]:
    datasets, run = datasets_of(settings.dataset), settings.run
    start = "ImageNet encoder weights" if run.encoder_weights else "random initialisation"
    if settings.encoder_source:
        start += f" ({settings.encoder_source})"
    if run.init_from:
        start = f"the weights with sha256 {run.init_from[:12]}"
        if known := settings.started_from:
            start += f", {known.name} after {known.epochs} epochs on {known.dataset}"
    atrous = []
    if MODELS[run.model].is_atrous:
        rates = ", ".join(map(str, run.atrous_rates))
        atrous = [" ".join(filter(None, (f"- Atrous rates: {rates}.", run.atrous_warning)))]
    kept = f"the best was number {settings.best_epoch}" if run.watch else "kept as they ended"
    steps = f" of {run.steps_per_epoch} steps" if run.steps_per_epoch else ""
    small = ""
    if run.small_epochs:
        small = f" (the first {run.small_epochs} at {run.small_size} px)"
    lines = [
        f"- Data: {'; '.join(f'{dataset.TITLE}, {dataset.HOME}' for dataset in datasets.values())}",
        f"- Patients: {_patients(settings)}",
        f"- Input: {settings.size} px squares of T1, FLAIR, T1c; z-scores per volume",
        *atrous,
        f"- Start: {start}",
        f"- {settings.epochs_done} epochs{steps}{small}, {kept}; "
        f"AdamW, peak learning rate {run.lr:g}, batch {run.batch_size}, seed {run.seed}",
    ]
    lines += _few_labels(settings)
    if run.shares:
        shares = zip(run.shares, datasets, strict=True)
        told = ", ".join(f"{share:.0%} of {name}'s" for share, name in shares)
        lines.append(f"- Tumour slices in an epoch: {told}, drawn anew each time")
    if settings.bases:
        names = ", ".join(base.name for base in settings.bases)
        lines.append(
            f"- Reads the predictions of {names}; fitted on predictions for patients whom the "
            "predicting network had not seen"
        )
    return lines


def _few_labels(settings: Settings) -> list[str]:
    """Whose masks it did without, and what it learned there."""
    run, numbers, lines = settings.run, settings.patients, []
    if run.labelled:
        lines.append(
            f"- Masks: of {numbers['train']} training patients, chosen by a hash of seed and id"
        )
    if run.semi:
        lines.append(
            f"- {SEMI[run.semi].title}, on scans of {numbers['unlabelled']} others without their "
            f"masks: {run.unlabelled_slices} such slices in a batch, weight {run.semi_weight:g}, "
            f"where the teacher gives {run.sure:.0%} or more"
        )
    return lines


def _patients(settings: Settings) -> str:
    """How many, in which role, and the folds they are in."""
    run, numbers = settings.run, settings.patients
    role = "to validate on" if run.watch else "also left out"
    others = f"{numbers['val']} {role}, " if numbers["val"] else ""
    return (
        f"{numbers['train']} to train on, {others}{numbers['test']} to test on "
        f"(fold {run.test_fold} of 5, split by patient)"
    )


def _chosen_on(validation: dict, settings: Settings) -> str:
    """On whose predictions the threshold was chosen, and what else was."""
    threshold = f"{validation['threshold']:.2f}"
    if "fold" in validation:
        return (
            f"validation (fold {validation['fold']}; epoch and threshold {threshold} were "
            "chosen on it)"
        )
    folds = ", ".join(map(str, validation["folds"]))
    seen = "" if validation["unseen"] else f", which had seen fold {settings.fold}"
    return (
        f"folds {folds}, each predicted by a run of the same kind that had left it out{seen}; "
        f"threshold {threshold} was chosen on them"
    )


def _false_alarms(settings: Settings, metrics: dict) -> list[str]:
    lines = []
    for key, dataset, alone in scored_parts(settings):
        test = metrics.get(key) or {}
        if alone or not test.get("empty_slices"):
            continue
        of = f" of {dataset}" if len(settings.datasets) > 1 else ""
        lines.append(
            f"- On {test['empty_slices']} test slices{of} without tumour it marks something in "
            f"{test['false_positive_slices']}."
        )
    return lines


def _scores(settings: Settings, metrics: dict) -> list[str]:
    rows = []
    if validation := metrics.get("validation"):
        what = _chosen_on(validation, settings)
        if by_dataset := validation.get("by_dataset"):
            names = [name for name in settings.datasets if name in by_dataset]
            told = ", ".join(f"{name} {by_dataset[name]:.3f}" for name in names)
            what += f"; the mean of {told}"
        mean = _mean(validation["mean_dice"], validation["patients"])
        rows.append([what, validation["patients"], mean, None, None])
    for key, dataset, alone in scored_parts(settings):
        scores, label = metrics.get(key) or {}, _words(settings, dataset, alone)
        if dice := scores.get("dice"):
            mean, median = (_mean(dice[key], dice["patients"]) for key in ("mean", "median"))
            figures = [mean, _interval(dice), median]
            rows.append([f"{label} (fold {scores['fold']})", dice["patients"], *figures])
        elif scores and not alone:
            rows.append([f"{label} (fold {scores['fold']})", 0, "nobody is in it", None, None])
    headings = ["patients", "number", "mean Dice", "95 % interval", "median Dice"]
    stand_in = []
    if not (validation or settings.run.watch):
        stand_in = [
            "",
            f"The threshold of {settings.threshold:g} stands in until runs for the other folds "
            "are there to choose one by.",
        ]
    return [
        "Dice is computed per patient over the whole volume; intervals are 95 % bootstrap "
        "intervals over patients.",
        *stand_in,
        "",
        markdown_table(headings, rows),
    ]


def _mean(value: float, patients: int) -> str:
    """Of a score over so many patients; without any it is not 0, but undefined."""
    return f"{value:.3f}" if patients and math.isfinite(value) else "undefined"


def _interval(figures: dict) -> str:
    return f"{figures['low']:.3f} to {figures['high']:.3f}" if figures["patients"] > 1 else ""
