"""The phantoms: repeatable, of the promised kinds, with tissue and truth as they should be."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy import ndimage

from brainseg.data import phantom
from brainseg.data.case import DataError
from brainseg.data.phantom import head, scanner
from brainseg.data.phantom.patient import SIGNAL, draw_patient

T1, FLAIR, T1C = range(3)
SMALL = {"size": 64, "slices": 8}


def render(patient, size=64):
    pixels, classes, _ = scanner.render(patient, size=size)
    return pixels.astype(float), classes > 0


def surroundings(mask, inner_px=2, outer_px=6):
    """The brain around a lesion, away from its border, in the slices that have one."""
    inner, outer = mask.copy(), mask.copy()
    for k in range(len(mask)):
        if mask[k].any():
            inner[k] = ndimage.binary_dilation(mask[k], iterations=inner_px)
            outer[k] = ndimage.binary_dilation(mask[k], iterations=outer_px)
    return outer & ~inner


def quiet(patient, **changes):
    """The same patient without noise or shading."""
    return replace(patient, noise=0.0, bias=0.0, **changes)


def digest(case):
    return hashlib.sha256(case.scan.pixels.tobytes() + case.mask.tobytes()).hexdigest()


def test_same_seed_same_case_even_in_another_process():
    first = digest(phantom.make_case(7, **SMALL))
    assert digest(phantom.make_case(7, **SMALL)) == first
    code = (
        "import hashlib; from brainseg.data.phantom import make_case;"
        "c = make_case(7, size=64, slices=8);"
        "print(hashlib.sha256(c.scan.pixels.tobytes() + c.mask.tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == first


def test_seeds_and_kinds_differ():
    cases = [phantom.make_case(seed, kind, **SMALL) for seed in (1, 2) for kind in (None, "large")]
    assert len({digest(case) for case in cases}) == 4


@pytest.mark.parametrize("kind", [None, *phantom.KINDS])
def test_shapes_types_and_geometry(kind):
    case = phantom.make_case(3, kind, **SMALL)
    pixels, affine = case.scan.pixels, case.scan.affine
    assert pixels.shape == (8, 64, 64, 3) and pixels.dtype == np.uint8
    assert case.mask.shape == (8, 64, 64) and case.mask.dtype == bool
    assert case.dataset == "phantom"
    assert case.patient_id == ("phantom_0003" if kind is None else f"phantom_{kind}")
    dz, dy, dx = case.scan.spacing_mm
    assert np.allclose(np.diag(affine), [dx, dy, dz, 1]) and np.isfinite(affine).all()
    assert dy == dx and 210 < 64 * dx < 260  # the field of view holds a head
    assert pixels[:, :3, :3].mean() < 12 < pixels[4, 20:44, 20:44].mean()


def test_default_acquisition_is_in_the_range_of_real_series():
    for seed in range(20):
        patient = draw_patient(seed)
        assert 20 <= patient.slices <= 40
        assert 3 <= patient.spacing_mm[0] <= 6 and 0.9 <= patient.spacing_mm[1] <= 1


def test_unknown_kind_lists_the_options():
    for make in (phantom.make_example, lambda kind: phantom.make_case(0, kind)):
        with pytest.raises(DataError, match=r"'huge'.*small, large, multifocal"):
            make("huge")


def test_kinds_have_the_tumours_they_are_named_for():
    volume = {
        kind: [phantom.make_case(seed, kind, **SMALL).mask.sum() for seed in range(8)]
        for kind in phantom.KINDS
    }
    assert not any(volume["healthy"])
    assert all(all(sizes) for kind, sizes in volume.items() if kind != "healthy")
    assert max(volume["small"]) < min(volume["large"])
    for seed in range(6):
        mask = phantom.make_case(seed, "multifocal", size=64).mask
        assert ndimage.label(mask, np.ones((3, 3, 3)))[1] >= 2


def test_lesion_is_brighter_in_flair_and_least_so_at_low_contrast():
    def contrast(kind, seed):
        pixels, mask = render(draw_patient(seed, kind), size=96)
        flair = pixels[..., FLAIR]
        around = surroundings(mask) & (flair > 0.7 * np.median(flair[surroundings(mask)]))
        return np.median(flair[mask]) / np.median(flair[around])

    plain = [contrast("large", seed) for seed in range(3)]
    faint = [contrast("low-contrast", seed) for seed in range(3)]
    assert min(plain) > 1.15
    assert min(faint) > 1.02
    assert max(faint) < 1.35 and np.mean(faint) < np.mean(plain) - 0.1


def test_truth_is_where_the_lesion_was_painted():
    patient = quiet(draw_patient(2, "large", slices=12))
    lesions = tuple(replace(lesion, mass_effect=0.0) for lesion in patient.lesions)
    plain = quiet(patient, lesions=lesions)
    dull = tuple(replace(f, oedema=(1, 1, 1), core=(1, 1, 1), necrosis=0.0) for f in lesions)
    (bright_pixels, mask), (dull_pixels, same) = render(plain), render(quiet(plain, lesions=dull))
    assert (mask == same).all()
    changed = bright_pixels[..., FLAIR] - dull_pixels[..., FLAIR]
    assert changed[mask].mean() > 15
    # Beyond the blurred border, nothing: painted and true lesion are the same.
    far = ~ndimage.binary_dilation(mask, np.ones((1, 3, 3)), iterations=3)
    assert np.abs(changed[far]).mean() < 0.3


def test_mass_effect_moves_the_anatomy_but_not_the_skull():
    patient = quiet(draw_patient(2, "large", slices=12))

    def with_push(push):
        lesions = tuple(replace(lesion, mass_effect=push) for lesion in patient.lesions)
        return render(replace(patient, lesions=lesions), size=96)

    (calm, before), (pushed, after) = with_push(0.0), with_push(0.6)
    moved = np.abs(calm - pushed)[..., T1]
    head = calm[..., T1] > 0.25 * patient.gain[T1]
    outside = ~ndimage.binary_dilation(before | after, np.ones((1, 3, 3)), iterations=3)
    brain = ndimage.binary_erosion(
        np.stack([ndimage.binary_fill_holes(k) for k in head]), np.ones((1, 3, 3)), iterations=10
    )
    assert moved[brain & outside].mean() > 1
    assert moved[~ndimage.binary_fill_holes(head)].mean() < 0.2
    overlap = 2 * (before & after).sum() / (before.sum() + after.sum())
    assert overlap > 0.8


def test_tissues_are_ordered_as_in_the_sequences():
    """The brightest tissue of T1 is white matter; CSF is dark everywhere; contrast adds vessels."""
    signal = {name: np.array(value) for name, value in SIGNAL.items()}
    assert signal["white"][T1] > signal["gray"][T1] > signal["csf"][T1]
    assert signal["gray"][FLAIR] > signal["white"][FLAIR] > signal["csf"][FLAIR]
    assert signal["vessel"][T1C] > 1 > signal["vessel"][T1]

    p = np.zeros((3, 3), np.float32)
    p[:, 0] = 28, 20, 30  # centrum semiovale
    p[:, 1] = 11, 9, 6  # thalamus
    p[:, 2] = 0, 4, 1  # third ventricle
    patient = draw_patient(5, "healthy")
    painted = np.ones_like(p)
    rng = np.random.default_rng(0)
    head.paint_brain(painted, p, head.brain_depths(p), patient, rng)
    white, thalamus, csf = painted.T
    assert white[T1] > thalamus[T1] > csf[T1]
    assert thalamus[FLAIR] > white[FLAIR] - 0.1 and csf[FLAIR] < 0.5 * white[FLAIR]


def test_the_vertex_fades_over_the_thickness_of_a_slice():
    patient = quiet(draw_patient(1, "healthy"), slices=36)
    flair = render(patient, size=128)[0][..., FLAIR]
    steps = np.abs(np.diff(flair, axis=-1)).max((1, 2)) / flair.max((1, 2)).clip(1)
    there = [k for k in range(len(flair)) if np.count_nonzero(flair[k] > 10) > 50]
    assert steps[there[-1]] < 0.35  # no border is sharp up there
    assert steps[there[len(there) // 2]] > 0.5  # as scalp and bone are in the middle


def test_thirty_patients_are_varied():
    patients = [draw_patient(seed) for seed in range(30)]
    healthy = np.mean([not patient.lesions for patient in patients])
    assert 0.05 <= healthy <= 0.3
    sides = [np.sign(patient.lesions[0].centre_mm[0]) for patient in patients if patient.lesions]
    assert 0.25 < np.mean(np.array(sides) > 0) < 0.75

    left = 0
    volume, share = [], []
    for seed in range(30):
        case = phantom.make_case(seed, size=64)
        if case.mask.any():
            volume.append(case.mask.sum() * np.prod(case.scan.spacing_mm) / 1000)  # ml
            share.append(case.mask.any((1, 2)).mean())
            left += np.nonzero(case.mask)[2].mean() > 31.5
    assert max(volume) > 15 * min(volume)
    assert 0.25 < np.mean(share) < 0.55
    assert 5 <= left <= len(volume) - 5


def test_load_gives_light_references_that_read_the_same_case():
    refs = phantom.load(patients=3, **SMALL)
    assert [ref.patient_id for ref in refs] == ["phantom_0000", "phantom_0001", "phantom_0002"]
    assert all(ref.files == () and ref.version == f"phantom-{phantom.VERSION}-64-8" for ref in refs)
    assert len(pickle.dumps(refs[1])) < 1000
    case = pickle.loads(pickle.dumps(refs[1])).read()
    assert digest(case) == digest(phantom.make_case(1, **SMALL))
    assert case.patient_id == refs[1].patient_id


def test_examples_are_full_size():
    case = phantom.make_example("small")
    assert case.scan.pixels.shape[1:] == (256, 256, 3)
    assert 0 < case.mask.sum() < 3000


def test_no_fat_of_an_orbit_is_a_bright_ball():
    """Muscles, nerve and globe are in it: as one block models take it for a tumour."""
    case = phantom.make_example("healthy")
    t1 = case.scan.pixels[..., 0]
    is_fat = (t1 > 0.55 * np.quantile(t1[t1 > 20], 0.995)).astype(np.uint8)
    depth = max(cv2.distanceTransform(plane, cv2.DIST_L2, 5).max() for plane in is_fat)
    assert 3 < depth * case.scan.spacing_mm[1] < 12  # 15 before there was a cone
