"""One commit that makes files of a repository what they should be, or none if they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.utils import RepositoryNotFoundError

from brainseg.checkpoints.hub.client import HubError, checksum_of, require_token


@dataclass(frozen=True)
class Remote:
    """A repository as it is: its newest commit, and the checksum of each file by path (sha256 of
    large files, git's sha1 of small ones)."""

    repo: str
    kind: str
    head: str
    files: Mapping[str, str]


def open_repo(repo: str, *, kind: str = "model", private: bool = False) -> Remote:
    """Look at ``user/repo``, or make it. Raises HubError if nobody is logged in, or if ``private``
    is asked for and it is public."""
    require_token()
    api = HfApi()
    try:
        info = api.repo_info(repo, repo_type=kind)
    except RepositoryNotFoundError:
        sdk = "gradio" if kind == "space" else None
        api.create_repo(repo, repo_type=kind, private=private or None, space_sdk=sdk, exist_ok=True)
        info = api.repo_info(repo, repo_type=kind)
    if private and not info.private:
        raise HubError(
            f"{repo} is public, and --private was asked for: nothing was pushed. Make it private "
            "on its settings page, push to another name, or leave --private out."
        )
    tree = api.list_repo_tree(repo, repo_type=kind, revision=info.sha, recursive=True)
    files = {
        entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id
        for entry in tree
        if hasattr(entry, "blob_id")  # folders have none
    }
    return Remote(repo, kind, info.sha, files)


def commit_files(
    remote: Remote,
    files: Mapping[str, Path | bytes],
    stale: Iterable[str],
    message: Callable[[list[str]], str],
) -> str | None:
    """Add or replace ``files`` by path, and delete those of ``stale`` that are there and not among
    them. Returns the commit's address, or None if nothing had to change.

    The commit is refused by the Hub if another one came in between. message: from changed paths.
    """
    changed = [path for path, content in files.items() if not _is_there(remote, path, content)]
    removed = [path for path in stale if path in remote.files and path not in files]
    if not changed and not removed:
        return None
    operations = [CommitOperationAdd(path, files[path]) for path in changed]
    operations += [CommitOperationDelete(path, is_folder=False) for path in removed]
    info = HfApi().create_commit(
        remote.repo,
        operations,
        commit_message=message([*changed, *removed]),
        commit_description="\n".join([*changed, *(f"{path} (removed)" for path in removed)]),
        repo_type=remote.kind,
        parent_commit=remote.head,
    )
    return info.commit_url


def _is_there(remote: Remote, path: str, content: Path | bytes) -> bool:
    if (checksum := remote.files.get(path)) is None:
        return False
    return checksum_of(content, len(checksum)) == checksum
