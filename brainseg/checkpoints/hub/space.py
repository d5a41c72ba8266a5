"""The app as a Gradio Space: a folder with what it needs and nothing else, and its push."""

from __future__ import annotations

import logging
import re
import shutil
import sys
import tempfile
from importlib.metadata import packages_distributions, version
from modulefinder import ModuleFinder
from pathlib import Path

from huggingface_hub import HfApi

import brainseg
from brainseg.checkpoints.folder import Checkpoint, copy_checkpoint, find_checkpoints
from brainseg.checkpoints.hub.client import (
    HubError,
    Reference,
    parse_reference,
    parse_repo,
    talking_about,
)
from brainseg.checkpoints.hub.commit import commit_files, open_repo
from brainseg.checkpoints.hub.pull import FILES, local_folder
from brainseg.checkpoints.settings import CheckpointError
from brainseg.data import datasets_of

ENTRY = "space.py"
CPU_INDEX = "--extra-index-url https://download.pytorch.org/whl/cpu"
log = logging.getLogger(__name__)
_ROOT = Path(brainseg.__file__).parents[1]

_HUB_ENTRY = '''\
"""What this Space runs: the app as it is, with the checkpoints of a repository."""

import os
import runpy

{setting}runpy.run_path("app.py", run_name="__main__")
'''
_GPU_ENTRY = '''\
"""What this Space runs: the app as it is, with a GPU lent for the time of each prediction."""

import os
import runpy

import spaces  # before torch, as ZeroGPU wants it

{setting}os.environ.setdefault("BRAINSEG_BACKEND", "pytorch")
os.environ.setdefault("BRAINSEG_DEVICE", "cuda")

from brainseg.inference.predictor import wrap_predictions

wrap_predictions(spaces.GPU)
runpy.run_path("app.py", run_name="__main__")
'''


def push_space(
    repo: str, checkpoints: str, *, gpu: bool = False, private: bool = False
) -> str | None:
    """Make the Space ``user/name``, or make it what ``write_space`` writes. Returns the commit's
    address, or None if nothing had to change."""
    repo = parse_repo(repo)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "space"
        write_space(folder, repo, checkpoints, gpu=gpu)
        files = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        with talking_about(f"the Space {repo}"):
            remote = open_repo(repo, kind="space", private=private)
            stale = [path for path in remote.files if path != ".gitattributes"]
            what = f"Update to brainseg {brainseg.__version__}"
            return commit_files(remote, files, stale, lambda changed: what)


