"""Pictures of a folder as the slices of one volume: which, in which order, and what is said."""

import numpy as np
import pytest
from PIL import Image

from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from tests.scans.scan_files import noise, refused

PAGES = noise(6, 20, 24)


def folder_of(path, pictures):
    path = path / "patient"
    path.mkdir()
    for name, array in pictures.items():
        Image.fromarray(array).save(path / name)
    return path


def read(path):
    with noting() as notes:
        return read_scan(path).pixels, notes


def test_plain_slices_need_no_note(tmp_path):
    names = [f"TCGA_CS_4941_19960909_{number}.tif" for number in range(8, 14)]
    pixels, notes = read(folder_of(tmp_path, dict(zip(names, PAGES, strict=True))))
    assert np.array_equal(pixels[..., 0], PAGES) and notes == []


def test_evenly_numbered_slices_need_no_note(tmp_path):
    names = [f"z{number:03}.png" for number in range(0, 60, 10)]
    assert read(folder_of(tmp_path, dict(zip(names, PAGES, strict=True))))[1] == []


def test_numbers_below_0_come_first(tmp_path):
    names = [f"slice_{place}.png" for place in range(-15, 15, 5)]
    pixels, notes = read(folder_of(tmp_path, dict(zip(names, PAGES, strict=True))))
    assert np.array_equal(pixels[..., 0], PAGES) and notes == []


def test_numbers_behind_a_dot_are_no_suffix(tmp_path):
    folder = folder_of(tmp_path, {f"I{number}.png": PAGES[number] for number in range(3)})
    for number in range(3):
        (folder / f"I{number}.png").rename(folder / f"I.00{number}")
    pixels, notes = read(folder)
    assert np.array_equal(pixels[..., 0], PAGES[:3]) and notes == []


@pytest.mark.parametrize("word", ["mask", "seg", "Segmentation", "label", "labels", "GT"])
def test_masks_beside_them_are_no_slices(tmp_path, word):
    mask = (PAGES[0] > 99).astype(np.uint8) * 255
    pictures = {"s_1.png": PAGES[0], "s_2.png": PAGES[1]}
    pictures |= {f"s_1_{word}.png": mask, f"s_2-{word}.png": mask}
    pixels, _ = read(folder_of(tmp_path, pictures))
    assert np.array_equal(pixels[..., 0], PAGES[:2])


def test_other_names_with_these_letters_stay(tmp_path):
    pictures = {"segovia_1.png": PAGES[0], "segovia_2.png": PAGES[1], "segovia_3.png": PAGES[2]}
    assert len(read(folder_of(tmp_path, pictures))[0]) == 3


def test_masks_alone_are_the_slices(tmp_path):
    pictures = {f"s_{number}_seg.png": PAGES[number] for number in range(6)}
    assert np.array_equal(read(folder_of(tmp_path, pictures))[0][..., 0], PAGES)


def test_missing_numbers_are_mentioned(tmp_path):
    pictures = {
        f"slice_{number}.png": page for number, page in zip((1, 2, 5, 6), PAGES[:4], strict=True)
    }
    pixels, notes = read(folder_of(tmp_path, pictures))
    assert np.array_equal(pixels[..., 0], PAGES[:4])
    assert len(notes) == 1 and "slice_2.png" in notes[0] and "slice_5.png" in notes[0]


def test_several_numbers_are_mentioned(tmp_path):
    order = [(p, s) for p in (1, 2) for s in (2, 10, 11)]
    pictures = {f"p{p}_s{s}.png": page for (p, s), page in zip(order, PAGES, strict=True)}
    pixels, notes = read(folder_of(tmp_path, pictures))
    assert np.array_equal(pixels[..., 0], PAGES)
    assert "p1_s2.png" in notes[0] and "p2_s11.png" in notes[0] and "6 slices" in notes[0]


def test_numbers_that_go_along_with_each_other_do_not(tmp_path):
    pictures = {f"{n}_of_6_at_{n}.png": page for n, page in enumerate(PAGES, start=1)}
    assert read(folder_of(tmp_path, pictures))[1] == []


