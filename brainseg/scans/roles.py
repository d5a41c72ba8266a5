"""Which sequence or mask a file is, by the words of its name.

A role is "flair", "t1", "t1c" (after contrast), "t2", "label" (the tumour), "mask" (of the brain or
the like) or "other" (maps, diffusion, perfusion). Names are those of BraTS, BIDS, scanners and
hospitals: ``t2f``, ``T1_CE``, ``ce-gadolinium_T1w``, ``T2-weighted FLAIR``, ``BrainMask``.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from brainseg.scans.notes import note
from brainseg.scans.scan import ScanError

TITLES = {
    "flair": "FLAIR",
    "t1": "T1",
    "t1c": "T1 after contrast",
    "t2": "T2",
    "label": "tumour mask",
    "mask": "mask of something else than the tumour",
    "other": "neither FLAIR nor T1",
}
USED = ("flair", "t1", "t1c")
"""The sequences that models read; the first there is stands for those that are missing."""
SEQUENCES = (*USED, "t2")
SERIES = re.compile(r"(?:s|se|ser|series)?\d{1,5}", re.IGNORECASE)
"""A word that may be a series' number: 5_AX_FLAIR, s005_FLAIR; longer ones are dates."""

_FLAIR = {"flair", "flr", "darkfluid"}
_T1 = {"t1", "mprage", "mp2rage", "spgr", "fspgr", "bravo"}
_T2 = {"t2"}
_AGENT = {"contrast", "contraste", "contrasto", "kontrast", "gadol", "gd", "gad", "gado",
          "gadolinium", "gadovist", "dotarem", "km", "mdc"}  # fmt: skip
_CONTRAST = {*_AGENT, "ce", "enhanced"}
_NOT = {"pre", "non", "no", "without", "wo", "before", "minus", "ohne", "vor", "sans", "avant",
        "sin", "antes", "sem", "senza", "zonder", "uten", "utan", "uden"}  # fmt: skip
_NATIVE = {"native", "nativ", "unenhanced"}
_TREATMENT = {"op", "operative", "operation", "surgery", "surgical", "rt", "radiation",
              "radiotherapy", "therapy", "treatment", "chemo"}  # fmt: skip
_MARK = {"mask", "masks", "seg", "segs", "segm", "segmentation", "segmentations", "dseg", "label",
         "labels", "labelmap", "gt", "truth", "roi", "annotation", "annotations", "contour",
         "delineation", "consensus", "ot", "gtv", "glistr"}  # fmt: skip
_TUMOUR = {"tumor", "tumors", "tumour", "tumours", "lesion", "lesions", "glioma", "gtv", "ot",
           "multiclass", "necrosis", "edema", "oedema", "metastasis", "mets"}  # fmt: skip
_BRAIN = {"brain", "bet", "skull", "head", "scalp", "tissue", "parenchyma", "csf", "gm", "wm",
          "ventricle", "ventricles", "hippocampus", "cortex", "fov", "background"}  # fmt: skip
_OTHER = {"adc", "dwi", "dti", "fa", "md", "swi", "pd", "pdw", "pwi", "asl", "cbv", "rcbv", "cbf",
          "mtt", "ttp", "ktrans", "perfusion", "dsc", "dce", "map", "ratio", "difference",
          "subtraction", "ct", "pet", "mra", "tof", "bold", "fmri", "mtr", "mt", "qsm"}  # fmt: skip
# What may be written in one word with the above, "axT1w" or "t1weighted", and says nothing itself.
_PLAIN = {"w", "wt", "weighted", "wi", "ax", "axial", "sag", "sagittal", "cor", "coronal", "tra",
          "3d", "2d", "se", "tse", "fse", "gre", "tfe", "reg", "registered", "bias", "n4", "masked",
          "strip", "stripped", "deface", "defaced", "post", "image", "img", "mri", "preprocessed",
          "multi", "class", "boost", "whole", "core", "plus"}  # fmt: skip
