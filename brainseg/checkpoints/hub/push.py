"""Checkpoints to the Hub: one repository, one folder per checkpoint, one commit per push."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from brainseg.checkpoints.card import model_card, repository_card
from brainseg.checkpoints.folder import (
    CARD,
    CONFIG,
    HISTORY,
    METRICS,
    RANGES,
    WEIGHTS,
    Checkpoint,
    find_base,
)
from brainseg.checkpoints.hub.client import HubError, Reference, parse_repo, talking_about
from brainseg.checkpoints.hub.commit import Remote, commit_files, open_repo
from brainseg.checkpoints.hub.pull import fetch_description, fetch_settings
from brainseg.checkpoints.settings import CheckpointError, Settings, is_plain_name

_WORDS = {
    WEIGHTS: "weights",
    CONFIG: "configuration",
    METRICS: "scores",
    HISTORY: "history",
    CARD: "card",
    RANGES: "int8 ranges",
}


def push(checkpoints: Sequence[Checkpoint], repo: str, *, private: bool = False) -> str | None:
    """Put checkpoints, with the bases of stacks, into ``user/repo``, made if it isn't there.

    Returns the address of the new commit, or None if everything was there already. Other folders
    of the repository stay as they are. Raises HubError, and then the repository is as it was; also
    if ``private`` is asked for and the repository is public, or if a stack that stays there reads
    what would be replaced.
    """
    repo = parse_repo(repo)
    chosen = {c.name: c for c in _with_bases(checkpoints)}
    files: dict[str, Path | bytes] = {}
    for name, checkpoint in chosen.items():
        card = model_card(checkpoint.settings, checkpoint.metrics, repo)
        files[f"{name}/{CARD}"] = card.encode()
        for file in (WEIGHTS, CONFIG, METRICS, HISTORY, RANGES):
            if (checkpoint.folder / file).is_file():
                files[f"{name}/{file}"] = checkpoint.folder / file
    with talking_about(repo):
        remote = open_repo(repo, private=private)
        others = _settings_there(remote, chosen)
        _refuse_to_break(others, remote, chosen)
        described = _described_there(remote, others)
        described |= {n: (c.settings, c.metrics) for n, c in chosen.items()}
        files[CARD] = repository_card(repo, [described[n] for n in sorted(described)]).encode()
        stale = [f"{name}/{file}" for name, own in chosen.items() for file in _WORDS
                 if not (file == HISTORY and own.origin)]  # which pulling leaves there  # fmt: skip
        return commit_files(remote, files, stale, lambda changed: _message(changed, remote))


def _with_bases(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    found: dict[str, Checkpoint] = {}
    bases = [find_base(c, base) for c in checkpoints for base in c.bases]
    for checkpoint in [*bases, *checkpoints]:
        other = found.setdefault(checkpoint.name, checkpoint)
        if other.folder != checkpoint.folder and other.sha256() != checkpoint.sha256():
            raise CheckpointError(
                f"{other.folder} and {checkpoint.folder} are both called {checkpoint.name}: a "
                "repository holds one of them. Push one, or the others to another repository."
            )
    return list(found.values())


def _described_there(remote: Remote, names: Iterable[str]) -> dict[str, tuple[Settings, dict]]:
    """Settings and metrics of those checkpoints in the repository that can be described, for its
    card."""
    found = {}
    for name in names:
        try:
            found[name] = fetch_description(Reference(remote.repo, name, remote.head))
            model_card(*found[name])
        except CheckpointError:  # not ours to describe
            found.pop(name, None)
    return found


def _settings_there(remote: Remote, pushed: Container[str]) -> dict[str, Settings]:
    """Settings of the other checkpoints in the repository."""
    found = {}
    for path in remote.files:
        name, _, file = path.partition("/")
        if file == CONFIG and name not in pushed and is_plain_name(name):
            with suppress(CheckpointError):  # a stranger's
                found[name] = fetch_settings(Reference(remote.repo, name, remote.head))
    return found


def _refuse_to_break(
    others: Mapping[str, Settings], remote: Remote, chosen: Mapping[str, Checkpoint]
) -> None:
    """Raise HubError if a stack that stays there reads weights that would be replaced."""
    for name, settings in others.items():
        for base in settings.bases:
            there = remote.files.get(f"{base.name}/{WEIGHTS}")
            own = chosen.get(base.name)
            if own and there == base.sha256 != own.sha256():
                raise HubError(
                    f"{name} in {remote.repo} reads {base.name} as it is there, and would not work "
                    f"with that of {own.folder}: nothing was pushed. Train {name} on it and push "
                    "both, or push to another repository."
                )


def _message(changed: Sequence[str], remote: Remote) -> str:
    """``Add unet-bce; update unetpp-bce (weights, scores)``."""
    there = {path.partition("/")[0] for path in remote.files if "/" in path}
    parts: dict[str, list[str]] = {}
    for path in changed:
        name, _, file = path.partition("/")
        if file:
            parts.setdefault(name, []).append(_WORDS[file])
    added = [name for name in parts if name not in there]
    updated = [f"{name} ({', '.join(w)})" for name, w in parts.items() if name in there]
    said = [f"add {', '.join(added)}"] if added else []
    said += [f"update {', '.join(updated)}"] if updated else []
    message = "; ".join(said) or "update the card"
    return message[0].upper() + message[1:]
