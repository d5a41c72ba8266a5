"""``python -m brainseg report``: from the raw figures of a study to its pages.

Reads what ``evaluate --study`` (see ``study.py``), ``bench`` and ``leak`` left in a folder and
writes there ``leaderboard.json``, ``claims.json``, ``missing.json``, ``figures.json`` and the
figures, beside it ``study.md``, and the table in the README between two marks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from brainseg.checkpoint import replacing
from brainseg.evaluation.calibration import expected_calibration_error
from brainseg.evaluation.claims import ROWS, judge
from brainseg.evaluation.evaluate import SCORES, finite, summary
from brainseg.evaluation.statistics import rank_stability
from brainseg.evaluation.tables import read_table

MARKS = (
    "<!-- study table, by python -m brainseg report -->",
    "<!-- end of study table -->",
)
DISCUSSION = "discussion.md"


@dataclass(frozen=True)
class Study:
    """Everything that is known of one study, read from its folder."""

    folder: Path

    @cached_property
    def rows(self) -> list[dict]:
        rows = read_table(self.folder / "per_patient.csv")
        if not rows:
            raise ValueError(
                f"{self.folder} holds no per_patient.csv with rows: run python -m brainseg "
                f"evaluate --study --out {self.folder} first."
            )
        return rows

    @cached_property
    def about(self) -> dict:
        return self._json("summary.json")

    @cached_property
    def models(self) -> dict[str, dict]:
        return self._json("models.json")

    @cached_property
    def bench(self) -> dict:
        return self._json("bench.json")

    @cached_property
    def leak(self) -> dict:
        return self._json("leak.json")

    def _json(self, name: str) -> dict:
        path = self.folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    @cached_property
    def dice(self) -> dict[str, np.ndarray]:
        """By model or fusion, best mean first: one Dice per patient, in one order."""
        patients = sorted({row["patient"] for row in self.rows})
        table = {(row["checkpoint"], row["patient"]): row["dice"] for row in self.rows}
        names = dict.fromkeys(row["checkpoint"] for row in self.rows)
        dice = {n: np.array([table.get((n, p), np.nan) for p in patients]) for n in names}
        return dict(sorted(dice.items(), key=lambda item: -np.nan_to_num(np.nanmean(item[1]))))

    @cached_property
    def tumour_px(self) -> np.ndarray:
        """Size of each patient's tumour, in the same order."""
        sizes = {row["patient"]: row["tumour_px"] for row in self.rows}
        return np.array([sizes[patient] for patient in sorted(sizes)])

    @cached_property
    def scores(self) -> dict[str, dict]:
        return summary(self.rows)

    @cached_property
    def slicewise(self) -> dict[str, dict]:
        """Scores with each slice alone, as if uploaded, if these are in ``slicewise/``."""
        return summary(read_table(self.folder / "slicewise" / "per_patient.csv"))

    @cached_property
    def claims(self) -> list[dict]:
        return judge(self.dice)

    @cached_property
    def curves(self) -> dict[str, dict[bool, list[dict]]]:
        """Reliability curves by checkpoint, as trained (False) and temperature scaled (True)."""
        curves: dict[str, dict[bool, list[dict]]] = {}
        for row in read_table(self.folder / "calibration.csv"):
            pair = curves.setdefault(row["checkpoint"], {False: [], True: []})
            pair[bool(row["scaled"])].append(row)
        return curves

    @property
    def missing(self) -> list[str]:
        """What a whole study has and this one does not yet, one sentence part each."""
        found = [f"{name}: not trained yet" for name in ROWS if name not in self.dice]
        if not self.leak:
            found.append("leak meter: not run yet")
        if not self.bench:
            found.append("speed of the shipped models: not measured yet")
        return found

    def latency_ms(self, name: str) -> float | None:
        """Milliseconds per slice, a stack's bases included; None if the bench does not tell."""
        parts = [name, *self.models.get(name, {}).get("bases", [])]
        times = [self.bench.get(f"{part}_ms") for part in parts]
        return None if None in times else sum(times)

    def kind(self, name: str) -> str:
        return self.models.get(name, {}).get("kind", "fusion")


