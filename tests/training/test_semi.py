"""Few masks and many scans on tiny phantoms: whose masks are used, and what the others change."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from brainseg.config import Config, ConfigError, from_json
from brainseg.data.cache import prepared_set
from brainseg.data.case import UNLABELLED, DataError
from brainseg.data.phantom import load
from brainseg.data.splits import fold_of, labelled_patients
from brainseg.models.classes import with_background
from brainseg.models.consistency import SEMI
from brainseg.scans.notes import noting
from brainseg.training import loop as training
from brainseg.training import roles, runs, schedule
from brainseg.training.augmentation import cutmix
from brainseg.training.batches import Batches
from brainseg.training.learner import TrainingError, make_accelerator, make_learner
from brainseg.training.loop import train
from brainseg.training.roles import roles_of
from brainseg.training.teacher import Lesson

SUPERVISED = Config(
    model="unet", encoder_weights=None, dataset="phantom", size=32, epochs=2, batch_size=4,
    labelled=3, steps_per_epoch=3,
)  # fmt: skip
SEMIS = [replace(SUPERVISED, semi=semi, sure=0.5, semi_ramp=0.0) for semi in SEMI]


pytestmark = pytest.mark.usefixtures("narrow_unet")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    refs = load(None, patients=14, size=32, slices=6)
    return prepared_set(refs, 32, tmp_path_factory.mktemp("cache"))


def weights(config, data, folder, **kwargs):
    train(config, data, folder, accelerator=make_accelerator("no", cpu=True), **kwargs)
    return load_file(folder / "model.safetensors")


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


def test_few_lie_among_many_and_another_seed_has_others():
    owners = [f"{dataset}/{number}" for dataset in ("lgg", "figshare") for number in range(40)]
    four, eight, quarter = (labelled_patients(owners, n, 0) for n in (4, 8, 0.25))
    assert set(four) < set(eight) < set(quarter)
    assert [sum(name.startswith("lgg/") for name in own) for own in (four, eight, quarter)] == [
        4, 8, 10,
    ]  # fmt: skip
    assert set(four) != set(labelled_patients(owners, 4, 1))
    assert labelled_patients(reversed(owners), 4, 0) == four
    assert len(labelled_patients(owners, 0.001, 0)) == 2  # one of each
    with pytest.raises(DataError, match=r"labelled is 41, but .* has 40 training patients"):
        labelled_patients(owners, 41, 0)


def test_roles_part_the_training_patients_and_leave_the_others_alone(data):
    everyone = roles_of(replace(SUPERVISED, labelled=None), data)
    few, semi = roles_of(SUPERVISED, data), roles_of(SEMIS[0], data)
    assert len(set(data.patients[few["train"]])) == 3 and "unlabelled" not in few
    assert np.array_equal(semi["train"], few["train"])
    both = np.concatenate([semi["train"], semi["unlabelled"]])
    assert np.array_equal(np.sort(both), everyone["train"])
    for role in ("val", "test"):
        assert np.array_equal(semi[role], everyone[role])


def test_a_scan_is_somebodys_by_any_run_of_words_in_its_name():
    ids = ["sub-01", "Pat3", "P1", "12", "t1", "пациент-3", "TCGA_CS_4941_19960909"]
    held_out = roles._ids_of(ids)
    for name in ("site_sub-01_ses-2_anat", "Pat3", "P1_flair", "Пациент_3_T1", "tcga-cs-4941",
                 "kaggle_TCGA_CS_4941_2"):  # fmt: skip
        assert held_out & roles._parts(name), name
    for name in ("sub-011", "12", "Pat33_1", "P11", "stranger_t1", "TCGA-CS-4942"):
        assert not held_out & roles._parts(name), name


def test_scans_named_after_who_is_held_out_are_left_out(data):
    ids = np.char.replace(data.patients, "phantom_", "Q")  # which no data set knows by its form
    data = replace(data, patients=ids)
    tested = ids[roles_of(SEMIS[0], data)["test"][0]]
    names = [f"site_{tested}_ses-2", "stranger"]
    more = len(names)
    noise = np.random.default_rng(0).integers(0, 255, (more, *data.images.shape[1:]), np.uint8)
    rows = {key: np.concatenate([getattr(data, key), getattr(data, key)[:more]])
            for key in ("masks", "statistics", "slice_statistics", "tumour")}  # fmt: skip
    both = replace(
        data,
        images=np.concatenate([data.images, noise]),
        patients=np.concatenate([ids, names]),
        datasets=np.concatenate([data.datasets, np.repeat(UNLABELLED, more)]),
        **rows,
    )
    with noting() as notes:
        found = set(both.patients[roles_of(SEMIS[0], both)["unlabelled"]])
    assert "stranger" in found and names[0] not in found
    (told,) = notes
    assert told.startswith("1 of 2 scans of --unlabelled are left out") and names[0] in told


def test_a_run_takes_as_many_steps_with_few_patients_as_with_many(data):
    config = replace(SUPERVISED, steps_per_epoch=50, empty_share=0.0)
    rows = roles_of(config, data)["train"]
    sick = rows[data.tumour[rows]]
    order = schedule.epoch_rows(config, data, rows, epoch=0)
    assert len(order) == 50 * 4
    times = np.bincount(order, minlength=len(data.images))[sick]
    assert times.sum() == 200 and times.max() - times.min() <= 1  # round after round
    assert len(schedule.epoch_rows(config, data, np.arange(len(data.images)), 0)) == 200
    plain = replace(config, steps_per_epoch=None)
    assert np.array_equal(schedule.epoch_rows(plain, data, rows, 0), order[: len(sick)])


def test_slices_without_masks_come_in_rounds_whatever_they_show():
    rows = np.arange(100, 110)
    found = schedule.unlabelled_rows(SEMIS[0], rows, 0, 25)
    assert len(found) == 25 and set(found[:10]) == set(found[10:20]) == set(rows)
    assert list(found) != list(schedule.unlabelled_rows(SEMIS[0], rows, 1, 25))


def test_the_weight_of_agreement_rises_and_stays():
    config = replace(SEMIS[0], semi_weight=2.0, semi_ramp=0.5)
    found = [schedule.semi_weight(config, step, 20) for step in range(20)]
    assert found[0] == pytest.approx(2 * np.exp(-5 * 0.9**2))
    assert found == sorted(found) and found[9:] == [2.0] * 11


@pytest.mark.parametrize("config", SEMIS, ids=lambda config: config.semi)
def test_slices_without_masks_change_the_result_and_masks_of_theirs_do_not(config, data, tmp_path):
    hidden = roles_of(config, data)["unlabelled"]
    assert data.tumour[hidden].any()
    told = weights(config, data, tmp_path / "told")
    masks, tumour = np.array(data.masks), data.tumour.copy()
    masks[hidden] = 1 - masks[hidden]
    tumour[hidden] = ~tumour[hidden]
    lied = replace(data, masks=masks, tumour=tumour)
    assert same(told, weights(config, lied, tmp_path / "lied"))
    images = np.array(data.images)
    images[hidden] = images[hidden][::-1]
    assert not same(told, weights(config, replace(data, images=images), tmp_path / "other"))
    assert not same(told, weights(SUPERVISED, data, tmp_path / "without"))


def test_the_weight_of_agreement_reaches_the_weights_of_the_network(data, tmp_path, monkeypatch):
    asked = []

    def spy(config, teacher, views, weight, *rest):
        asked.append(weight)
        return original(config, teacher, views, weight, *rest)

    original = training.lesson
    monkeypatch.setattr(training, "lesson", spy)
    config = replace(SEMIS[0], semi_ramp=1.0)
    told = weights(config, data, tmp_path / "told")
    assert asked == [schedule.semi_weight(config, step, 6) for step in range(6)]  # 2 epochs of 3
    without = weights(replace(config, semi_weight=0.0), data, tmp_path / "without")
    assert not same(told, without)


def test_classes_of_theirs_do_not_either(tmp_path):
    names = ("oedema", "core", "enhancing")
    refs = load(None, patients=14, size=32, slices=6)
    data = prepared_set(refs, 32, tmp_path / "cache", classes=names)
    config = replace(SEMIS[1], classes=names, lr=0.01, steps_per_epoch=12)  # sure of something
    hidden = roles_of(config, data)["unlabelled"]
    told = weights(config, data, tmp_path / "told")
    classes = np.array(data.classes)
    classes[hidden] = 3 - classes[hidden]
    assert same(told, weights(config, replace(data, classes=classes), tmp_path / "lied"))
    assert all(torch.isfinite(value).all() for value in told.values())
    supervised = replace(config, semi=None)
    assert not same(told, weights(supervised, data, tmp_path / "without"))


def test_without_a_method_the_other_patients_are_not_looked_at(data, tmp_path):
    rows = np.concatenate(list(roles_of(SUPERVISED, data).values()))
    rest = np.setdiff1d(np.arange(len(data.images)), rows)
    images, masks = np.array(data.images), np.array(data.masks)
    images[rest], masks[rest] = 0, 1
    lied = replace(data, images=images, masks=masks)
    assert same(
        weights(SUPERVISED, data, tmp_path / "a"), weights(SUPERVISED, lied, tmp_path / "b")
    )


@pytest.mark.parametrize("config", SEMIS, ids=lambda config: config.semi)
def test_a_resumed_run_ends_bit_identical(config, data, tmp_path, monkeypatch):
    whole = weights(config, data, tmp_path / "whole")
    save = training.save_state

    def save_and_die(path, run, progress, *rest):
        save(path, run, progress, *rest)
        if progress.epochs_done == 1:
            raise RuntimeError("killed")

    monkeypatch.setattr(training, "save_state", save_and_die)
    with pytest.raises(RuntimeError, match="killed"):
        weights(config, data, tmp_path / "parts")
    monkeypatch.setattr(training, "save_state", save)
    assert same(whole, weights(config, data, tmp_path / "parts", resume=True))
    for name in ("model.safetensors", "history.csv"):
        parts = [(tmp_path / folder / name).read_bytes() for folder in ("whole", "parts")]
        assert parts[0] == parts[1]


def test_the_teachers_view_is_the_students_moved_alike_and_nothing_else(data):
    config = replace(
        SEMIS[0], slice_share=0, grey_share=0, missing_share=0, strip_share=0, strong=0
    )
    rows = np.flatnonzero(data.tumour)[:6]
    batches = Batches(config, data, None, torch.device("cpu"))
    plain, same_view, seen = batches.views(rows, seed=3)
    x, _ = batches.plain(rows)
    assert torch.allclose(plain, same_view, atol=1e-2) and not torch.allclose(plain, x, atol=0.1)
    assert seen.shape == (6, 32, 32) and 0.5 < seen.float().mean() < 1
    strong = Batches(replace(config, strong=2), data, None, torch.device("cpu")).views(rows, 3)
    assert torch.equal(strong.plain, plain) and torch.equal(strong.seen, seen)
    assert not torch.allclose(strong.strong, plain, atol=0.1)


def test_nothing_is_asked_where_a_skull_was_taken_away(data):
    config = replace(SEMIS[0], strip_share=1.0, augmentation=0.0)
    rows = np.flatnonzero(data.tumour)[:6]
    _, strong, seen = Batches(config, data, None, torch.device("cpu")).views(rows, seed=3)
    assert 0 < (~seen).float().mean() < 1
    outside = strong[(~seen)[:, None].expand(strong.shape)]
    assert outside.max() < strong[seen[:, None].expand(strong.shape)].mean()


def test_strong_views_do_not_count_in_the_running_statistics():
    torch.manual_seed(0)
    x, y = torch.randn(4, 3, 32, 32), torch.zeros(4, 1, 32, 32)
    answers = with_background(torch.zeros(4, 1, 32, 32))
    strange = Lesson(9 * x + 5, answers, torch.ones(4, 32, 32), SEMI["mean-teacher"], weight=1.0)
    told = []
    for lesson in (None, strange):
        learner = make_learner(SUPERVISED, make_accelerator("no", cpu=True))
        learner.model.train()
        learner.step(x, y, lesson)
        told.append((dict(learner.bare.named_buffers()), dict(learner.bare.named_parameters())))
    (buffers, parameters), (with_it, others) = told
    assert any(name.endswith("running_var") for name in buffers)
    assert same(buffers, with_it) and not same(parameters, others)


def test_agreement_in_numbers():
    """One pixel asked, one not; logits 0 and log 3 are probabilities 0.5 and 0.75."""
    student = torch.tensor([0.0, 5.0]).view(1, 1, 1, 2)
    teacher = with_background(torch.full((1, 1, 1, 2), float(np.log(3))))
    asked = torch.tensor([1.0, 0.0]).view(1, 1, 2)
    expected = {"mean-teacher": (0.5 - 0.75) ** 2, "fixmatch": float(np.log(2))}
    for name, apart in expected.items():
        lesson = Lesson(student, teacher, asked, SEMI[name], weight=4.0)
        assert float(lesson.loss(student)) == pytest.approx(4 * apart / 2)


def test_cutmix_takes_one_box_from_the_sample_before_or_none():
    planes = torch.arange(40.0).view(40, 1, 1, 1).expand(40, 2, 20, 20).contiguous()
    other = 10 * planes[:, :1]
    mixed, with_it = cutmix([planes, other], torch.Generator().manual_seed(0))
    assert torch.equal(10 * mixed[:, :1], with_it)
    changed = [number for number in range(40) if (mixed[number] != number).any()]
    assert 10 < len(changed) < 30
    for number in changed:
        assert set(mixed[number].unique().tolist()) == {float(number), float((number - 1) % 40)}
        box = mixed[number, 0] != number
        rows, columns = box.any(1).sum(), box.any(0).sum()
        assert box.sum() == rows * columns and 0 < box.float().mean() < 0.5


def test_what_a_run_has_seen_without_masks_is_told(data, tmp_path):
    from brainseg.checkpoints.card import model_card
    from brainseg.checkpoints.folder import read_checkpoint
    from brainseg.checkpoints.patients import TRAINED, UNMASKED, VALIDATED, find_seen, standing

    weights(SEMIS[0], data, tmp_path)
    checkpoint = read_checkpoint(tmp_path)
    rows = roles_of(SEMIS[0], data)
    masked = set(data.patients[rows["train"]])
    said = {0: "", 1: VALIDATED}
    for patient in set(data.patients):
        expected = said.get(fold_of(patient), TRAINED if patient in masked else UNMASKED)
        assert standing(checkpoint.settings, "phantom", patient) == expected
    (stranger, *_) = data.patients[rows["unlabelled"]]
    (finding,) = find_seen([f"{stranger}.npy"], {"a": checkpoint.settings})
    assert "whose scan a was trained on without a mask" in finding.text
    hidden = len(set(data.patients[rows["unlabelled"]]))
    assert checkpoint.settings.patients["unlabelled"] == hidden
    card = model_card(checkpoint.settings, checkpoint.metrics)
    assert "Masks: of 3 training patients" in card and "2 epochs of 3 steps" in card
    assert f"mean teacher, on scans of {hidden} others without their masks: 4 such slices" in card


def test_a_method_needs_slices_to_learn_from(data, tmp_path):
    config = replace(SEMIS[0], labelled=None)
    with pytest.raises(TrainingError, match=r"no slice without a mask .* give --labelled"):
        weights(config, data, tmp_path)
    with pytest.raises(DataError, match="labelled is 60, but phantom has"):
        weights(replace(config, labelled=60), data, tmp_path)


def test_settings_and_folders(tmp_path):
    plain = replace(SUPERVISED, labelled=None, steps_per_epoch=None)
    folder = plain.run_folder(tmp_path).name
    names = {
        folder: plain,
        f"{folder}-labelled3": SUPERVISED,
        f"{folder}-labelled0.1": replace(plain, labelled=0.1),
        f"{folder}-labelled3-mean-teacher": SEMIS[0],
        f"{folder}-labelled3-fixmatch-and-12345678": replace(SEMIS[1], unlabelled="123456789"),
    }
    assert {config.run_folder(tmp_path).name: config for config in names.values()} == names
    table = runs.table([SUPERVISED, SEMIS[0]], tmp_path)
    assert "| unet-bce-labelled3 |" in table and "| unet-bce-labelled3-mean-teacher |" in table
    assert replace(plain, sure=0.7, strong=3.0) == plain  # which only semi-supervised runs have
    assert len(set(names.values())) == len(names)
    for labelled in (0, 1, 1.0, 2.5, -3):
        with pytest.raises(ConfigError, match="labelled is"):
            replace(plain, labelled=labelled)
    stack = Config("unetpp", encoder_weights=None)
    for wrong in ({"labelled": 4}, {"semi": "fixmatch"}):
        with pytest.raises(ConfigError, match="none for a stack"):
            replace(stack, **wrong)
    with pytest.raises(ConfigError, match="--unlabelled gives scans"):
        replace(plain, unlabelled="123456789")
    for infinite in ({"labelled": float("inf")}, {"semi": "fixmatch", "unlabelled_ratio": np.nan}):
        with pytest.raises(ConfigError, match=r"is (inf|nan)"):
            from_json({"model": "unet", **infinite})
    with pytest.raises(ConfigError, match=r"unlabelled_ratio is 0\.1"):
        replace(SEMIS[0], unlabelled_ratio=0.1)
