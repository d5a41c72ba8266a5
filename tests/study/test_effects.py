import re
from pathlib import Path

import pandas as pd

from brainseg.scans import guard
from brainseg.study.effects import EFFECTS

ROOT = Path(__file__).parents[2]


def test_each_figure_stands_in_the_document_it_is_from():
    text = (ROOT / "docs/training.md").read_text("utf-8")
    alone = {"faint FLAIR"}  # whose figures no document has
    said = " ".join(effect for code, effect in EFFECTS.items() if code not in alone)
    assert [figure for figure in re.findall(r"0\.\d+", said) if figure not in text] == []
    for name, figures in (("unet_efficientnet-bce", "0.86 | 0.51 | 0.46 | 0.66 | 0.59"),
                          ("unet-bce", "0.71 | 0.34 | 0.21 | 0.30 | 0.03")):  # fmt: skip
        assert f"| `{name}` | {figures} |" in text


def test_every_finding_that_lets_a_scan_pass_has_its_effect():
    known = {"text", "one sequence", "same image", "thick slices", "oblique slices", "resampled",
             "another plane"}  # fmt: skip
    known |= {f"{name} missing" for name in ("T1", "FLAIR", "T1c")}
    known |= {f.code for f in vars(guard).values() if isinstance(f, guard.Finding) and not f.stops}
    assert known - {"colour"} == set(EFFECTS)  # of colours the reader speaks


def test_patients_of_the_faint_are_counted_on_scores_that_are_there():
    tables = [
        pd.read_csv(ROOT / "docs/study" / name) for name in ("per_patient.csv", "validation.csv")
    ]
    assert pd.concat(tables).patient.nunique() == 35