def write_report(folder: Path, readme: Path, *, check: bool = False) -> list[Path]:
    """Write everything, or with ``check`` only compare the texts; returns the files that differ
    from what the figures say (all those written, without ``check``).

    folder: of the study, such as ``docs/study``; its page is ``study.md`` beside it.
    """
    study = Study(folder)
    texts = {
        folder / "leaderboard.json": _json_text(leaderboard(study)),
        folder / "claims.json": _json_text(study.claims),
        folder / "missing.json": _json_text(study.missing),
        folder / "figures.json": _json_text(figure_list(study)),
        folder.with_suffix(".md"): page(study),
        readme: _with_table(readme, study),
    }
    if check:
        return [p for p, text in texts.items() if not p.is_file() or p.read_text("utf-8") != text]
    for path, text in texts.items():
        with replacing(path) as aside:
            aside.write_text(text, encoding="utf-8")
    return [*texts, *_draw(study)]


def leaderboard(study: Study) -> dict:
    """All figures per model and fusion, best mean Dice first, for the app and other programs."""
    ranks = rank_stability(study.dice)
    rows = []
    for name in study.dice:
        own, model = study.scores[name], study.models.get(name, {})
        curves = study.curves.get(name)
        rows.append(
            {
                "name": name,
                "kind": study.kind(name),
                **{key: own[key] for key in SCORES},
                "dice_slicewise": study.slicewise.get(name, {}).get("dice"),
                "false_positive_slices": own["false_positive_slices"],
                "empty_slices": own["empty_slices"],
                "rank": ranks[name],
                **{key: model.get(key) for key in ("parameters", "gflop", "validation_dice")},
                "latency_ms": study.latency_ms(name),
                "ece_before": expected_calibration_error(curves[False]) if curves else None,
                "ece_after": expected_calibration_error(curves[True]) if curves else None,
                "temperature": curves[True][0]["temperature"] if curves else None,
            }
        )
    first = next(iter(study.models.values()), {})
    return {
        "dataset": study.about.get("dataset"),
        "fold": first.get("fold"),
        "patients": study.about.get("patients"),
        "size_px": first.get("size_px"),
        "note": study.about.get("note", ""),
        "rows": rows,
    }


def page(study: Study) -> str:
    """``study.md``: the tables, the figures, and the discussion that a person wrote."""
    about, board = study.about, leaderboard(study)
    discussion = study.folder / DISCUSSION
    sections = [
        "# The study",
        "Written by `python -m brainseg report` from the files in `study/`; only the discussion "
        "is written by hand.",
        f"Data set `{about['dataset']}`, {about['selection']}, {about['patients']} patients whom "
        "no model, threshold or weight has seen. Dice is per patient over the whole volume. "
        "Intervals are 95 % bootstrap intervals over patients; p-values are of paired Wilcoxon "
        "tests, corrected together by Holm's method.",
    ]
    if study.missing:
        sections += ["**Not there yet:** " + "; ".join(study.missing) + "."]
    if discussion.is_file():
        sections.append(discussion.read_text(encoding="utf-8").strip())
    sections += ["## Leaderboard", _leaderboard_table(board), *_figures(study, "dice")]
    sections += ["## Claims and findings", _claims_table(study.claims)]
    sections += _figures(study, "differences")
    sections += _fusion_section(study)
    sections += _calibration_section(study, board)
    sections += ["## Dice against the size of the tumour", _size_table(study)]
    sections += _figures(study, "size")
    sections += ["## What it costs", _cost_table(board), *_figures(study, "gflop", "latency")]
    sections += _leak_section(study)
    sections += _figures(study, "phantoms", heading="## On phantoms")
    sections += ["## The checkpoints", _training_table(study)]
    return "\n\n".join(sections) + "\n"


