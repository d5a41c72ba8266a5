"""Checkpoints from the Hub, through the client's own cache.

Of a repository only ``FILES`` are ever fetched. Each has its size looked at before and its checksum
after the download: the client itself does not notice a damaged body of the right size.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from huggingface_hub import (
    _CACHED_NO_EXIST,
    HfApi,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    scan_cache_dir,
    try_to_load_from_cache,
)
from huggingface_hub.errors import CacheNotFound, RemoteEntryNotFoundError

from brainseg.checkpoints import ranges
from brainseg.checkpoints.folder import (
    CARD,
    CONFIG,
    HISTORY,
    METRICS,
    ORIGIN,
    RANGES,
    WEIGHTS,
    Checkpoint,
    copy_checkpoint,
    find_base,
    find_checkpoints,
    load_module,
    read_checkpoint,
    read_metrics,
    read_origin,
)
from brainseg.checkpoints.hub.client import (
    HubError,
    Reference,
    checksum_of,
    does_not_answer,
    is_not_found,
    parse_reference,
    talking_about,
)
from brainseg.checkpoints.settings import (
    MAX_CONFIG_BYTES,
    CheckpointError,
    Settings,
    is_plain_name,
    read_settings,
)
from brainseg.files import WriteError, replacing, sha256, write_json, write_text

log = logging.getLogger(__name__)

FILES = (CONFIG, WEIGHTS, METRICS, RANGES)
_MAX_BYTES = {
    WEIGHTS: 4 * 2**30, CONFIG: MAX_CONFIG_BYTES, METRICS: 2**20, RANGES: ranges.MAX_BYTES,
}  # fmt: skip
_TIMEOUT = 10  # seconds


def download(reference: str) -> Checkpoint:
    """The checkpoint ``user/repo/name[@revision]``, with its bases if it is a stack, from the Hub
    or, if that does not answer, the local cache. A full commit id asks for nothing that is there.

    ``Checkpoint.origin`` tells the commit. Raises CheckpointError when it can't be had.
    """
    wanted = parse_reference(reference)
    if wanted.name is None:
        raise HubError(f"{reference!r} lacks a checkpoint's name: expected user/repo/name.")
    with talking_about(wanted):
        return _fetch_with_bases(wanted)


def local_folder(path_or_repo: str | Path) -> Path:
    """A folder of checkpoints: the one given, or that of ``user/repo[@revision]`` in the cache,
    once its checkpoints are fetched.

    A checkpoint that can't be used is left out with a warning; raises CheckpointError if that
    leaves none.
    """
    text = path_or_repo.as_posix() if isinstance(path_or_repo, Path) else path_or_repo
    if Path(text).exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+(@.+)?", text):
        return Path(text)
    wanted = parse_reference(text)
    fetched, faults = [], []
    with talking_about(f"{wanted}, which is no folder here"):
        names = checkpoint_names(wanted)
    for name in names:
        one = Reference(wanted.repo, name, wanted.revision)
        try:
            with talking_about(one):
                fetched.append(_fetch(one))
        except CheckpointError as error:
            faults.append(str(error))
    for fault in faults:
        log.warning("left out: %s", fault)
    if not fetched:
        raise HubError(" ".join(faults))
    if len({folder.parent for folder in fetched}) > 1:
        raise HubError(f"{wanted} changed while it was read: try again, or name a commit.")
    return fetched[0].parent


def pull(reference: str, out: Path, *, overwrite: bool = False) -> list[Checkpoint]:
    """Copy the checkpoints of ``user/repo[/name][@revision]``, and the bases of stacks, to
    ``out/<name>``, with their origin beside them. All are read in full before the first is copied.
    Of a whole repository, one that can't be used is left out with a warning.

    Raises CheckpointError, and then ``out`` is as it was, if that leaves none, if another one of
    its name is there already (unless ``overwrite``), or if a stack that stays reads what would be
    replaced.
    """
    wanted = parse_reference(reference)
    found: dict[str, tuple[Checkpoint, str]] = {}  # with their cards
    faults = []
    with talking_about(wanted):
        for name in [wanted.name] if wanted.name else checkpoint_names(wanted):
            try:
                asked = Reference(wanted.repo, name, wanted.revision)
                checkpoint = _fetch_with_bases(asked, whole=True)
                for one in (*(find_base(checkpoint, b) for b in checkpoint.bases), checkpoint):
                    if one.name not in found:
                        load_module(one)
                        found[one.name] = one, _card(one, wanted.repo)
            except CheckpointError as error:
                if wanted.name:
                    raise
                faults.append(f"{name}: {error}")
    if not found:
        raise HubError(" ".join(faults))
    for fault in faults:
        log.warning("left out: %s", fault)
    for name, (checkpoint, _) in found.items():
        if not overwrite and _is_another(checkpoint, out / name):
            raise HubError(
                f"{out / name} holds another checkpoint than {wanted}: --overwrite replaces it, "
                "--out puts the new one elsewhere."
            )
    _refuse_to_break(out, {name: checkpoint for name, (checkpoint, _) in found.items()})
    for name, (checkpoint, card) in found.items():
        if overwrite or not (out / name / CONFIG).is_file():
            copy_checkpoint(checkpoint, out / name)
            write_text(out / name / CARD, card)
        else:
            _refresh(checkpoint, out / name, wanted.repo)
    return [read_checkpoint(out / name) for name in found]


def checkpoint_names(wanted: Reference) -> list[str]:
    """The checkpoint folders of a repository at a revision; those in the cache if the Hub does not
    answer."""
    try:
        info = HfApi().model_info(wanted.repo, revision=wanted.revision, timeout=_TIMEOUT)
        paths = [sibling.rfilename for sibling in info.siblings or []]
    except Exception as error:
        paths = [] if is_not_found(error) else _cached_paths(wanted)
        if not paths:
            raise
        log.warning("%s: the Hub does not answer; using what is in the cache.", wanted)
    for path in paths:
        if path.startswith("/") or "\\" in path or ".." in path.split("/"):
            raise HubError(f"{wanted} holds the unsafe path {path!r}: nothing was fetched.")
    folders = [path.removesuffix(f"/{CONFIG}") for path in paths if path.endswith(f"/{CONFIG}")]
    names = sorted(filter(is_plain_name, folders))
    if not names:
        raise HubError(
            f"{wanted} holds no checkpoint: expected folders with {CONFIG} and {WEIGHTS}. Nothing "
            "else than safetensors and JSON is ever read."
        )
    return names


def fetch_description(wanted: Reference) -> tuple[Settings, dict]:
    """Settings and scores of a checkpoint, without its weights."""
    config = _fetch_file(wanted, CONFIG, wanted.revision)
    with suppress(RemoteEntryNotFoundError):
        _fetch_file(wanted, METRICS, wanted.revision)
    return read_settings(config), read_metrics(config.parent)


def fetch_settings(wanted: Reference) -> Settings:
    """Settings of a checkpoint alone."""
    return read_settings(_fetch_file(wanted, CONFIG, wanted.revision))


def _fetch_with_bases(wanted: Reference, *, whole: bool = False) -> Checkpoint:
    folder = _fetch(wanted, whole=whole)
    checkpoint = read_checkpoint(folder)
    for base in checkpoint.bases:
        try:
            _fetch(Reference(wanted.repo, base.name, _commit_of(folder)), whole=whole)
        except RemoteEntryNotFoundError:
            raise HubError(
                f"{wanted} reads {base.name}, which is not in the repository: whoever made it can "
                "push both again."
            ) from None
        find_base(checkpoint, base)
    return checkpoint


def _fetch(wanted: Reference, *, whole: bool = False) -> Path:
    """The checkpoint's folder in the cache, fetched and compared with its checksums, with its
    origin beside it where the cache can be written to.

    whole: also raise if only its scores or int8 ranges can't be asked for.
    """
    # By the revision as given, so that the cache remembers what it stands for.
    config = _fetch_file(wanted, CONFIG, wanted.revision)
    read_settings(config)  # before gigabytes of weights
    folder = config.parent
    commit = _commit_of(folder)
    has_weights = (folder / WEIGHTS).is_file()
    for file in (WEIGHTS, METRICS, RANGES):
        path = f"{wanted.name}/{file}"
        known = try_to_load_from_cache(wanted.repo, path, revision=commit)
        if file != WEIGHTS and known is _CACHED_NO_EXIST:
            continue
        try:
            _fetch_file(wanted, file, commit)
        except RemoteEntryNotFoundError:
            if file == WEIGHTS:
                raise HubError(
                    f"{wanted} has no {WEIGHTS}: nothing else than safetensors and JSON is ever "
                    "read from a repository."
                ) from None
            with suppress(RemoteEntryNotFoundError):  # the client remembers what is not there
                hf_hub_download(wanted.repo, path, revision=commit)
        except Exception as error:
            # Others put the weights there, and never asked for these.
            if whole or file == WEIGHTS or not has_weights or not does_not_answer(error):
                raise
            log.warning("%s: the Hub does not answer; used without its %s.", wanted, file)
    origin = {
        "repo": wanted.repo,
        "revision": commit,
        "asked": wanted.revision or "main",
        "sha256": {f: sha256(folder / f) for f in FILES if (folder / f).is_file()},
    }
    if read_origin(folder) != origin:
        # A cache that can't be written to still serves.
        with suppress(WriteError):
            write_json(folder / ORIGIN, origin, indent=2)
    return folder


def _commit_of(folder: Path) -> str:
    return folder.parent.name  # the cache has snapshots/<commit>/<name>


def _fetch_file(wanted: Reference, file: str, revision: str | None) -> Path:
    path = f"{wanted.name}/{file}"
    cached = try_to_load_from_cache(wanted.repo, path, revision=revision)
    cached = Path(cached) if isinstance(cached, str) else None
    if cached and revision == _commit_of(cached.parent):
        return _checked(cached, _blob_name(cached))
    try:
        about = get_hf_file_metadata(
            hf_hub_url(wanted.repo, path, revision=revision), timeout=_TIMEOUT
        )
    except Exception as error:
        if cached is None or is_not_found(error):
            raise
        log.warning("%s: the Hub does not answer; using what is in the cache.", wanted)
        return _checked(cached, _blob_name(cached))
    if about.size is None or about.size > _MAX_BYTES[file]:
        raise HubError(
            f"{wanted}: {file} has {about.size} bytes, and at most {_MAX_BYTES[file]} are fetched."
        )
    fetched = Path(hf_hub_download(wanted.repo, path, revision=revision))
    return _checked(fetched, about.etag)


def _blob_name(cached: Path) -> str | None:
    """The client's cache names a file by its checksum, where the system has symbolic links."""
    return Path(os.readlink(cached)).name if cached.is_symlink() else None


