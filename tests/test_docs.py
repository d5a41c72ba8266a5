"""What the pages say is what the study's figures say."""

from pathlib import Path

from brainseg.study.report import write_report

ROOT = Path(__file__).parents[1]


def test_readme_and_study_pages_say_what_the_figures_say():
    differing = write_report(ROOT / "docs" / "study", ROOT / "README.md", check=True)
    assert not differing, f"run python -m brainseg report, then look at {differing}"


def test_every_figure_of_the_study_is_there():
    page = ROOT / "docs" / "study.md"
    pictures = [part.split(")")[0] for part in page.read_text().split("](")[1:]]
    assert pictures and all((page.parent / p).is_file() for p in pictures if p.endswith(".png"))
