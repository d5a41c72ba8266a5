"""Tables as CSV and as Markdown, checksums."""

import hashlib
import math

import numpy as np
import pytest

from brainseg.files import markdown_table, read_table, sha256, write_table

ROWS = [
    {"checkpoint": "unet-bce", "patient": "007", "seed": 7, "dice": np.float64(1 / 3),
     "tumour_px": 12_345_678, "tumour_ml": float("nan")},
    {"checkpoint": 'a, "b"', "patient": "NA", "seed": "", "dice": float("nan"),
     "tumour_px": 3, "tumour_ml": float("nan")},
]  # fmt: skip


def test_a_table_is_written_in_one_way(tmp_path):
    write_table(tmp_path / "new" / "t.csv", ROWS)
    assert (tmp_path / "new" / "t.csv").read_bytes() == (
        b"checkpoint,patient,seed,dice,tumour_px,tumour_ml\r\n"
        b"unet-bce,007,7,0.333333,12345678,\r\n"
        b'"a, ""b""",NA,,,3,\r\n'
    )
    write_table(tmp_path / "t.csv", ROWS, ("tumour_px", "patient"))
    expected = b"tumour_px,patient\r\n12345678,007\r\n3,NA\r\n"
    assert (tmp_path / "t.csv").read_bytes() == expected


def test_text_stays_text_and_numbers_are_exact(tmp_path):
    write_table(tmp_path / "t.csv", ROWS)
    found = read_table(tmp_path / "t.csv")
    assert found["patient"].tolist() == ["007", "NA"]
    assert found["checkpoint"].tolist() == ["unet-bce", 'a, "b"']
    numbers = found[["seed", "dice", "tumour_px", "tumour_ml"]]
    assert set(numbers.dtypes) == {np.dtype(float)}
    assert found["dice"][0] == float("0.333333") and math.isnan(found["dice"][1])
    assert found["tumour_ml"].isna().all()
    assert found["seed"][0] == 7 and math.isnan(found["seed"][1])


def test_a_file_without_rows_or_none_is_an_empty_table(tmp_path):
    write_table(tmp_path / "t.csv", [])
    assert read_table(tmp_path / "t.csv").empty and read_table(tmp_path / "none.csv").empty
    write_table(tmp_path / "t.csv", [], ("checkpoint", "dice"))
    found = read_table(tmp_path / "t.csv")
    assert found.empty and list(found) == ["checkpoint", "dice"]


def test_what_is_no_number_is_an_error(tmp_path):
    (tmp_path / "t.csv").write_text("patient,dice\r\nann,good\r\n")
    with pytest.raises(ValueError, match="good"):
        read_table(tmp_path / "t.csv")


def test_a_markdown_table_tells_empty_cells_from_missing_ones():
    table = markdown_table([None, "mean"], [["`a`", 0.5], ["`b`", ""], ["`c`", None]])
    assert table.splitlines() == [
        "| | mean |",
        "|---|---|",
        "| `a` | 0.5 |",
        "| `b` |  |",
        "| `c` | |",
    ]


def test_sha256_is_that_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