def _checked(path: Path, checksum: str | None) -> Path:
    """Raises HubError, and removes the file from the cache, if it has another checksum."""
    if checksum is None:
        return path
    found = checksum_of(path, len(checksum))
    if found != checksum:
        blob = path.parent / os.readlink(path) if path.is_symlink() else path
        for file in (path, blob):
            file.unlink(missing_ok=True)
        raise HubError(
            f"{path.name} of {path.parent.name} arrived damaged (its checksum is {found[:12]}..., "
            f"expected {checksum[:12]}...) and was removed: try again."
        )
    return path


def _cached_paths(wanted: Reference) -> list[str]:
    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return []
    for repo in repos:
        for snapshot in repo.revisions if repo.repo_id == wanted.repo else ():
            if (wanted.revision or "main") in (snapshot.commit_hash, *snapshot.refs):
                root = snapshot.snapshot_path
                return [path.relative_to(root).as_posix() for path in root.glob(f"*/{CONFIG}")]
    return []


def _is_another(checkpoint: Checkpoint, folder: Path) -> bool:
    """Whether the folder holds what is not this checkpoint, nor what a killed pull left of it."""
    there = {file for file in (CONFIG, *FILES, HISTORY) if (folder / file).is_file()}
    needed = {CONFIG, WEIGHTS} if CONFIG in there else {WEIGHTS} if there else set()
    return any(
        file not in there or sha256(folder / file) != sha256(checkpoint.folder / file)
        for file in needed
    )


