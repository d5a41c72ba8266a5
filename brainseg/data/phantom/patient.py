"""Everything that tells one phantom patient from another, and the draw of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brainseg.data.case import DataError

KINDS = ("small", "large", "multifocal", "low-contrast", "healthy", "noisy")
# Signal of each tissue in T1, FLAIR and T1 post-contrast; white matter is 1.
SIGNAL = {
    "fat": (2.3, 2.1, 2.2),
    "muscle": (0.75, 0.6, 0.95),
    "bone": (0.13, 0.16, 0.13),
    "marrow": (1.0, 0.8, 0.9),
    "air": (0.03, 0.03, 0.03),
    "eye": (0.38, 0.3, 0.45),
    "csf": (0.33, 0.22, 0.36),
    "dura": (0.6, 0.55, 1.5),
    "vessel": (0.45, 0.4, 1.9),
    "gray": (0.84, 1.1, 0.88),
    "nuclei": (0.9, 1.06, 0.93),
    "white": (1.0, 1.0, 1.0),
    "rim": (0.95, 1.25, 0.95),
    "necrosis": (0.5, 0.6, 0.5),
}
ENHANCED = 1.9  # leaky tumour vessels, post-contrast only
# Where gliomas sit: |x|, y, z in mm and how often.
SITES = {
    "frontal": ((32, -44, 28), 0.32),
    "temporal": ((44, 0, -20), 0.22),
    "parietal": ((34, 30, 38), 0.17),
    "insular": ((38, -8, 6), 0.12),
    "occipital": ((28, 56, 12), 0.06),
    "deep": ((18, 8, 10), 0.05),
    "medial": ((10, -34, 34), 0.04),
    "cerebellar": ((24, 46, -40), 0.02),
}


@dataclass(frozen=True)
class Lesion:
    """One focus. ``centre_mm`` in the head frame; the signals are relative to white matter."""

    centre_mm: tuple[float, float, float]
    radius_mm: float
    stretch: tuple[float, float, float]  # relative half axes, before the lobulation
    edge_mm: float  # width of the blurred border
    oedema: tuple[float, float, float]  # signal of the infiltrated rim
    core: tuple[float, float, float]  # signal of the solid part
    core_share: float  # radius of the solid part over the whole radius
    necrosis: float  # 0 none .. 1 most of the core
    enhancement: float  # 0 none .. 1 strong
    mass_effect: float  # 0 none .. 0.7 strong displacement of the anatomy


@dataclass(frozen=True)
class Patient:
    """Everything that tells one phantom from another except its textures, which ``seed`` fixes."""

    seed: int
    slices: int
    spacing_mm: tuple[float, float, float]  # slice, row, column
    rotation_deg: tuple[float, float, float]  # nod, roll, turn
    shift_mm: tuple[float, float, float]
    head_scale: tuple[float, float, float]  # x, y, z
    sulcus_mm: float  # half width of a sulcus; grows with age
    ventricle: float  # relative ventricle size
    gray: tuple[float, float, float]  # grey-matter signal per channel
    fat: tuple[float, float, float]  # scalp signal per channel
    gain: tuple[float, float, float]  # grey levels of white matter per channel
    bias: float  # 0 flat .. 0.3 strong shading
    noise: float  # standard deviation relative to white matter
    lesions: tuple[Lesion, ...]


def draw_lesion(
    rng: np.random.Generator, kind: str | None, site: str, side: int, radius_mm: float
) -> Lesion:
    """A focus of about ``radius_mm`` near ``site``; ``side`` is +1 for the patient's left."""
    centre = np.array(SITES[site][0]) + rng.normal(0, 5, 3).clip(-9, 9)
    flair = rng.uniform(1.14, 1.2) if kind == "low-contrast" else rng.uniform(1.35, 1.95)
    t1 = rng.uniform(0.9, 0.97) if kind == "low-contrast" else rng.uniform(0.62, 1.0)
    brighter_core = rng.uniform(0.92, 1.12)
    necrotic = radius_mm > 14 and kind != "low-contrast" and rng.random() < 0.2
    enhancing = kind != "low-contrast" and rng.random() < 0.4
    push = rng.uniform(0.4 if kind == "large" else 0.15, 0.7)
    return Lesion(
        centre_mm=(float(centre[0] * side), float(centre[1]), float(centre[2])),
        radius_mm=float(radius_mm),
        stretch=tuple((rng.uniform(0.8, 1.3, 3) * (1, 1, 0.8)).tolist()),
        edge_mm=float(rng.uniform(2.5, 6.0)),
        oedema=(t1, flair, t1),
        core=(t1 * 0.95, flair * brighter_core, t1 * 0.97),
        core_share=float(rng.uniform(0.45, 0.75)),
        necrosis=float(rng.uniform(0.3, 0.9)) if necrotic else 0.0,
        enhancement=float(rng.uniform(0.4, 1.0)) if enhancing else 0.0,
        mass_effect=float(push * min(radius_mm / 20, 1.0)),
    )


