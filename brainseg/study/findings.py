"""Everything that is known of one study, read from its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brainseg.files import read_table
from brainseg.metrics.calibration import expected_calibration_error
from brainseg.metrics.statistics import rank_stability
from brainseg.study.captions import CAPTIONS
from brainseg.study.claims import ROWS, how_to_read, judge
from brainseg.study.class_scores import CLASSES_FILE, KINDS_FILE
from brainseg.study.few_labels import FEW_LABELS, with_runs
from brainseg.study.score import SCORES, summary
from brainseg.study.training_text import training_text

if TYPE_CHECKING:
    from pandas import DataFrame

UNEQUAL = "They were not all trained for equally long, so that these rows alone decide no claim."
EQUAL = "The verdicts are on models that were all trained for equally many epochs."


@dataclass(frozen=True)
class Study:
    """What ``evaluate --study`` (see ``record.py``), ``bench``, ``leak`` and ``choices`` left in
    ``folder``."""

    folder: Path

    @cached_property
    def table(self) -> DataFrame:
        """One row (see ``score.COLUMNS``) per patient and model or fusion. Raises ValueError if
        there are none."""
        table = read_table(self.folder / "per_patient.csv")
        if table.empty:
            raise ValueError(
                f"{self.folder} holds no per_patient.csv with rows: run python -m brainseg "
                f"evaluate --study --out {self.folder} first."
            )
        return table

    @cached_property
    def about(self) -> dict:
        """What was scored: ``dataset``, ``selection``, ``patients``, ``note``. Raises ValueError if
        there is no ``summary.json`` that tells."""
        about = self._json("summary.json")
        if not {"dataset", "selection", "patients", "note"} <= about.keys():
            raise ValueError(
                f"{self.folder} holds no summary.json that tells the data set and its patients: "
                f"run python -m brainseg evaluate --out {self.folder} first, with --study for the "
                "study itself."
            )
        return about

    @cached_property
    def models(self) -> dict[str, dict]:
        return self._json("models.json")

    @cached_property
    def bench(self) -> dict:
        return self._json("bench.json")

    @cached_property
    def leak(self) -> dict:
        return self._json("leak.json")

    @cached_property
    def choices(self) -> dict:
        return self._json("choices.json")

    @cached_property
    def few_labels_tried(self) -> dict:
        """Ways to learn from scans without masks, compared on validation as in ``choices``."""
        return self._json("few-labels-tried.json")

    def _json(self, name: str) -> dict:
        path = self.folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    @cached_property
    def dice(self) -> dict[str, np.ndarray]:
        """By model or fusion, best mean first: one Dice per patient, in one order."""
        table = self.table.pivot(index="patient", columns="checkpoint", values="dice")
        dice = {name: table[name].to_numpy() for name in self.table["checkpoint"].unique()}
        return dict(sorted(dice.items(), key=lambda item: -np.nan_to_num(np.nanmean(item[1]))))

    @cached_property
    def tumour_px(self) -> np.ndarray:
        """Size of each patient's tumour, in the same order."""
        return self.table.groupby("patient")["tumour_px"].first().to_numpy()

    @cached_property
    def scores(self) -> dict[str, dict]:
        return summary(self.table)

    @cached_property
    def slicewise(self) -> dict[str, dict]:
        """Scores with each slice alone, as if uploaded, if these are in ``slicewise/``."""
        return summary(read_table(self.folder / "slicewise" / "per_patient.csv"))

    @cached_property
    def validation(self) -> dict[str, dict]:
        """Scores on the validation patients, on which choices are made."""
        return summary(read_table(self.folder / "validation.csv"))

    @cached_property
    def phantoms(self) -> Study | None:
        """The same models on phantoms, if their scores are in ``phantoms/``."""
        return self.within("phantoms")

    @cached_property
    def equal(self) -> Study | None:
        """The study's rows, all trained for equally many epochs, if their scores are in
        ``equal/``. Raises ValueError if they were not."""
        found = self.beside("equal")
        if found and len(found.trained_for) > 1:
            raise ValueError(
                f"{found.folder} holds models trained for {_and_for(found.trained_for)}: expected "
                "equally many epochs, as many of them on smaller pictures. Score others elsewhere."
            )
        return found

    @property
    def trained_for(self) -> set[str]:
        """How long its models were trained, in words, as far as they tell."""
        return {training_text(m) for m in self.models.values() if "total_epochs" in m}

    @property
    def equal_note(self) -> str:
        """On which models the verdicts are; "" where it is on those of the leaderboard."""
        if not self.equal:
            return ""
        others = self.trained_for - self.equal.trained_for
        if not others:
            return EQUAL
        return (
            f"{EQUAL} These are not all those in the leaderboard: some of those were trained for "
            f"{_and_for(others)}."
        )

    @cached_property
    def longer(self) -> Study | None:
        """Models that were trained for longer but are not shipped, if their scores are in
        ``longer/``."""
        return self.beside("longer")

    @cached_property
    def other_seeds(self) -> dict[int, Study]:
        """The same trainings from other random numbers, by seed, if these are in ``seed<k>/``."""
        seeds = sorted(int(path.name[4:]) for path in self.folder.glob("seed[0-9]*"))
        found = {seed: self.beside(f"seed{seed}") for seed in seeds}
        return {seed: study for seed, study in found.items() if study}

    @cached_property
    def out_of_fold(self) -> list[Study]:
        """Scores of all patients of a data set, each by a run that had not seen them, if these are
        in folders of ``out-of-fold/``."""
        return self._all_within("out-of-fold")

    @cached_property
    def held_out(self) -> list[Study]:
        """Scores of models of several data sets on the test fold of each, if these are in folders
        of ``held-out/``."""
        return self._all_within("held-out")

    def pictures(self, *stems: str) -> list[str]:
        """Those figures of these names that there are, as Markdown for the page beside the
        folder."""
        there = {entry["file"]: entry for entry in self.figures}
        found = [there[f"{stem}.png"] for stem in stems if f"{stem}.png" in there]
        return [f"![{entry['alt']}]({self.folder.name}/{entry['file']})" for entry in found]

    def beside(self, name: str) -> Study | None:
        """Another study of the same patients, in a folder of this one; None without scores.

        Raises ValueError if the patients are others.
        """
        found = self.within(name)
        if found and set(found.table["patient"]) != set(self.table["patient"]):
            raise ValueError(
                f"{found.folder} scores other patients than {self.folder}: expected the same fold."
            )
        return found

    def within(self, name: str | Path) -> Study | None:
        """The study in a folder of this one, of whatever patients; None without scores."""
        folder = self.folder / name
        return Study(folder) if (folder / "per_patient.csv").is_file() else None

    def _all_within(self, name: str) -> list[Study]:
        folders = sorted((self.folder / name).glob("*/"))
        return [one for folder in folders if (one := self.within(folder.relative_to(self.folder)))]

    @cached_property
    def claims(self) -> list[dict]:
        """The verdicts, on models of equal training where there are any."""
        if self.equal:
            return self.equal.claims
        known = {name: m for name, m in self.models.items() if "total_epochs" in m}
        return judge(self.dice, trained={name: training_text(m) for name, m in known.items()})

    @cached_property
    def curves(self) -> dict[str, dict[bool, list[dict]]]:
        """Reliability curves by checkpoint, as trained (False) and temperature scaled (True)."""
        curves: dict[str, dict[bool, list[dict]]] = {}
        for row in read_table(self.folder / "calibration.csv").to_dict("records"):
            pair = curves.setdefault(row["checkpoint"], {False: [], True: []})
            pair[bool(row["scaled"])].append(row)
        return curves

    @cached_property
    def beliefs(self) -> DataFrame:
        """What STAPLE estimates of each model beside what is true, one row per scan and model."""
        return read_table(self.folder / "staple.csv")

    @cached_property
    def per_class(self) -> DataFrame:
        """Dice of each class, one row (see ``class_scores.CLASS_COLUMNS``) per patient and model
        that tells some apart."""
        return read_table(self.folder / CLASSES_FILE)

    @cached_property
    def kinds(self) -> DataFrame:
        """Of which kind patients, and their slices, were taken to be (``KIND_COLUMNS``)."""
        return read_table(self.folder / KINDS_FILE)

    @cached_property
    def few_labels(self) -> DataFrame:
        """Dice of runs with few masks, one row (``few_labels.COLUMNS`` and ``run``) per run and
        patient."""
        return with_runs(read_table(self.folder / FEW_LABELS))

    def by_hand(self, name: str) -> str:
        """What a person wrote into this file of the folder, "" if nobody did."""
        path = self.folder / name
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""

    @property
    def missing(self) -> list[str]:
        """What a whole study has and this one does not yet, one sentence part each."""
        found = [f"{name}: not trained yet" for name in ROWS if name not in self.dice]
        if not self.leak:
            found.append("leak meter: not run yet")
        if not self.choices:
            found.append("inputs of the stack and starts of the U-Net: not compared yet")
        if not self.bench:
            found.append("speed of the shipped models: not measured yet")
        return found

    def ece(self, name: str, *, scaled: bool = False) -> float | None:
        """Expected calibration error; None if its probabilities were not looked at."""
        curves = self.curves.get(name)
        return expected_calibration_error(curves[scaled]) if curves else None

    def latency_ms(self, name: str) -> float | None:
        """Milliseconds per slice, a stack's bases included; None if the bench does not tell."""
        parts = [name, *self.models.get(name, {}).get("bases", [])]
        times = [self.bench.get(f"{part}_ms") for part in parts]
        return None if None in times else sum(times)

    def kind(self, name: str) -> str:
        return self.models.get(name, {}).get("kind", "fusion")

    @cached_property
    def leaderboard(self) -> dict:
        """All figures per model and fusion, best mean Dice first, for the app and other
        programs."""
        ranks = rank_stability(self.dice)
        rows = []
        for name in self.dice:
            own, model = self.scores[name], self.models.get(name, {})
            curves = self.curves.get(name)
            rows.append(
                {
                    "name": name,
                    "kind": self.kind(name),
                    **{key: own[key] for key in SCORES},
                    "dice_slicewise": self.slicewise.get(name, {}).get("dice"),
                    "false_positive_slices": own["false_positive_slices"],
                    "empty_slices": own["empty_slices"],
                    "rank": ranks[name],
                    **{key: model.get(key) for key in ("parameters", "gflop", "validation_dice")},
                    "latency_ms": self.latency_ms(name),
                    "ece_before": self.ece(name),
                    "ece_after": self.ece(name, scaled=True),
                    "temperature": curves[True][0]["temperature"] if curves else None,
                }
            )
        first = next(iter(self.models.values()), {})
        is_unequal = self.equal and len(self.trained_for) > 1
        return {
            "dataset": self.about["dataset"],
            "fold": first.get("fold"),
            "patients": self.about["patients"],
            "size_px": first.get("size_px"),
            "note": " ".join(filter(None, (self.about["note"], is_unequal and UNEQUAL))),
            "claims_note": " ".join(filter(None, (how_to_read(self.claims), self.equal_note))),
            "rows": rows,
        }

    @cached_property
    def figures(self) -> list[dict]:
        """The figures that this study has: ``file``, ``title``, ``alt``."""
        timed = [name for name in self.models if self.latency_ms(name) is not None]
        there = {
            "dice.png": True,
            "size.png": True,
            "differences.png": any(claim["comparisons"] for claim in self.claims),
            "reliability.png": bool(self.curves),
            "gflop.png": len(self.models) > 1,
            "latency.png": len(timed) > 1,
            "few-labels.png": not self.few_labels.empty,
            "phantoms.png": (self.folder / "phantoms.png").is_file(),
        }
        return [
            {"file": file, "title": title, "alt": alt}
            for file, (title, alt) in CAPTIONS.items()
            if there[file]
        ]


def _and_for(trained: set[str]) -> str:
    return " and for ".join(sorted(trained))