_STEPS = {"r2s", "bet", "reg", "registered", "coreg", "coregistered", "bias", "n4", "unbiased",
          "corrected", "corr", "resampled", "normalized", "normalised", "norm", "deface",
          "defaced"}  # fmt: skip
"""Of processing: with them, an image of a patient is the same one a step later."""
_TO = {"to", "in", "onto", "on"}
_KNOWN = {
    *_FLAIR, *_T1, *_T2, *_CONTRAST, *_NOT, *_NATIVE, *_TREATMENT, *_MARK, *_TUMOUR, *_BRAIN,
    *_OTHER, *_PLAIN, *_TO, "2t1", "2t2", "2flair", "c", "n", "f",
}  # fmt: skip
# Two letters that are a word by themselves only: PDGM is no proton density of grey matter.
_ALONE = {word for word in _OTHER | _BRAIN if len(word) == 2}
_ROLE_WORDS = _FLAIR | _T1 | _T2 | _CONTRAST | _MARK | _OTHER | _NOT | _NATIVE | _TUMOUR | {"post"}
# BIDS: values of these say who and where, or name another file's space.
_ENTITY = re.compile(
    r"(?:^|(?<=_))(sub|ses|space|from|to|run|dir|rec|echo|res|den|hemi|task)-([^\W_]+)", re.I
)
_PICTURED_MASK = re.compile(r"_mask|(?<![a-z])(masks?|seg|segmentation|labels?|gt|truth)(?![a-z])")
# "W WO CONTRAST" names a study with both, and not which of them a file is.
_BOTH = re.compile(
    r"(?<![a-z])(?:w/?[-_ &]*(?:and[-_ ]*)?w[-_ /]?o|w[-_ /]?o[-_ &]*(?:and[-_ ]*)?w/?)"
    r"(?:[-_ ]*(?:contrast|gd|gad))?(?![a-z])",
    re.IGNORECASE,
)
_WITHOUT = re.compile(r"(?<![a-z])w(?:/|[-_ ])?o(?=[-_. ]|gd|gad|contrast|$)", re.IGNORECASE)
_MINUS = re.compile(r"(?<=[-_. ])(?:c|ce|gd|gad|gado|km)-(?=[_. ]|$)", re.IGNORECASE)  # T1 C-
_SUBTRACTED = re.compile(r"(t1.*[-_. ])sub(?![a-z\d]|[-_. ]\d)", re.IGNORECASE)  # no subject
_DARK_FLUID = re.compile(r"dark-fluid|(?<![a-z])da-fl(?![a-z])")  # as Siemens calls FLAIR
_PLUS = re.compile(r"(?<![^\W_])\+c(?![a-z])", re.IGNORECASE)  # +C_AX_T1
_DIGIT = re.compile(r"\d")
_MEASURE = re.compile(r"\d+(mm|px|t|d)")
_SUFFIX = re.compile(r"\.(nii|nii\.gz|mha|mhd|nrrd|npy|dcm|tiff?|png|jpe?g)$", re.IGNORECASE)


def role_of(name: str, folder: str = "") -> str:
    """The role of a file by its name; "" where none or several fit.

    folder: the name of the folder it lies in. If the file's name begins with it, that is the
        patient, and the rest says what the file is.
    """
    fitting = _fitting(_words(name), _words(folder))
    return next(iter(fitting)) if len(fitting) == 1 else ""


def names_a_mask(stem: str) -> bool:
    """Whether the name of a picture says that it is a mask: `*_mask*`, or a word such as `seg`.

    Fewer words do than in ``role_of``: a slice may be called `tumor_3` or `roi_3` itself.
    """
    return bool(_PICTURED_MASK.search(stem.lower()))