def test_names_without_numbers_are_mentioned(tmp_path):
    pixels, notes = read(folder_of(tmp_path, {"b.png": PAGES[0], "a.png": PAGES[1]}))
    assert np.array_equal(pixels[..., 0], PAGES[[1, 0]])
    assert "a.png" in notes[0] and "b.png" in notes[0]


@pytest.mark.parametrize("names", [("flair", "t1", "t1ce"), ("x_T1", "x_FLAIR"), ("T2w", "T1c")])
def test_sequences_are_no_slices(tmp_path, names):
    path = folder_of(tmp_path, {f"{name}.png": PAGES[0] for name in names})
    refused(path, "sequences", "--flair")


def test_one_slice_twice(tmp_path):
    pictures = {"1.png": PAGES[0], "2.png": PAGES[1], "2.bmp": PAGES[1]}
    refused(folder_of(tmp_path, pictures), "2.bmp", "2.png", "twice")


def test_copies_under_another_name_are_mentioned(tmp_path):
    path = folder_of(tmp_path, {"s1.png": PAGES[0], "s2.png": PAGES[1], "s2 (1).png": PAGES[1]})
    pixels, notes = read(path)
    assert len(pixels) == 3 and any("s2 (1).png" in text and "same" in text for text in notes)


def test_many_copies_are_mentioned_once(tmp_path):
    pictures = {f"p1_{n}.png": page for n, page in enumerate(PAGES)}
    pictures |= {f"p2_{n}.png": page for n, page in enumerate(PAGES)}
    pixels, notes = read(folder_of(tmp_path, pictures))
    (text,) = (text for text in notes if "same picture" in text)
    assert len(pixels) == 12 and "p1_0.png and p2_0.png" in text and "5 more" in text


def test_black_slices_are_no_copies(tmp_path):
    path = folder_of(
        tmp_path, {f"{n}.png": PAGES[0] * (n % 2) for n in range(1, 3)} | {"3.png": PAGES[0] * 0}
    )
    assert read(path)[1] == []


def test_grey_among_coloured(tmp_path):
    colour = noise(20, 24, 3)
    path = folder_of(tmp_path, {"1.png": PAGES[0], "2.png": colour, "3.png": PAGES[2]})
    pixels, notes = read(path)
    assert np.array_equal(pixels[1], colour)
    assert (pixels[0] == PAGES[0][..., None]).all() and (pixels[2] == PAGES[2][..., None]).all()
    assert "grey" in notes[0] and "1.png" in notes[0]


def test_greys_stored_in_three_channels_among_plain_ones(tmp_path):
    path = folder_of(tmp_path, {"1.png": PAGES[0], "2.png": np.dstack([PAGES[1]] * 3)})
    pixels, notes = read(path)
    assert np.array_equal(pixels[..., 0], PAGES[:2]) and notes == []


def test_black_and_white_among_greys(tmp_path):
    path = folder_of(tmp_path, {"1.png": PAGES[0], "2.png": PAGES[1] > 100})
    assert np.array_equal(read(path)[0][1, ..., 0], (PAGES[1] > 100) * 255)


def test_different_depths(tmp_path):
    path = folder_of(tmp_path, {"1.png": PAGES[0].astype(np.uint16) * 200, "2.png": PAGES[1]})
    refused(path, "1.png", "uint16", "2.png", "uint8", "depth")


def test_thumbnails(tmp_path):
    path = folder_of(
        tmp_path, {"1.png": PAGES[0], "2.png": PAGES[1], "thumb.png": PAGES[0][::4, ::4]}
    )
    refused(path, "different sizes", "thumb.png")


def test_notes_of_single_pictures_are_kept(tmp_path):
    path = folder_of(tmp_path, {"1.png": PAGES[0]})
    Image.fromarray(PAGES[1]).save(path / "2.tif", tiffinfo={274: 3})
    pixels, notes = read(path)
    assert np.array_equal(pixels[1, ..., 0], PAGES[1][::-1, ::-1]) and "2.tif" in notes[0]
