import numpy as np
import pytest

from brainseg.checkpoint import CheckpointError
from brainseg.data import phantom
from brainseg.inference import Comparison, Result
from brainseg.scan import Scan, ScanError
from brainseg.ui import handlers, markup, words

MODELS = ["unet-bce", "unet_resnet34-bce", "unetpp-bce"]
FUSIONS = ["fusion_mean", "fusion_vote", "fusion_staple"]


def comparison(marks, truth=None, spacing_mm=None, slices=1):
    """A comparison of models by name, each marking that many pixels of every slice."""
    shape = (slices, 4, 5)

    def mask(count):
        return np.broadcast_to(np.arange(20).reshape(4, 5) < count, shape)

    results = {
        name: Result(name, name.split("_")[0], mask(count).astype(np.float32), 0.5)
        for name, count in marks.items()
    }
    scan = Scan(np.zeros((*shape, 1), np.uint8), spacing_mm=spacing_mm, source="scan.png")
    return Comparison(scan, None if truth is None else mask(truth), results)


def captions(*args, **kwargs):
    return handlers.make_view(comparison(*args, **kwargs)).captions


def test_files_with_truth_are_scored(random_checkpoints, scan_png, truth_png):
    report = handlers.compare_files(scan_png, truth_png, random_checkpoints).to_json()
    assert report["truth"] and report["source"] == "scan.png"
    assert set(report["models"]) == {*MODELS, *FUSIONS}
    for entry in report["models"].values():
        assert {"dice", "area_px", "agreement"} <= set(entry)


def test_files_without_truth_have_agreement_only(random_checkpoints, scan_png):
    report = handlers.compare_files(scan_png, None, random_checkpoints).to_json()
    assert not report["truth"]
    for entry in report["models"].values():
        assert "dice" not in entry and "agreement" in entry


def test_the_view_puts_ensembles_first_and_draws_at_the_scan_s_shape(
    random_checkpoints, scan_png, truth_png
):
    found = handlers.compare_files(scan_png, truth_png, random_checkpoints)
    view = handlers.make_view(found)
    cards = handlers.cards(view, view.start)
    assert [card.name for card in cards] == ["unetpp-bce", *MODELS[:2], *FUSIONS]
    assert [card.kind for card in cards] == ["ensemble"] + ["model"] * 2 + ["fusion"] * 3
    assert all(card.image.shape == (60 * 4, 80 * 4, 3) for card in cards)
    assert words.table(view.report)[1][0][0] == "unetpp-bce"


def test_a_view_holds_no_floats_and_gives_back_every_mask():
    found = comparison({"model_a": 7, "fusion_b": 20}, truth=3, slices=3)
    view = handlers.make_view(found)
    assert view.images.dtype == np.uint8
    assert {mask.dtype for mask in [view.truth, *view.masks.values()]} == {np.dtype(np.uint8)}
    assert view.masks["model_a"].nbytes == 3 * 4  # five pixels are one byte
    picture = handlers.cards(view, 1)[0].image
    expected = found.results["model_a"].mask[1].repeat(52, 0).repeat(52, 1)
    assert (picture.any(axis=-1) == expected).all()  # on a black image, only the mask has colour


def test_the_first_slice_shown_is_where_the_truth_is_or_else_the_masks():
    found = comparison({"model_a": 0, "model_b": 0}, truth=0, slices=5)
    assert handlers.make_view(found).start == 2
    found.results["model_a"].probabilities[3, 0, 0] = 1
    assert handlers.make_view(found).start == 3
    truth = found.truth.copy()
    truth[4, 0, 0] = True
    assert handlers.make_view(Comparison(found.scan, truth, found.results)).start == 4


def test_captions_with_truth():
    found = captions({"model_a": 5, "model_b": 0}, truth=5)
    assert found == {"model_a": "Dice 1.00 · 5 px", "model_b": "Dice 0.00, no tumour marked"}


