"""Model cards, with the metadata the Hub reads: of one checkpoint, and of a repository."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from types import ModuleType

from huggingface_hub import ModelCardData

from brainseg.checkpoints.card_scores import (
    eval_results,
    false_alarms,
    interval_text,
    mean_text,
    scored_parts,
    scores_section,
)
from brainseg.checkpoints.settings import CheckpointError, Settings
from brainseg.config import LEAKS
from brainseg.data import datasets_of, notes_of
from brainseg.files import markdown_table
from brainseg.models.consistency import SEMI
from brainseg.models.losses import LOSSES
from brainseg.models.specs import CORRECTION, MODELS, SINGLES

_TAGS = ["brain-tumor-segmentation", "mri", "segmentation-models-pytorch", "pytorch"]

INTENDED_USE = """\
For research and teaching: to compare models, losses and ensembles, and to see on one's own scans
which of them to trust. **Not for clinical use**: it is no medical device, no clinician has examined
its results, and nothing it marks or leaves unmarked is a finding."""

LIMITS = """\
- Trained on the patients of {sets}. Other tumours, ages, sequences, scanners or
  preparations (skull-stripped volumes, for instance): expect less, and look before you believe.
- {reads}
- Slices are segmented one by one; nothing checks that neighbouring slices agree.
- Dice hides small tumours behind large ones: look at the slices without tumour too."""

ALL_SEQUENCES = """\
It reads T1, FLAIR and post-contrast T1 of one brain. A single grey picture stands for all three,
  and scores drop with it."""
T1C_ALONE = """\
It was trained on post-contrast T1 alone, in the place of all three sequences: FLAIR or T1, alone
  or beside it, it has never seen."""


def model_card(settings: Settings, metrics: dict, repo: str | None = None) -> str:
    """Markdown with YAML front matter from a checkpoint's settings and metrics.

    repo: ``user/repo`` on the Hub where it lies, if it does. The weights carry the licence of the
    data they were trained on. Raises CheckpointError if the settings or scores are not such as
    training writes.
    """
    try:
        return _model_card(settings, metrics, repo)
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
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
        "intervals over patients. Folders of smp models, but for a U-Net++ that corrects a mean, "
        "also load with `segmentation_models_pytorch.from_pretrained`.",
        *_notes("+".join(name for settings, _ in checkpoints for name in settings.datasets)),
        "",
        "## How to load",
        *_usage(f"{repo}/{names[0]}"),
        f"`python -m brainseg pull {repo}` puts all of them into `checkpoints/`. Put `@` and a "
        "commit behind the name to pin it.",
        "",
        *_use_and_limits(most, _sequences(datasets)),
        *_licence(sorted(licences)),
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
                mean_text(dice["mean"], dice["patients"]),
                interval_text(dice),
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


def _sequences(datasets: Iterable[ModuleType]) -> set[tuple[str, ...] | None]:
    return {getattr(dataset, "SEQUENCES", None) for dataset in datasets}


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
        f"{_title(settings)}, trained with the {_loss(settings)} on "
        f"{' and '.join(dataset.TITLE for dataset in datasets)}.",
        *_classes(settings),
        "",
        "## How to load",
        *_usage(f"{repo}/{name}" if repo else name),
        _module(settings),
        "",
        *_use_and_limits(len(datasets), _sequences(datasets), false_alarms(settings, metrics)),
        "## Training",
        *_training(settings),
        "",
        "## Scores",
        *scores_section(settings, metrics),
        *_notes(settings.dataset),
        "",
        *_licence(dict.fromkeys(dataset.LICENCE for dataset in datasets)),
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


def _use_and_limits(sets: int, sequences: set, found: Sequence[str] = ()) -> list[str]:
    """sequences: of each data set those that are there, None for all."""
    limits = LIMITS.format(
        sets=f"{sets} data sets" if sets > 1 else "one data set",
        reads=T1C_ALONE if sequences == {("T1c",)} else ALL_SEQUENCES,
    )
    return ["## Intended use", INTENDED_USE, "", "## Limits", limits, *found, ""]


def _licence(of_the_data: Iterable[str]) -> list[str]:
    licences = "; ".join(of_the_data)
    told = f"The weights follow the licence of their training data: {licences}."
    if ";" in licences:
        told = (
            f"The weights follow the licences of their training data: {licences}. Whoever uses "
            "weights has to keep to those of all the data that they were trained on."
        )
    return ["## Licence", f"{told} brainseg's code is Apache-2.0."]


def _front_matter(name: str, checkpoints: Sequence[tuple[Settings, dict]]) -> str:
    datasets = _datasets(checkpoints)
    licences = {dataset.LICENCE_ID for dataset in datasets}
    licence = {"license": licences.pop()} if len(licences) == 1 else {"license": "other"}
    if licence["license"] == "other":
        licence["license_name"] = "of-the-training-data"
        if homes := [d.HOME for d in datasets if d.HOME.startswith("https://")]:
            licence["license_link"] = homes[0]
    data = ModelCardData(
        **licence,
        library_name="brainseg",
        pipeline_tag="image-segmentation",
        tags=_TAGS,
        model_name=name,
        eval_results=[r for checkpoint in checkpoints for r in eval_results(*checkpoint)],
    )
    return f"---\n{data.to_yaml()}\n---"


def _loss(settings: Settings) -> str:
    told = f"{LOSSES[settings.loss].title} loss"
    return f"{told} over its classes" if settings.classes else told


def _module(settings: Settings) -> str:
    """What the bare network takes and gives."""
    reads = ["the probabilities of the models that it reads, in their order"] * bool(settings.bases)
    shown = _shown(datasets_of(settings.dataset).values())
    reads += [f"z-scores of {shown}"] * settings.reads_image
    gives = "of no tumour and of each class" if settings.classes else "of tumour"
    of_classes = ", that of its classes together" if settings.classes else ""
    return (
        "`predictor.module` is the plain `torch.nn.Module`: it takes float32 (n, "
        f"{settings.channels}, {settings.size}, {settings.size}), {' and '.join(reads)}, and gives "
        f"logits {gives}, not probabilities. A pixel is marked above a probability of "
        f"{settings.threshold:.2f}{of_classes}."
    )


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
        f"- Input: {settings.size} px squares of {_shown(datasets.values())}; z-scores per volume",
        *atrous,
        f"- Start: {start}",
        f"- {settings.epochs_done} epochs{steps}{small}, {kept}; "
        f"AdamW, peak learning rate {run.lr:g}, batch {run.batch_size}, seed {run.seed}",
    ]
    if run.leak:
        lines.append(f"- A mistake made on purpose, to measure what it feigns: {LEAKS[run.leak]}")
    lines += _few_labels(settings)
    if run.shares:
        shares = zip(run.shares, datasets, strict=True)
        told = ", ".join(f"{share:.0%} of {name}'s" for share, name in shares)
        lines.append(f"- Tumour slices in an epoch: {told}, drawn anew each time")
    if settings.bases:
        names = ", ".join(base.name for base in settings.bases)
        but = ", though it had seen those of the test fold" if run.stack_maps == SINGLES else ""
        fitted = (
            "; fitted on predictions for patients whom the predicting network had not seen" + but
        )
        lines.append(f"- {_what_it_gives(settings)} {names}{'' if run.leak else fitted}")
    return lines


def _shown(datasets: Iterable[ModuleType]) -> str:
    only = _sequences(datasets) == {("T1c",)}
    return "T1c in all three channels" if only else "T1, FLAIR, T1c"


def _what_it_gives(settings: Settings) -> str:
    if settings.run.stack_output == CORRECTION:
        return "Corrects the mean of the predictions of"
    return "Reads the predictions of"


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
    split = "" if run.leak == "slices" else ", split by patient"
    but = ", but see the note below the scores" if notes_of(settings.dataset) else ""
    return (
        f"{numbers['train']} to train on, {others}{numbers['test']} to test on "
        f"(fold {run.test_fold} of 5{split}{but})"
    )
