"""Commands that talk to the Hugging Face Hub: ``push``, ``pull`` and ``space``."""

from __future__ import annotations

import argparse
from pathlib import Path

from brainseg.commands.checkpoints_flag import add_checkpoints


def push_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="checkpoints, or their folders")
    add("repo", metavar="REPO", help="user/repo; made if it isn't there")
    add("--all", action="store_true", help="every checkpoint of the folder")
    add("--private", action="store_true", help="make the repository private")
    add_checkpoints(parser, "folder of checkpoints")


def push(args: argparse.Namespace) -> int:
    """Push the checkpoints named, and print the commit's address."""
    from brainseg.checkpoints.folder import find_named
    from brainseg.checkpoints.hub.push import push as push_checkpoints

    if bool(args.names) == args.all:
        raise ValueError("Give either NAMEs or --all: python -m brainseg push NAME|--all REPO")
    checkpoints = find_named(args.names, args.checkpoints)
    address = push_checkpoints(checkpoints, args.repo, private=args.private)
    print(address or f"{args.repo} has all of it already: nothing was pushed.")
    return 0


def pull_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("reference", metavar="REPO[@REVISION]",
        help="user/repo, or user/repo/name for one checkpoint")  # fmt: skip
    add("--out", type=Path, default=Path("checkpoints"),
        help="folder to put them into (default: %(default)s)")  # fmt: skip
    add("--overwrite", action="store_true", help="replace others of their names")


def pull(args: argparse.Namespace) -> int:
    """Get the checkpoints, and say where they lie and of which revision they are."""
    from brainseg.checkpoints.hub.pull import pull as pull_checkpoints

    for checkpoint in pull_checkpoints(args.reference, args.out, overwrite=args.overwrite):
        source = f"{args.reference}; its commit is not noted, since the cache can't be written to"
        if origin := checkpoint.origin:
            source = f"{origin['repo']} at {origin['revision']}"
        print(f"{checkpoint.folder}: {source}")
    return 0


def space_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("repo", metavar="USER/NAME", help="the Space; made if it isn't there")
    add("--checkpoints", default="checkpoints", metavar="PATH|REPO[@REVISION]",
        help="a folder to take along, or a repository to name (default: %(default)s)")  # fmt: skip
    add("--gpu", action="store_true", help="for ZeroGPU instead of a CPU")
    add("--private", action="store_true", help="make the Space private")
    add("--dry-run", type=Path, metavar="DIR", help="only write the Space's folder to DIR")


def space(args: argparse.Namespace) -> int:
    """Push the Space, and print the commit's address; or only write its folder."""
    from brainseg.checkpoints.hub.space import push_space, write_space

    if args.dry_run:
        write_space(args.dry_run, args.repo, args.checkpoints, gpu=args.gpu)
        print(f"written to {args.dry_run}; nothing was pushed.")
        return 0
    address = push_space(args.repo, args.checkpoints, gpu=args.gpu, private=args.private)
    print(address or f"{args.repo} is up to date: nothing was pushed.")
    return 0
