"""Untrained stand-ins for shipped checkpoints, small scans on disk, and the app in a process and in
a browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serving import save_random, serve

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
WAIT_MS = 60_000


@pytest.fixture(scope="session")
def random_checkpoints(tmp_path_factory) -> Path:
    """A folder with a U-Net, a small smp U-Net and a stack that reads both, all untrained."""
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints")
    save_random(folder, "unet")
    save_random(folder, "unet_resnet34", encoder="resnet18")
    save_random(folder, "unetpp", bases=("unet", "unet_resnet34"))
    return folder


@pytest.fixture(scope="session")
def app(random_checkpoints, tmp_path_factory):
    """Start ``python app.py`` on a free port; yields its address and its folder for uploads."""
    with serve(random_checkpoints, tmp_path_factory.mktemp("app")) as started:
        yield started


@pytest.fixture(scope="module")
def browser():
    pytest.importorskip("playwright", reason="playwright is not installed: pip install -e .[dev]")
    if BROWSER is None:
        pytest.skip("no chromium or google-chrome is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser, app):
    """A function that opens the page for one more visitor, at an address. Any console error fails
    the test."""
    errors, contexts, outside = [], [], []

    def open_page(width=1440, height=1000, address="", **settings):
        settings = {"reduced_motion": "reduce", **settings}  # nothing moves under the pointer
        context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda r: None if _is_inside(r.url, app[0]) else outside.append(r.url))
        page.goto(app[0] + address)
        page.wait_for_selector("#examples button", state="attached")
        page.wait_for_selector("#compare-viewer .viewer", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    assert outside == [], "the page fetched something from outside"


def _is_inside(url: str, home: str) -> bool:
    return url.startswith((home, home.replace("http", "ws"), "data:", "blob:"))


@pytest.fixture
def small_phantoms(monkeypatch):
    """The page's examples small; the kinds that were made."""
    from brainseg.data import phantom
    from brainseg.ui import inputs, session

    made = []

    def small(kind):
        made.append(kind)
        return phantom.make_case(1, kind, size=64, slices=4)

    def forget():
        inputs._example.cache_clear()
        session._finished.clear()

    monkeypatch.setattr(inputs, "make_example", small)
    forget()
    yield made
    forget()


@pytest.fixture
def scan_png(tmp_path) -> Path:
    """A grey picture, 60 by 80 pixels, of a bright disc in a darker, grained one."""
    rows, columns = np.mgrid[:60, :80]
    grain = np.random.default_rng(0).integers(0, 60, (60, 80))
    image = np.where(np.hypot(rows - 30, columns - 40) < 25, 70 + grain, 0)
    image[np.hypot(rows - 25, columns - 45) < 8] = 220
    path = tmp_path / "scan.png"
    Image.fromarray(image.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def truth_png(tmp_path, scan_png) -> Path:
    """The mask of the bright disc in ``scan_png``."""
    path = tmp_path / "truth.png"
    image = np.asarray(Image.open(scan_png))
    Image.fromarray(((image > 200) * 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def scan_nifti(tmp_path) -> tuple[Path, Path]:
    """A volume of six slices of a phantom with its truth, as NIfTI files with a geometry."""
    import SimpleITK as sitk

    from brainseg.data.phantom import make_case
    from brainseg.scans.masks import write_mask
    from brainseg.scans.reading import read_scan

    case = make_case(3, "large", size=64, slices=6)
    image = sitk.GetImageFromArray(case.scan.pixels[..., 1].astype(np.int16))
    _, row_mm, column_mm = case.scan.spacing_mm
    image.SetSpacing((column_mm, row_mm, 5.0))  # six slices of a head would be thick ones
    image.SetOrigin((-12.0, 34.0, -5.0))
    path = tmp_path / "volume.nii.gz"
    sitk.WriteImage(image, str(path))
    return path, write_mask(case.mask, read_scan(path), tmp_path / "volume_truth.nii.gz")


@pytest.fixture
def long_nifti(tmp_path) -> Path:
    """A volume of 96 slices, which keeps the networks busy for a moment."""
    import SimpleITK as sitk

    from brainseg.data.phantom import make_case

    pixels = make_case(3, "large", size=64, slices=6).scan.pixels[..., 1].astype(np.int16)
    path = tmp_path / "long.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.repeat(pixels, 16, axis=0)), str(path))
    return path


@pytest.fixture
def numbered_nifti(tmp_path) -> Path:
    """A volume of 155 slices whose middle is as bright as the slice's number."""
    import SimpleITK as sitk

    from brainseg.data.phantom import make_case

    head = make_case(3, "large", size=64, slices=5).scan.pixels[2, ..., 1].astype(np.int16)
    volume = np.repeat(head[None], 155, axis=0)
    volume[:, 28:36, 28:36] = np.arange(20, 175)[:, None, None]
    path = tmp_path / "numbered.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(volume), str(path))
    return path