def readme_table(study: Study) -> str:
    """The table of the README: the study's rows, and the fusions once there are some."""
    lines = [
        "| | mean Dice | 95 % interval | median | each slice alone | validation | start | epochs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in study.dice:
        dice, model = study.scores[name]["dice"], study.models.get(name)
        told = ["", "", ""]
        if model:
            told = [f"{model['validation_dice']:.3f}", _start(model), f"{model['epochs']}"]
        lines.append(
            f"| `{name}` | {dice['mean']:.3f} | {_interval(dice)} | {dice['median']:.3f} | "
            f"{_alone(study, name)} | {' | '.join(told)} |"
        )
    lines += [
        f"| `{name}` | not trained yet | | | | | | |" for name in ROWS if name not in study.dice
    ]
    return "\n".join(lines)


def figure_list(study: Study) -> list[dict]:
    """The figures that this study has: ``file``, ``title``, ``alt``."""
    found = [
        ("dice.png", "Dice of each patient", "Dots of each patient's Dice in one row per model, "
         "with the mean and its 95 % interval; the figures are in the leaderboard."),
        ("size.png", "Dice against the size of the tumour", "Scatter plot of Dice against the "
         "number of tumour pixels, one marker per model."),
    ]  # fmt: skip
    if any(claim["comparisons"] for claim in study.claims):
        found.append(
            ("differences.png", "Paired differences", "Mean paired differences in Dice with their "
             "95 % intervals, one row per comparison; the figures are in the claims table.")
        )  # fmt: skip
    if study.curves:
        found.append(
            ("reliability.png", "Reliability", "For each model the share of pixels with tumour "
             "against the probability given, before and after temperature scaling, beside the "
             "diagonal.")
        )  # fmt: skip
    if len(study.models) > 1:
        found.append(
            ("gflop.png", "Dice against operations", "Mean Dice with its interval against GFLOP "
             "per slice; the front of models that nothing cheaper beats is dashed.")
        )  # fmt: skip
    if sum(study.latency_ms(name) is not None for name in study.models) > 1:
        found.append(
            ("latency.png", "Dice against time", "Mean Dice with its interval against "
             "milliseconds per slice on a CPU; the front is dashed.")
        )  # fmt: skip
    if (study.folder / "phantoms.png").is_file():
        found.append(
            ("phantoms.png", "Best, median and worst phantom of each model", "Computed heads, not "
             "patients, with each model's mask in orange and the truth outlined in blue.")
        )  # fmt: skip
    return [{"file": file, "title": title, "alt": alt} for file, title, alt in found]


def _draw(study: Study) -> list[Path]:
    from brainseg.evaluation import figures

    summaries = {name: study.scores[name]["dice"] for name in study.dice}
    models = {name: values for name, values in study.dice.items() if name in study.models}
    drawings = {
        "dice.png": lambda: figures.dice_figure(study.dice, summaries),
        "differences.png": lambda: figures.difference_figure(study.claims),
        "size.png": lambda: figures.size_figure(models or study.dice, study.tumour_px),
        "reliability.png": lambda: figures.reliability_figure(study.curves),
        "gflop.png": lambda: figures.pareto_figure(
            _points(study, "gflop"), "gflop", "GFLOP per slice, bases included"
        ),
        "latency.png": lambda: figures.pareto_figure(
            _points(study, "latency_ms"), "latency_ms", "milliseconds per slice, bases included"
        ),
    }
    drawn = []
    for entry in figure_list(study):
        if entry["file"] in drawings:
            figures.save(drawings[entry["file"]](), study.folder / entry["file"])
            drawn.append(study.folder / entry["file"])
    return drawn


def _points(study: Study, key: str) -> list[dict]:
    return [
        {"name": row["name"], "dice": row["dice"]["mean"], "low": row["dice"]["low"],
         "high": row["dice"]["high"], "parameters": row["parameters"], key: row[key]}
        for row in leaderboard(study)["rows"]
        if row.get(key) and row["parameters"]
    ]  # fmt: skip


def _figures(study: Study, *stems: str, heading: str | None = None) -> list[str]:
    there = {entry["file"]: entry for entry in figure_list(study)}
    found = [there[f"{stem}.png"] for stem in stems if f"{stem}.png" in there]
    images = [f"![{entry['alt']}]({study.folder.name}/{entry['file']})" for entry in found]
    return [heading, *images] if heading and images else images


def _leaderboard_table(board: dict) -> str:
    lines = [
        "| | mean Dice | 95 % interval | median | IoU | HD95 | surface Dice | precision | recall | "
        "volume error | false-positive slices | rank, 95 % | best in |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in board["rows"]:
        rank = row["rank"]
        lines.append(
            f"| `{row['name']}` | {row['dice']['mean']:.3f} | {_interval(row['dice'])} | "
            f"{row['dice']['median']:.3f} | {row['iou']['mean']:.3f} | {_hd95(row)} | "
            f"{row['surface_dice']['mean']:.3f} | {row['precision']['mean']:.3f} | "
            f"{row['recall']['mean']:.3f} | {row['volume_error']['mean']:+.0%} | "
            f"{row['false_positive_slices']:.0f} of {row['empty_slices']:.0f} | "
            f"{rank['low']:.0f} to {rank['high']:.0f} | {rank['first_share']:.0%} |"
        )
    lines += [
        "",
        "IoU to volume error are means over patients. HD95 and surface Dice (tolerance 2 px) are "
        "two-dimensional, over slices in which both masks have something. The last columns tell "
        "the rank and the share of best places when the patients are drawn anew 10,000 times.",
    ]
    return "\n".join(lines)


def _claims_table(claims: Sequence[dict]) -> str:
    lines = ["| claim | verdict | what was found, against the hardest rival |", "|---|---|---|"]
    lines += [f"| {c['claim']} | **{c['verdict']}** | {c['text']} |" for c in claims]
    return "\n".join(lines)


def _fusion_section(study: Study) -> list[str]:
    fusions = [name for name in study.dice if study.kind(name) != "model"]
    if not fusions:
        return []
    bases = sorted({base for model in study.models.values() for base in model["bases"]})
    lines = ["| | mean Dice | 95 % interval |", "|---|---|---|"]
    for name in [*(n for n in study.dice if n in fusions or n in bases)]:
        dice = study.scores[name]["dice"]
        lines.append(f"| `{name}` | {dice['mean']:.3f} | {_interval(dice)} |")
    told = f" All read {' and '.join(f'`{base}`' for base in bases)}." if bases else ""
    section = [
        "## Fusion bench",
        f"Does learning to fuse beat averaging?{told}",
        "\n".join(lines),
    ]
    beliefs = read_table(study.folder / "staple.csv")
    if beliefs:
        lines = [
            "| STAPLE's view of | sensitivity it estimates | true | specificity it estimates | "
            "true |",
            "|---|---|---|---|---|",
        ]
        keys = [f"{kind}_{what}" for what in ("sensitivity", "specificity")
                for kind in ("estimated", "true")]  # fmt: skip
        for name in dict.fromkeys(row["checkpoint"] for row in beliefs):
            own = [row for row in beliefs if row["checkpoint"] == name]
            means = [np.nanmean([row[key] for row in own]) for key in keys]
            lines.append(f"| `{name}` | " + " | ".join(f"{m:.4f}" for m in means) + " |")
        section.append("\n".join(lines))
    return section


def _calibration_section(study: Study, board: dict) -> list[str]:
    rows = [row for row in board["rows"] if row["temperature"] is not None]
    if not rows:
        return []
    lines = ["| | loss | temperature | ECE as trained | ECE scaled |", "|---|---|---|---|---|"]
    for row in rows:
        loss = study.models.get(row["name"], {}).get("loss", "")
        lines.append(
            f"| `{row['name']}` | {loss} | {row['temperature']:.2f} | {row['ece_before']:.3f} | "
            f"{row['ece_after']:.3f} |"
        )
    return [
        "## Calibration",
        "Of the pixels given a probability, how many have tumour? The temperature is fitted on "
        "validation patients; the expected calibration error (ECE) is over the test patients' "
        "pixels that were given at least 5 % as trained, because the countless others would decide "
        "alone.",
        "\n".join(lines),
        *_figures(study, "reliability"),
    ]


def _size_table(study: Study) -> str:
    edges = np.quantile(study.tumour_px, (0, 1 / 3, 2 / 3, 1))
    thirds = np.digitize(study.tumour_px, edges[1:-1])
    labels = [f"{low:,.0f} to {high:,.0f} px" for low, high in pairwise(edges)]
    lines = ["| mean Dice | " + " | ".join(labels) + " |", "|---|---|---|---|"]
    for name, dice in study.dice.items():
        means = [f"{np.nanmean(dice[thirds == i]):.3f}" for i in range(3) if (thirds == i).any()]
        lines.append(f"| `{name}` | " + " | ".join(means) + " |")
    return "\n".join(lines)


def _cost_table(board: dict) -> str:
    lines = ["| | parameters | GFLOP per slice | ms per slice |", "|---|---|---|---|"]
    for row in board["rows"]:
        if row["parameters"]:
            latency = f"{row['latency_ms']:.0f}" if row["latency_ms"] else "not measured"
            lines.append(
                f"| `{row['name']}` | {row['parameters'] / 1e6:.1f} M | {row['gflop']:.1f} | "
                f"{latency} |"
            )
    return "\n".join([*lines, "", "A stack's figures include the bases it reads."])


def _leak_section(study: Study) -> list[str]:
    if not study.leak:
        return []
    lines = [
        "| | how it was split | Dice it believes | Dice on unseen patients | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for row in study.leak["rows"]:
        lines.append(
            f"| `{row['checkpoint']}` | {row['what']} | {row['believed']:.3f} | {row['true']:.3f} "
            f"| {_interval(row)} |"
        )
    return [
        "## Leak meter",
        "The same model and budget, split honestly and with a mistake made on purpose. What it "
        "believes is the Dice on the slices it was validated on; the patients of the last columns "
        "no variant has seen.",
        "\n".join(lines),
    ]


def _training_table(study: Study) -> str:
    lines = [
        "| | start | epochs | size | seed | trained, validated, tested on | threshold | "
        "validation Dice |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, model in study.models.items():
        patients = model["patients"]
        lines.append(
            f"| `{name}` | {_start(model)} | {model['epochs']} | {model['size_px']} px | "
            f"{model['seed']} | {patients['train']}, {patients['val']}, {patients['test']} | "
            f"{model['threshold']:.2f} | {model['validation_dice']:.3f} |"
        )
    return "\n".join(lines)


def _alone(study: Study, name: str) -> str:
    return f"{study.slicewise[name]['dice']['mean']:.3f}" if name in study.slicewise else ""


def _start(model: dict) -> str:
    if model["init_from"]:
        return f"weights {model['init_from'][:8]}"
    return "ImageNet" if model["encoder_weights"] else "random"


def _interval(score: dict) -> str:
    return f"{score['low']:.3f} to {score['high']:.3f}"


def _hd95(row: dict) -> str:
    found = {unit: row[f"hd95_{unit}"]["mean"] for unit in ("px", "mm")}
    return ", ".join(f"{v:.1f} {unit}" for unit, v in found.items() if not np.isnan(v)) or "–"


def _with_table(readme: Path, study: Study) -> str:
    text = readme.read_text(encoding="utf-8")
    if any(text.count(mark) != 1 for mark in MARKS):
        raise ValueError(f"{readme} lacks the marks of the study's table: expected {MARKS}.")
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    return f"{before}{MARKS[0]}\n{readme_table(study)}\n{MARKS[1]}{after}"


def _json_text(value) -> str:
    return json.dumps(finite(value), indent=1, ensure_ascii=False) + "\n"
