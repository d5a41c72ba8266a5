import re
from pathlib import Path

import pandas as pd

from brainseg.scans import guard
from brainseg.study.effects import EFFECTS, SOURCES

ROOT = Path(__file__).parents[2]


def test_each_figure_stands_in_the_document_it_is_from():
    for path, figures in SOURCES.items():
        text = (ROOT / path).read_text("utf-8")
        assert [figure for figure in figures if figure not in text] == [], path
    table = (ROOT / "docs/training.md").read_text("utf-8")
    for name, figures in (("unet_efficientnet-bce", "0.86 | 0.51 | 0.46 | 0.66 | 0.59"),
                          ("unet-bce", "0.71 | 0.34 | 0.21 | 0.30 | 0.03")):  # fmt: skip
        assert f"| `{name}` | {figures} |" in table
    said = set(re.findall(r"0\.\d+", " ".join(EFFECTS.values())))
    assert said == {figure for figures in SOURCES.values() for figure in figures} | {"0.63", "0.82"}


def test_every_finding_that_lets_a_scan_pass_has_its_effect():
    known = {"text", "one sequence", "same image", "thick slices", "oblique slices", "resampled"}
    known |= {f"{name} missing" for name in ("T1", "FLAIR", "T1c")}
    known |= {f.code for f in vars(guard).values() if isinstance(f, guard.Finding) and not f.stops}
    assert known - {"colour"} == set(EFFECTS)  # of colours the reader speaks


def test_patients_of_the_faint_are_counted_on_scores_that_are_there():
    tables = [
        pd.read_csv(ROOT / "docs/study" / name) for name in ("per_patient.csv", "validation.csv")
    ]
    assert pd.concat(tables).patient.nunique() == 35