def write_space(folder: Path, repo: str, checkpoints: str, *, gpu: bool = False) -> None:
    """Write the folder of the Space ``user/name``.

    checkpoints: a folder, which is taken along, or ``user/repo[@revision]``, which is pinned to its
    commit, named in the front matter and fetched while the Space is built. Raises HubError if
    ``folder`` is not empty, CheckpointError if there is no checkpoint.
    """
    repo = parse_repo(repo)
    if not (_ROOT / "app.py").is_file():
        raise HubError(f"{_ROOT} is no checkout of brainseg: run this where app.py is.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HubError(f"{folder} is there and not empty: give a new folder.")
    source = local_folder(checkpoints)
    found, skipped = find_checkpoints(source)
    if skipped or not found:
        raise CheckpointError(" ".join(skipped) or f"{source} holds no checkpoint for the Space.")
    pinned = _pinned(checkpoints, source)
    if pinned and _is_private(pinned):
        log.warning(
            "%s is private: the Space opens it only with a token of yours that may read it, as the "
            "secret HF_TOKEN in the Space's settings.", pinned.repo,
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    modules = ModuleFinder(path=[str(_ROOT)])
    modules.run_script(str(_ROOT / "app.py"))
    for path in _needed_files(modules):
        target = folder / path.relative_to(_ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if not pinned:
        for checkpoint in found:
            below = checkpoint.folder.relative_to(source)  # a name may be there twice, as in runs
            kept = below if below.name else Path(checkpoint.name)
            copy_checkpoint(checkpoint, folder / "checkpoints" / kept)
    setting = f'os.environ.setdefault("BRAINSEG_CHECKPOINTS", "{pinned}")\n' if pinned else ""
    texts = {
        "requirements.txt": _requirements(modules, gpu),
        "README.md": _card(repo, found, pinned, gpu),
    }
    if pinned or gpu:
        texts[ENTRY] = (_GPU_ENTRY if gpu else _HUB_ENTRY).format(setting=setting)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _pinned(checkpoints: str, source: Path) -> Reference | None:
    """The repository at its commit, by which the cache names the folder that it lies in, or None
    for checkpoints of a folder here."""
    if Path(checkpoints).exists():
        return None
    return Reference(parse_reference(checkpoints).repo, None, source.name)


def _is_private(repository: Reference) -> bool:
    try:
        return bool(HfApi().model_info(repository.repo).private)
    except Exception:  # the cache serves without the Hub
        return False


def _needed_files(modules: ModuleFinder) -> list[Path]:
    """The modules that the app imports, what lies beside them, the study that the page shows, and
    the licence."""
    sources = {Path(module.__file__) for module in modules.modules.values() if module.__file__}
    beside = {
        path
        for package in {source.parent for source in sources} - {_ROOT}
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    study = {path for path in (_ROOT / "docs" / "study").rglob("*") if path.is_file()}
    return sorted(sources | beside | study | {_ROOT / "LICENSE"})


def _requirements(modules: ModuleFinder, gpu: bool) -> str:
    """The versions that are installed here, of those requirements that the app imports. Gradio is
    left to the Space, which installs it by ``sdk_version``."""
    listed = re.findall(r"^[\w-]+", (_ROOT / "requirements.txt").read_text(), re.MULTILINE)
    imported = {name.partition(".")[0] for name in modules.badmodules}
    distributions = packages_distributions()
    used = {d.lower().replace("_", "-") for m in imported for d in distributions.get(m, ())}
    used = (used | {"torchvision"}) - {"gradio"}  # smp needs the one, the Space has the other
    names = [name for name in listed if name.lower() in used]
    pins = [f"{name}=={version(name).partition('+')[0]}" for name in names]
    return "\n".join([*(["spaces"] if gpu else [CPU_INDEX]), *pins]) + "\n"


def _card(repo: str, found: list[Checkpoint], pinned: Reference | None, gpu: bool) -> str:
    from huggingface_hub import SpaceCardData

    licences = {
        dataset.LICENCE_ID for c in found for dataset in datasets_of(c.settings.dataset).values()
    }
    weights = licences.pop() if len(licences) == 1 else "other"
    more = {}
    if pinned:
        files = ",".join(
            f"{checkpoint.name}/{file}"
            for checkpoint in found
            for file in FILES
            if (checkpoint.folder / file).is_file()
        )
        more["models"] = [pinned.repo]
        more["preload_from_hub"] = [f"{pinned.repo} {files} {pinned.revision}"]
    data = SpaceCardData(
        title="brainseg: compare segmentation models",
        sdk="gradio",
        sdk_version=version("gradio"),
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
        app_file=ENTRY if pinned or gpu else "app.py",
        # Of the weights that lie here; those of a repository have their own there.
        license="apache-2.0" if pinned else weights,
        short_description="Brain-tumour segmentation models, side by side",
        suggested_hardware="zero-a10g" if gpu else "cpu-basic",
        **more,
    )
    names = "\n".join(f"- {checkpoint.name}" for checkpoint in found)
    return (
        f"---\n{data.to_yaml()}\n---\n# {repo.partition('/')[2]}\n\n"
        "Drop a brain MRI scan and compare segmentation models on it. **For research and teaching, "
        "not for clinical use**: do not upload what could identify a patient.\n\n"
        f"The models here:\n\n{names}\n"
    )
