"""Tables as Markdown, checksums."""

import hashlib

from brainseg.files import markdown_table, sha256


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
