"""Talking to the Hub: what a repository is called, and the client's errors as one sentence each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import logging as client_logging

from brainseg.checkpoints.settings import CheckpointError, is_plain_name
from brainseg.files import sha256


class HubError(CheckpointError):
    """The Hub can't be reached, refuses, or has something else than expected."""


@dataclass(frozen=True)
class Reference:
    """``user/repo[/name][@revision]``. revision: a branch, a tag or 40 hex digits of a commit."""

    repo: str
    name: str | None
    revision: str | None

    def __str__(self) -> str:
        return "/".join(filter(None, (self.repo, self.name))) + (
            f"@{self.revision}" if self.revision else ""
        )


def parse_reference(text: str) -> Reference:
    """Raises HubError for anything but ``user/repo[/name][@revision]``."""
    path, at, revision = text.partition("@")
    parts = path.split("/")
    good = len(parts) in (2, 3) and all(map(is_plain_name, parts))
    if not good or (at and not re.fullmatch(r"[\w./-]+", revision)) or ".." in revision:
        raise HubError(
            f"{text!r} names nothing on the Hub: expected user/repo or user/repo/name, and "
            "@revision behind it for a branch, a tag or a commit."
        )
    return Reference("/".join(parts[:2]), parts[2] if len(parts) == 3 else None, revision or None)


def parse_repo(text: str) -> str:
    """``user/repo``. Raises HubError for anything else."""
    if str(reference := parse_reference(text)) != reference.repo:
        raise HubError(f"{text!r} is no repository: expected user/repo.")
    return reference.repo


def checksum_of(content: Path | bytes, digits: int) -> str:
    """As the Hub tells it, by its number of hexadecimal digits: 64 are the sha256 of large files,
    40 git's sha1 of small ones."""
    if digits == 64:
        return sha256(content) if isinstance(content, Path) else hashlib.sha256(content).hexdigest()
    content = content.read_bytes() if isinstance(content, Path) else content
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def require_token() -> None:
    """Raise HubError if nobody is logged in. The token itself stays with the client."""
    if not get_token():
        raise HubError(
            "There is no token for the Hugging Face Hub: log in by `hf auth login`, or put a token "
            "with write access into HF_TOKEN."
        )


@contextmanager
def talking_about(what: object) -> Iterator[None]:
    """Turn whatever the client raises into a HubError of one sentence about ``what``.

    The cause is not chained: its text may hold request headers, and those the token.
    """
    level = client_logging.get_verbosity()
    client_logging.set_verbosity(client_logging.CRITICAL)  # or else each retry is logged
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        if not _is_the_clients(error):  # a fault of ours, to be seen in full
            raise
        raise HubError(f"{what}: {_reason(error)}") from None
    finally:
        client_logging.set_verbosity(level)


def _is_the_clients(error: Exception) -> bool:
    """The client raises errors of its own, of its transport, of the system, and plain ones."""
    return _is_of_its_packages(error) or isinstance(error, OSError | ValueError | RuntimeError)


def _is_of_its_packages(error: Exception) -> bool:
    package = type(error).__module__.partition(".")[0]
    return package in (
        "huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "requests",
    )  # fmt: skip


def does_not_answer(error: Exception) -> bool:
    """Whether the Hub can't be reached, or is out of order, rather than refuses."""
    if (response := getattr(error, "response", None)) is not None:
        return response.status_code >= 500
    known = isinstance(error, ConnectionError | TimeoutError) or _is_of_its_packages(error)
    return known and not isinstance(error, CheckpointError) and not is_not_found(error)


def is_not_found(error: Exception) -> bool:
    """Whether the Hub answered that there is no such thing, rather than not at all."""
    kinds = (RepositoryNotFoundError, RevisionNotFoundError, RemoteEntryNotFoundError)
    return isinstance(error, kinds)


_SENTENCES = {  # the first that fits
    GatedRepoError: "the repository is gated: ask for access on its page, then `hf auth login`.",
    RepositoryNotFoundError: "there is no such repository on the Hugging Face Hub, or it is "
    "private and your token, if any, does not open it: check the name, or `hf auth login`.",
    RevisionNotFoundError: "there is no such revision: expected a branch, a tag or a full commit "
    "id.",
    RemoteEntryNotFoundError: "the repository has no such checkpoint or file.",
    OfflineModeIsEnabled: "it is not in the cache, and HF_HUB_OFFLINE keeps the client from "
    "asking.",
    HFValidationError: "that is no name the Hub takes: expected user/repo.",
}
_STATUS = {
    401: "the Hugging Face Hub does not accept your token (401): `hf auth login` anew, or mend "
    "HF_TOKEN.",
    403: "your token is not allowed to do that (403): it needs write access to that account.",
    404: "the Hugging Face Hub has no such thing (404): check the name.",
    409: "somebody else changed it in the meantime (409), and nothing of yours was: try again.",
    412: "somebody else changed it in the meantime (412), and nothing of yours was: try again.",
    429: "the Hugging Face Hub asks for fewer requests (429): wait some minutes, then try again.",
}


def _reason(error: Exception) -> str:
    causes = [error]
    while (cause := causes[-1].__cause__) and cause not in causes:
        causes.append(cause)
    for cause in causes:
        for kind, sentence in _SENTENCES.items():
            if isinstance(cause, kind):
                return sentence
        if (response := getattr(cause, "response", None)) is not None:
            return _status_reason(response.status_code, getattr(cause, "server_message", None))
    cause = causes[-1]
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ConnectionError):
        return f"a file could not be read or written here ({cause.strerror})."
    return (
        "the Hugging Face Hub could not be reached, or the connection broke "
        f"({type(cause).__name__}): check the network, then try again."
    )


def _status_reason(status: int, said: str | None) -> str:
    if status in _STATUS:
        return _STATUS[status]
    if status >= 500:
        return f"the Hugging Face Hub is out of order ({status}): try again later."
    said = (said or "").splitlines()[0][:200] if said else "no reason given"
    token = get_token()
    said = said.replace(token, "***") if token else said
    return f"the Hugging Face Hub refused ({status}): {said}"