def test_a_healthy_scan_is_told_in_words():
    found = captions({"model_a": 0, "model_b": 4}, truth=0)
    assert found["model_a"] == "no tumour marked, none in truth"
    assert found["model_b"] == "tumour marked, none in truth · 4 px"
    found = captions({"model_a": 0, "model_b": 0, "fusion_c": 0})
    assert found["model_a"] == "no tumour marked, like 1 of 1 other models"
    assert found["fusion_c"] == "no tumour marked, like 2 of 2 other models"
    assert captions({"model_a": 0}) == {"model_a": "no tumour marked"}


def test_captions_without_truth_say_agreement_never_dice():
    found = captions({"model_a": 4, "model_b": 8}, spacing_mm=(10, 10, 10))
    assert found["model_a"] == "agreement 0.67 · 4.0 ml"
    assert captions({"model_a": 4}) == {"model_a": "the only model · 4 px"}
    assert captions({"model_a": 4}, spacing_mm=(1, 1, 1))["model_a"].endswith("under 0.1 ml")


def test_the_table_has_words_where_a_figure_is_not_defined():
    headings, rows = words.table(comparison({"model_a": 0}, truth=0).to_json())
    assert "Volume (ml)" not in headings
    row = dict(zip(headings, rows[0], strict=True))
    assert row["Dice"] == row["IoU"] == "both empty"
    assert row["Precision"] == row["Agreement"] == "none marked"
    assert row["Recall"] == "none in truth"
    assert row["Pixels"] == "0"
    headings, rows = words.table(comparison({"model_a": 1}, spacing_mm=(10, 10, 10)).to_json())
    assert "Dice" not in headings and headings[-1] == "Volume (ml)"
    assert rows == [["model_a", "model", "nothing to agree on", "1", "1.0"]]


def test_summary():
    report = comparison({"model_a": 1}, truth=1, slices=2).to_json()
    assert words.summary(report) == "scan.png: 2 slices, with its true mask."


def test_names_from_files_and_folders_are_escaped():
    card = handlers.Card("<b>", "<i>", '"<s>', np.zeros((2, 2, 3), np.uint8))
    html = markup.cards([card], 1) + markup.table(["<u>"], [["<u>"]]) + markup.notice("<u>")
    assert not {"<b>", "<i>", "<s>", "<u>", '""'} & set(html.replace(">", "> ").split())
    assert "&quot;&lt;s&gt;" in html


def test_a_bad_file_gets_the_reader_s_sentence(random_checkpoints, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a scan")
    with pytest.raises(ScanError, match=r"notes\.txt"):
        handlers.compare_files(path, None, random_checkpoints)


def test_a_truth_of_another_size_gets_the_reader_s_sentence(random_checkpoints, scan_png, tmp_path):
    path = tmp_path / "mask.npy"
    np.save(path, np.zeros((9, 9), np.uint8))
    with pytest.raises(ScanError, match=r"mask\.npy"):
        handlers.compare_files(scan_png, path, random_checkpoints)


def test_no_scan_and_too_large_a_scan(random_checkpoints, scan_png, monkeypatch):
    with pytest.raises(ScanError, match="choose a file"):
        handlers.compare_files(None, None, random_checkpoints)
    monkeypatch.setattr(handlers, "MAX_VOXELS", 60 * 80 - 1)
    with pytest.raises(ScanError, match="4,800 voxels"):
        handlers.compare_files(scan_png, None, random_checkpoints)


@pytest.mark.parametrize("folder", ["missing", "."])
def test_without_a_checkpoint_it_is_said_what_to_do(tmp_path, scan_png, folder):
    for call in (
        lambda: handlers.compare_files(scan_png, None, tmp_path / folder),
        lambda: handlers.compare_example("small", tmp_path / folder),
    ):
        with pytest.raises(CheckpointError, match=r"no trained model yet.*train\.py"):
            call()


def test_an_example_is_made_once_and_has_its_truth(random_checkpoints, monkeypatch):
    made = []

    def small(kind):
        made.append(kind)
        return phantom.make_case(1, kind, size=64, slices=4)

    monkeypatch.setattr(handlers, "make_example", small)
    handlers._example.cache_clear()
    try:
        for _ in range(2):
            found = handlers.compare_example("large", random_checkpoints)
        assert made == ["large"]
        assert found.truth.any() and found.to_json()["slices"] == 4
    finally:
        handlers._example.cache_clear()