def roles_in(files: Sequence[Path]) -> dict[Path, str]:
    """The role of each file of one folder; the words with which all names begin are the patient's
    or the study's."""
    words = {file: _words(file.name) for file in files}
    patient = _patient(words)[0]
    fitting = {file: _fitting(found, patient) for file, found in words.items()}
    return {file: next(iter(found)) if len(found) == 1 else "" for file, found in fitting.items()}


def by_role(files: Sequence[Path]) -> dict[str, Path]:
    """One patient's files by role, those among "flair", "t1", "t1c", "t2" and "label" that there
    are.

    Words that the names share at their beginning are the patient's. Of one sequence in several
    steps of processing (T1_r2s, T1_r2s_bet) the last is taken, which is noted. Raises ScanError
    when two other files fit one of these roles, or a file fits several, and names them.
    """
    found, earlier = _sorted_out(files)
    if earlier:
        later = ", ".join(file.name for role, file in found.items() if role in earlier)
        left = ", ".join(file.name for own in earlier.values() for file in own)
        note(
            f"{files[0].parent}: sequences lie there in several steps of processing by their "
            f"names: the last were taken, {later}, and not {left}. If that is wrong, take "
            "the former out of the folder."
        )
    return found


def _sorted_out(files: Sequence[Path]) -> tuple[dict[str, Path], dict[str, list[Path]]]:
    """One patient's files by role, and those of earlier steps of processing."""
    words = {file: _words(file.name) for file in files}
    problem = None
    for patient in _patient(words):
        fitting = {file: _fitting(found, patient) for file, found in words.items()}
        earlier = _earlier_steps(words, fitting)
        left = {file for own in earlier.values() for file in own}
        try:
            return _assign({f: own for f, own in fitting.items() if f not in left}), earlier
        except ScanError as error:
            problem = problem or error
    raise problem


def _earlier_steps(words: dict[Path, list[str]], fitting: dict[Path, set[str]]):
    """By sequence, the files of whose names one adds steps of processing to all others."""
    earlier: dict[str, list[Path]] = {}
    for role in USED:
        own = [file for file, roles in fitting.items() if roles == {role}]
        last = max(own, key=lambda file: len(set(words[file])), default=None)
        rest = [file for file in own if file != last]
        added = [set(words[last]) - set(words[file]) for file in rest]
        is_whole = all(set(words[file]) < set(words[last]) for file in rest)
        if rest and is_whole and all(steps <= _STEPS for steps in added):
            earlier[role] = rest
    return earlier


def patients(files: Sequence[Path]) -> list[list[Path]]:
    """The files of one folder by patient, in order: what stands before the word of the sequence
    is the same in all of a patient's names, or the number of a series in each (5_AX_FLAIR, 3_T1).

    A file without such a word belongs to the patient of several sequences with whose name its own
    begins, or to nobody else's.
    """
    if not files:
        return []
    words, roles = {file: _words(file.name) for file in files}, roles_in(files)
    skip = len(_identity(_shared(list(words.values()))))
    groups, unknown = defaultdict(list), []
    for file, found in words.items():
        words[file] = found[skip:]
        if any(word in _ROLE_WORDS for word in words[file]):
            groups[_beside_role(words[file], before=True)].append(file)
        else:
            unknown.append(file)
    if () in groups:
        try:
            _sorted_out(groups[()])
        except ScanError:  # T1_P1, T1_P2, FLAIR_P1
            for file in groups.pop(()):
                groups[_beside_role(words[file], before=False)].append(file)
    if not skip and _are_series(groups, roles):
        groups = {(): [file for own in groups.values() for file in own]}
    several = [
        key for key, own in groups.items() if len({roles[file] for file in own} & {*SEQUENCES}) > 1
    ]
    for file in unknown:
        own = [word for word in words[file] if word not in _KNOWN]
        keys = [key for key in several if tuple(own[: len(key)]) == key]
        groups[max(keys, key=len) if keys else (file,)].append(file)
    order = {file: number for number, file in enumerate(files)}
    return sorted(
        (sorted(members, key=order.get) for members in groups.values()),
        key=lambda members: order[members[0]],
    )