def draw_patient(seed: int, kind: str | None = None, *, slices: int | None = None) -> Patient:
    """Draw the parameters of a patient; ``kind`` None gives the mixture of a whole data set."""
    if kind is not None and kind not in KINDS:
        raise DataError(f"unknown kind of phantom {kind!r}; one of {', '.join(KINDS)}")
    label = 0 if kind is None else 1 + KINDS.index(kind)
    rng = np.random.default_rng(np.random.SeedSequence([seed, label, 1]))
    if kind is None:
        odds = (0.1, 0.2, 0.1, 0.1, 0.15, 0.07)
        kind = rng.choice([*KINDS, "usual"], p=[*odds, 1 - sum(odds)])
    coverage_mm, step_mm = rng.uniform(125, 165), rng.uniform(3.8, 6.0)
    count = slices or int(np.clip(round(coverage_mm / step_mm), 20, 40))
    pixel_mm = rng.uniform(0.9, 1.0)
    radius_mm = {"small": rng.uniform(4.5, 9.5), "large": rng.uniform(33, 42)}.get(
        kind, float(np.clip(rng.lognormal(np.log(26), 0.4), 6, 38))
    )
    foci = {"healthy": 0, "multifocal": int(rng.integers(2, 5))}.get(kind, 1)
    names, odds = list(SITES), [share for _, share in SITES.values()]
    if foci > 1:
        sites = rng.choice(names[:5], foci, replace=False)
    elif kind == "large":  # the other sites have no room for one
        sites = [rng.choice(names[:3])]
    else:
        sites = rng.choice(names, foci, p=odds)
    radii = np.append(radius_mm, rng.uniform(7, 13, foci))[:foci]
    if foci > 1:
        radii[0] = np.clip(radius_mm, 9, 22)
    sides = rng.choice([-1, 1], foci)
    level = rng.uniform(38, 86)  # grey levels of white matter
    fat = np.array(SIGNAL["fat"]) * rng.uniform(0.75, 1.2, 3)
    if rng.random() < 0.15:  # fat-suppressed post-contrast series
        fat[2] = 0.6
    return Patient(
        seed=seed * 8 + label,
        slices=count,
        spacing_mm=(coverage_mm / count if slices else step_mm, pixel_mm, pixel_mm),
        rotation_deg=tuple((rng.normal(0, 1, 3) * (5, 2, 3)).clip(-10, 10).tolist()),
        shift_mm=tuple(rng.uniform(-4, 4, 3).tolist()),
        head_scale=tuple(rng.uniform(0.94, 1.06, 3).tolist()),
        sulcus_mm=float(rng.uniform(0.3, 1.4)),
        ventricle=float(rng.uniform(0.7, 1.45)),
        gray=(rng.uniform(0.74, 0.92), rng.uniform(1.02, 1.22), rng.uniform(0.8, 0.94)),
        fat=tuple(fat.tolist()),
        gain=tuple((level * rng.uniform(0.85, 1.15, 3) * (1.06, 0.96, 1)).tolist()),
        bias=float(rng.uniform(0.15, 0.3) if kind == "noisy" else rng.uniform(0.02, 0.18)),
        noise=float(rng.uniform(0.1, 0.15) if kind == "noisy" else rng.uniform(0.018, 0.055)),
        lesions=tuple(
            draw_lesion(rng, kind, site, side, radius)
            for site, side, radius in zip(sites, sides, radii, strict=True)
        ),
    )
