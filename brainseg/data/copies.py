"""What lies in a data set twice, as archives leave it that were unpacked in two places."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

from brainseg.data.case import CaseRef
from brainseg.files import sha256
from brainseg.scans.listing import entries, file_of, inmost
from brainseg.scans.notes import listed, note


def without_copies(found: Iterable[tuple[Hashable, Path]]) -> list[Path]:
    """The files, or folders, of these (name, path) before which none of the same name and content
    came. The others are noted."""
    kept: dict[Hashable, list[Path]] = defaultdict(list)
    copies = []
    for name, path in found:
        if same := next((other for other in kept[name] if _is_copy(path, other)), None):
            copies.append((path, same))
        else:
            kept[name].append(path)
    if copies:
        copy, same = copies[0]
        more = f" ({len(copies) - 1} more such copies)" if len(copies) > 1 else ""
        note(f"{copy} is a copy of {same}{more}: it is used once.")
    return [path for own in kept.values() for path in own]


def tell_same_files(refs: Sequence[CaseRef]) -> None:
    """Note patients whose files are those of others: a copy under another name."""
    by_size = defaultdict(list)
    for ref in refs:
        if ref.files:
            by_size[tuple(file.stat().st_size for file in ref.files)].append(ref)
    owners: dict[tuple[str, ...], str] = {}
    alike = []
    for own in by_size.values():
        if len({ref.patient_id for ref in own}) < 2:
            continue
        for ref in own:
            other = owners.setdefault(tuple(map(sha256, ref.files)), ref.patient_id)
            if other != ref.patient_id:
                alike.append(f"{ref.patient_id} as {other}")
    if alike:
        note(
            f"Some patients have the same files as others: {listed(alike, 3)}. They may lie in two "
            "folds, so that scores come out too high: remove one of each."
        )


def _is_copy(path: Path, other: Path) -> bool:
    """Whether two files, or all that may be scans in two folders, are the same byte for byte."""
    if path.is_file():
        return filecmp.cmp(path, other, shallow=False)
    own, others = entries(inmost(path)), entries(inmost(other))
    if [entry.name for entry in own] != [entry.name for entry in others]:
        return False
    pairs = [(file_of(a), file_of(b)) for a, b in zip(own, others, strict=True)]
    return all(a.is_file() and b.is_file() and filecmp.cmp(a, b, shallow=False) for a, b in pairs)