def _are_series(groups: dict[tuple[str, ...], list[Path]], roles: dict[Path, str]) -> bool:
    """Whether numbers alone tell these groups apart, and they complete each other: one sequence
    behind each at most, and of those that models read several, none twice."""
    if not all(len(key) == 1 and SERIES.fullmatch(key[0]) for key in groups):
        return False
    behind = [[role for file in own if (role := roles[file]) in SEQUENCES]
              for own in groups.values()]  # fmt: skip
    used = [role for own in behind for role in own if role in USED]
    return all(len(own) < 2 for own in behind) and len({*used}) == len(used) > 1


def name_others(one: str, other: str) -> bool:
    """Whether the names of two files speak of two patients or visits: each has a word or number of
    its own, that is neither a sequence's nor a mask's, where the other has another."""
    words = [_words(name) for name in (one, other)]
    mine, theirs = ({w for w in found if _tells_who(w)} for found in words)
    only_mine, only_theirs = mine - theirs, theirs - mine
    if not only_mine or not only_theirs:
        return False
    both_numbered = all(any(map(_DIGIT.search, only)) for only in (only_mine, only_theirs))
    both_roles = all(any(word in _ROLE_WORDS for word in found) for found in words)
    return both_numbered or both_roles or bool(mine & theirs)


def _tells_who(word: str) -> bool:
    if "-" in word:
        return word.startswith(("sub-", "ses-"))
    return word not in _KNOWN and not _MEASURE.fullmatch(word)


def _patient(words: dict[Path, list[str]]) -> list[list[str]]:
    """Words at the beginning of a folder's file names that may be the patient's, the likeliest
    first."""
    if not words:
        return [[]]
    shared = _shared(list(words.values()))
    folder = _words(next(iter(words)).parent.name)
    return [*([folder] if shared[: len(folder)] == folder else []), _identity(shared), shared]


def _assign(fitting: dict[Path, set[str]]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file, roles in fitting.items():
        if len(roles) > 1:
            either = " and ".join(TITLES[role] for role in sorted(roles))
            raise ScanError(
                f"{file.name} in {file.parent.name} could by its name be {either}. "
                "Rename it so that it says one of them, or take it out."
            )
        for role in roles & {*SEQUENCES, "label"}:
            if role not in found:
                found[role] = file
            elif role != "t2":  # not used
                raise ScanError(
                    f"{found[role].name} and {file.name} in {file.parent.name} are both "
                    f"{TITLES[role]} by their names. Leave one of them there."
                )
    return found


def _words(name: str) -> list[str]:
    """Lower-case words of a name, in order; what is written in one is taken apart where every part
    is known ("T1wCE", "tumorMask"), and is else one word."""
    name = _BOTH.sub(" ", _SUFFIX.sub("", name))
    name = _SUBTRACTED.sub(r"\1subtraction", _MINUS.sub("native ", _WITHOUT.sub("without ", name)))
    words: list[str] = []
    place = 0
    for entity in _ENTITY.finditer(name):
        words += _split(name[place : entity.start()], words)
        words.append(entity[0].lower())
        place = entity.end()
    return words + _split(name[place:], words)


def _split(text: str, before: list[str]) -> list[str]:
    words: list[str] = []
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)  # tumorMask
    text = re.sub(r"(?<=t1)(w?)\+(?!\s*c)", r"\1 contrast ", text, flags=re.IGNORECASE)  # T1+
    text = _DARK_FLUID.sub("darkfluid", _PLUS.sub(" contrast ", text).lower())
    for run in re.findall(r"[^\W_]+", text):
        atoms = list(_atoms(run) or (run,))
        said = [word for word in (*before, *words) if word not in _PLAIN]
        # One letter says something beside T1 or T2 only: CT1, T1C, T1+C, t1n, t2f.
        for number, atom in enumerate(atoms):
            of_t1 = bool(said) and said[-1] in _T1
            if atom == "c" and (of_t1 or atoms[number + 1 : number + 2] == ["t1"]):
                atoms[number] = "ce"
            elif atom == "n" and of_t1:
                atoms[number] = "native"
            elif atom == "f" and number and atoms[number - 1] == "t2":
                atoms[number] = "flair"
            said += [atom] if atom not in _PLAIN else []
        words += [run] if set(atoms) <= set("cnf") else atoms
    return words


