"""Folds by hand: sixteen leaves 1 when divided by five, so a hex number's remainder is that of
the sum of its digits."""

from collections import Counter

import numpy as np
import pytest

from brainseg.checkpoints.patients import patient_hash
from brainseg.data.splits import FOLDS, block_of, fold_of, slice_roles
from brainseg.data.tables import matched

# Digest from `printf %s ID | sha256sum`, and the sum of its digits modulo 5.
KNOWN = {
    "a": ("ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", 4),
    "b": ("3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d", 0),
    "c": ("2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6", 3),
    "phantom_0000": ("3d2023c1602bb39fc79d991ace1d68802e8e8f9b7da45d6db36e40103dc48e4b", 0),
    "TCGA_CS_4941_19960909": (
        "56b2caa8498b15fea3973ff0a23ab4ac296a4bf1e8a75ff42a18101865f95343",
        2,
    ),
}
PATIENTS = [f"patient {number}" for number in range(300)]


def test_letters_with_accents_count_alike_however_they_are_spelt():
    one, other = "Müller", "Mu\u0308ller"
    assert one != other and fold_of(one) == fold_of(other)
    assert patient_hash("folder", one) == patient_hash("folder", other)
    assert matched([one], [other]) == {one: other}


def split(patients, *left_out):
    """Sorted patients by role, by way of their slices."""
    slices = np.array(sorted(patients))
    return {role: sorted(set(slices[rows])) for role, rows in slice_roles(slices, left_out).items()}


@pytest.mark.parametrize("patient", KNOWN)
def test_the_fold_is_the_remainder_of_the_hash(patient):
    digest, fold = KNOWN[patient]
    assert sum(int(digit, 16) for digit in digest) % 5 == fold
    assert fold_of(patient) == fold


@pytest.mark.parametrize("left_out", [(0, 1), (1, 0), (4, 2), (3,)])
def test_the_first_fold_left_out_is_tested_and_a_second_watched(left_out):
    roles = split(PATIENTS, *left_out)
    for role, fold in zip(("test", "val"), left_out, strict=False):
        assert roles[role] == sorted(p for p in PATIENTS if fold_of(p) == fold)
    assert roles["train"] == sorted(p for p in PATIENTS if fold_of(p) not in left_out)
    assert bool(roles["val"]) == (len(left_out) == 2)


def test_a_split_has_every_patient_once():
    roles = split([*PATIENTS, *PATIENTS[:50]], 2, 3)
    assert sorted(roles["train"] + roles["val"] + roles["test"]) == sorted(PATIENTS)
    assert all(ids == sorted(ids) for ids in roles.values())
    assert set(roles["test"]) == {p for p in PATIENTS if fold_of(p) == 2}
    tested = [p for fold in range(FOLDS) for p in split(PATIENTS, fold)["test"]]
    assert sorted(tested) == sorted(PATIENTS)  # cross-validation tests everyone once


def test_folds_are_of_about_equal_size():
    sizes = Counter(fold_of(p) for p in PATIENTS)
    assert set(sizes) == set(range(5)) and all(40 <= n <= 80 for n in sizes.values())


def test_adding_patients_moves_nobody():
    few = split(PATIENTS[:100], 1, 2)
    many = split(reversed(PATIENTS), 1, 2)
    for role, ids in few.items():
        assert set(ids) <= set(many[role])


@pytest.mark.parametrize(("number", "blocks"), [(10, 3), (9, 3), (7, 2), (2, 3)])
def test_blocks_are_near_equal_and_do_not_depend_on_the_order(number, blocks):
    chosen = PATIENTS[:number]
    dealt = block_of(chosen, blocks)
    assert set(dealt) == set(chosen)
    sizes = Counter(dealt.values())
    assert max(sizes.values()) - min(sizes.get(b, 0) for b in range(blocks)) <= 1
    assert block_of([*reversed(chosen), chosen[0]], blocks) == dealt


def test_blocks_do_not_follow_folds():
    # Patients of one fold must be dealt to all blocks, or a block would leave out a whole fold.
    one_fold = [p for p in PATIENTS if fold_of(p) == 3]
    dealt = block_of(PATIENTS, 5)
    assert len({dealt[p] for p in one_fold}) == 5


# ---------------------------------------------------------------- slices, and leaks on purpose

SLICES = np.repeat(PATIENTS[:60], 10)


def patients_of(rows):
    return set(SLICES[rows])


@pytest.mark.parametrize("leak", [None, "slices", "in-sample"])
def test_no_leak_ever_touches_the_test_patients(leak):
    roles = slice_roles(SLICES, (2, 3), leak)
    expected = np.flatnonzero([fold_of(p) == 2 for p in SLICES])
    np.testing.assert_array_equal(roles["test"], expected)
    assert not patients_of(roles["test"]) & (
        patients_of(roles["train"]) | patients_of(roles["val"])
    )
    assert not set(roles["train"]) & set(roles["val"])


def test_honest_slices_follow_their_patient():
    roles = slice_roles(SLICES, (2, 3))
    for role, patients in split(SLICES, 2, 3).items():
        assert patients_of(roles[role]) == set(patients)
    assert sum(map(len, roles.values())) == len(SLICES)


def test_a_split_by_slice_has_the_same_patients_on_both_sides():
    roles = slice_roles(SLICES, (2, 3), "slices")
    assert sum(map(len, roles.values())) == len(SLICES)
    shared = patients_of(roles["train"]) & patients_of(roles["val"])
    assert len(shared) > 0.8 * len(patients_of(roles["train"]))
    assert 0.15 < len(roles["val"]) / (len(roles["val"]) + len(roles["train"])) < 0.25


def test_an_in_sample_stack_is_fitted_and_validated_on_its_bases_training_patients():
    honest, leaking = slice_roles(SLICES, (2, 3)), slice_roles(SLICES, (2, 3), "in-sample")
    known = patients_of(honest["train"])
    assert patients_of(leaking["train"]) | patients_of(leaking["val"]) == known
    assert not patients_of(leaking["train"]) & patients_of(leaking["val"])