def _refuse_to_break(out: Path, pulled: Mapping[str, Checkpoint]) -> None:
    """Raise HubError if a stack that stays in a folder reads weights that would be replaced."""
    for stack in find_checkpoints(out)[0] if out.is_dir() else ():
        for base in stack.bases if stack.name not in pulled else ():
            own = out / base.name / WEIGHTS
            new = pulled.get(base.name)
            if new and own.is_file() and sha256(own) == base.sha256 != new.sha256():
                raise HubError(
                    f"{stack.folder} reads {own.parent} as it is, and would not work with that of "
                    "the repository: nothing was replaced. --out puts the new one elsewhere."
                )


def _refresh(checkpoint: Checkpoint, folder: Path, repo: str) -> None:
    """Bring what was told of the same weights up to date: what is missing, and what is still as it
    was pulled. What somebody has changed or added stays."""
    card = None  # as we would have written it of what is there; unknown of damaged scores
    with suppress(CheckpointError):
        card = _card(read_checkpoint(folder), repo)
    pulled = (read_origin(folder) or {}).get("sha256", {})
    for file in (METRICS, RANGES, ORIGIN):
        there, here = checkpoint.folder / file, folder / file
        is_changed = file != ORIGIN and _can_be_used(here) and sha256(here) != pulled.get(file)
        if there.is_file() and not is_changed:
            with replacing(here) as aside:
                shutil.copyfile(there, aside)
    if card is None or not (folder / CARD).is_file() or (folder / CARD).read_text("utf-8") == card:
        write_text(folder / CARD, _card(read_checkpoint(folder), repo))


def _can_be_used(path: Path) -> bool:
    """A JSON file that is there and whole."""
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except (OSError, ValueError, RecursionError):
        return False


def _card(checkpoint: Checkpoint, repo: str) -> str:
    from brainseg.checkpoints.card import model_card

    return model_card(checkpoint.settings, checkpoint.metrics, repo)