@functools.lru_cache(maxsize=4096)
def _atoms(run: str) -> tuple[str, ...] | None:
    """The known words that make up a run of letters, the longest first; None if it holds more."""
    if not run:
        return ()
    if run in _ALONE:
        return (run,)
    for length in range(min(len(run), 16), 0, -1):
        is_word = run[:length] in _KNOWN - _ALONE
        if is_word and (rest := _atoms(run[length:])) is not None:
            return (run[:length], *rest)
    return None


def _fitting(words: list[str], patient: list[str]) -> set[str]:
    """The roles that fit a file's words without the patient's, or with them if none does."""
    rest = words[len(patient) :] if words[: len(patient)] == patient else words
    return _roles(rest) or _roles(words)


def _roles(words: list[str]) -> set[str]:
    words = _without_reference(words)
    there = set(words)
    if there & _MARK:
        about_brain = there & _BRAIN and not there & _TUMOUR
        return {"mask" if about_brain else "label"}
    is_contrast, is_native = _contrast(words)
    found = set()
    if there & _FLAIR:
        found.add("flair")  # also a T2 FLAIR
    elif there & _T2:
        found.add("t2")
    if there & _T1 or (not found and there & _AGENT):
        found |= {"t1", "t1c"} if is_contrast and is_native else {"t1c" if is_contrast else "t1"}
    others = there & _OTHER
    if others and (not found or any(len(word) > 2 for word in others)):
        return {"other"}
    # The tumour alone names a mask, tumour.nii; with other words a study, glioma_01.nii.
    return found or ({"label"} if there & _TUMOUR and there <= _KNOWN else set())


def _contrast(words: list[str]) -> tuple[bool, bool]:
    """Whether words speak of an image with contrast agent, and of one without."""
    given = native = False
    before = after = False
    for number, word in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else ""
        if word in _CONTRAST:
            negated = number and words[number - 1] in _NOT
            given, native = given or not negated, native or bool(negated)
        native |= word in _NATIVE
        if following not in _TREATMENT:  # "post op" is no word on contrast
            before |= word == "pre" and following not in _CONTRAST
            after |= word == "post" and following not in _CONTRAST
    return (given, native) if given or native else (after, before)


def _without_reference(words: list[str]) -> list[str]:
    """Without the image on whose grid a file lies: FLAIR_to_T1, flair2t1."""
    kept: list[str] = []
    for word in words:
        if kept and kept[-1] in _TO and word in _FLAIR | _T1 | _T2:
            kept.pop()
        elif word not in ("2t1", "2t2", "2flair"):
            kept.append(word)
    return kept


def _shared(names: list[list[str]]) -> list[str]:
    """Words with which all names begin, if each goes on after them."""
    shared = []
    for column in zip(*names, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return shared[: min(len(shared), min(map(len, names)) - 1)]


def _identity(shared: list[str]) -> list[str]:
    """Of the words that names share, those up to the last one that is not known here."""
    last = [number for number, word in enumerate(shared) if word not in _KNOWN]
    return shared[: last[-1] + 1] if last else []


def _beside_role(words: list[str], before: bool) -> tuple[str, ...]:
    """What a name says before its first word of a sequence or mask, or after it, but for words
    like "brain"."""
    first = next(number for number, word in enumerate(words) if word in _ROLE_WORDS)
    return tuple(
        word
        for word in (words[:first] if before else words[first:])
        if word not in _KNOWN and ("-" not in word or word.startswith(("sub-", "ses-")))
    )
