"""The tissues of a head, painted as signal onto points in the head frame (see ``shapes``)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts are imported on first use

from brainseg.data.phantom.patient import ENHANCED, SIGNAL, Lesion, Patient
from brainseg.data.phantom.shapes import (
    ellipsoid,
    inside,
    mirrored,
    noise_volume,
    paint,
    sample,
    tube,
)

VENTRICLE = (  # centre line of the lateral ventricle from frontal to occipital horn: |x|, y, z, r
    (14, -35, 9, 1.5),
    (5, -13, 14, 3.5),
    (9, 10, 24, 3.5),
    (21, 34, 14, 5.0),
    (24, 58, 8, 1.0),
)
STEM = ((4, 4, 4, 11), (3, 8, -14, 11), (3, 6, -30, 14), (0, 20, -62, 8), (0, 28, -100, 6))


def vault(p: np.ndarray) -> np.ndarray:
    """Depth in mm inside the upper skull, an egg that narrows in front."""
    x, y, z = p
    egg = np.stack([x * (1.03 - np.clip(y, -90, 60) * 0.0016), y, z])
    return ellipsoid(egg, (0, 0, -2), (66, 84, 70), square=True)


def brain_depths(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depths in mm inside cerebrum, cerebellum and the cavity that holds them, before any folding.

    What the two and the brain stem leave of the cavity is CSF.
    """
    m = mirrored(p)
    x, y, z = m
    behind = 1 / (1 + np.exp(-(y - 4) / 5))  # 0 over the orbits, 1 over the tentorium
    roof = -24 + 11 * np.exp(-(((x - 28) / 17) ** 2) - ((y + 56) / 20) ** 2)  # of the orbits
    tent = -22 + 21 * np.exp(-((x / 30) ** 2)) - 0.2 * (y - 35) + 3 * np.sin(x / 5 + y / 9)
    floor = roof + behind * (tent - roof)
    skull = vault(p)
    temporal = ellipsoid(m, (40, -6, -22), (23, 40, 25))
    cerebrum = np.maximum(np.minimum(skull, z - floor), temporal)
    fossa = np.maximum(ellipsoid(m, (15, 42, -36), (39, 37, 32)), np.minimum(skull, z + 32))
    # The ridge of bone in front of the cerebellum.
    petrous = 0.9 * (y - 9 - 0.012 * x * x - 0.35 * np.maximum(z + 25, 0))
    cerebellum = np.minimum.reduce([fossa, tent - z - 1.5, petrous])
    cisterns = np.minimum.reduce([skull, z + 30, petrous + 3])
    cavity = np.maximum.reduce([cerebrum, cerebellum, cisterns, tube(m, STEM) - 1])
    return cerebrum, cerebellum, cavity


def head_depth(p: np.ndarray) -> np.ndarray:
    """Depth in mm below the skin: the vault, the face with a nose, and the ears."""
    low = np.stack([p[0], p[1], np.where(p[2] < 0, 0.42 * p[2], p[2])])
    m = mirrored(p)
    face = ellipsoid(p, (0, -60, -62), (56, 46, 52))
    nose = ellipsoid(p, (0, -104, -44), (11, 18, 22))
    ears = ellipsoid(m, (77, 12, -32), (5, 12, 18))
    return np.maximum.reduce([vault(low) + 12, face, nose, ears])


def paint_face(signal: np.ndarray, m: np.ndarray, clumps: np.ndarray, fat) -> None:
    """Paint air, bone and eyes below the brain onto ``signal``; ``m`` is mirrored."""
    paint(signal, inside(ellipsoid(m, (50, 22, -45), (14, 17, 20)) + 3 * clumps, 3), SIGNAL["bone"])
    for centre, axes in (((0, -82, -52), (13, 34, 24)), ((27, -74, -58), (13, 17, 17))):
        sinus = ellipsoid(m, centre, axes)
        paint(signal, inside(sinus + 1.5), SIGNAL["dura"])  # mucosa
        septum = inside(1.2 - np.abs(m[0] - 5 * (centre[0] == 0)))
        paint(signal, inside(sinus) * (1 - septum), SIGNAL["air"])
    # An orbit is a cone of fat around the nerve, with a straight muscle along each wall.
    paint(signal, inside(tube(m, ((29, -74, -27, 16), (13, -40, -25, 4)))), fat)
    for front, back, radius in (
        ((31, -72, -27), (13, -38, -25), 2.5),
        ((17, -78, -27), (10, -42, -25), 3.3),
        ((44, -76, -27), (17, -42, -25), 3.3),
        ((31, -76, -15), (13, -42, -22), 3.3),
        ((31, -76, -39), (13, -42, -28), 3.3),
    ):
        nerve_or_muscle = tube(m, ((*front, radius), (*back, 2)))
        paint(signal, inside(nerve_or_muscle), SIGNAL["muscle"])
    paint(signal, inside(ellipsoid(m, (31, -82, -27), (12.5, 12.5, 12.5))), SIGNAL["eye"])


def paint_head(p: np.ndarray, skin: np.ndarray, cavity: np.ndarray, patient: Patient, texture):
    """Signal (3, points) of everything around the brain, with CSF in its place; 0 in the air."""
    m = mirrored(p)
    signal = np.empty_like(p)
    signal[:] = np.array(SIGNAL["muscle"], np.float32)[:, None]
    over_vertex = inside(p[2] - 25, 25)
    # Over the vertex it is not muscle but skin, fat and tendon in one thick slice, smooth.
    paint(signal, 0.6 * over_vertex, patient.fat)
    signal *= 1 + (0.2 - 0.17 * over_vertex) * sample(texture, 1.5 * m + 0.2 * p)
    # Clumps of fat and bone: the same left and right, nearly, as a face is.
    clumps = sample(texture, m * np.float32([[0.9], [0.6], [0.5]]) + 0.1 * p)
    below = inside(-p[2] - 14, 12) * inside(-cavity - 9, 2)
    paint(signal, below * inside(clumps - 0.6, 0.8), patient.fat)
    paint(signal, below * inside(-clumps - 0.6, 0.8), SIGNAL["bone"])
    paint_face(signal, m, clumps, patient.fat)
    uneven = 0.8 * sample(texture, 0.3 * p)
    # A thick slice cuts the vertex aslant: its borders are blurred over the slice's thickness.
    aslant = inside(p[2] - 58, 24)
    slant_mm = patient.spacing_mm[0] * aslant
    scalp_fat = inside(4.5 + 0.03 * p[1] + uneven - skin, 2 + slant_mm)
    paint(signal, scalp_fat * (1 - 0.4 * aslant), patient.fat)  # thinner there than the slice
    paint(signal, inside(1.2 - skin, 1.2 + slant_mm), SIGNAL["muscle"])  # the skin itself
    orbit_roof = inside(-p[2] - 4, 6) * inside(-44 - p[1], 6)
    bone_mm = 6.5 + uneven - 4.5 * orbit_roof
    paint(signal, inside(cavity + bone_mm, 1.2 + slant_mm), SIGNAL["bone"])
    diploe = inside(1.3 - np.abs(cavity + 0.55 * bone_mm + 0.6)) * inside(p[2] + 5, 10)
    paint(signal, 0.35 * diploe, SIGNAL["marrow"])
    paint(signal, inside(cavity + 2 - orbit_roof, 1.2 + slant_mm), SIGNAL["csf"])
    return signal * inside(skin + 0.5, 1 + slant_mm)


def displaced(p: np.ndarray, depth: np.ndarray, lesions) -> np.ndarray:
    """Where the tissue now at ``p`` would be without the tumours: the mass effect, in mm.

    The skull does not give way, so displacement fades over the outer 18 mm of the brain.
    """
    q = p.copy()
    for lesion in lesions:
        v = p - np.array(lesion.centre_mm, np.float32)[:, None]
        reach = 1.1 * lesion.radius_mm + 10
        push = lesion.mass_effect * np.exp(-(v * v).sum(0) / np.float32(reach**2))
        q -= v * (push * np.clip(depth / 18, 0, 1))
    return q


@dataclass(frozen=True)
class Tissue:
    """What the lesions need to know of the anatomy, each float32 (points,)."""

    white: np.ndarray  # share of the voxel, 0..1
    free: np.ndarray  # mm away from ventricle, fissure and brain surface
    cerebrum: np.ndarray  # depth in mm
    cerebellum: np.ndarray  # depth in mm
    midline: np.ndarray  # mm to the left of the (shifted) midline


def sulcus_distance(q: np.ndarray, hull: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distance in mm to the nearest sulcus; ``hull`` is the depth below the unfolded surface.

    Sulci are sheets that run towards the centre, so their pattern lives on a sphere and changes
    slowly with depth: cut across they are clefts, cut tangentially at the vertex a labyrinth.
    """
    texture, slow = noise_volume(rng, 12), noise_volume(rng, 45)
    m, wander = mirrored(q), sample(slow, q)
    r = np.sqrt((q * q).sum(0)) + 1
    onto_sphere = q * ((38 + 0.32 * r) / r)
    phase = sample(noise_volume(rng, 23, phase=True), onto_sphere + 1.5 * sample(texture, q))
    sheet_mm = np.arcsin(np.clip(phase, -1, 1)) * (1.25 * 23 / (2 * np.pi))
    reach_mm = 11 + 5 * sample(slow, onto_sphere + 50)
    folds = np.hypot(sheet_mm, np.maximum(hull - reach_mm, 0))
    # Insula: a cleft parallel to the surface, opened to the side by the Sylvian fissure.
    insula = np.hypot(
        m[0] - 41 + 0.007 * (q[1] + 6) ** 2 + wander,
        0.5 * np.maximum(np.hypot(q[1] + 6, 1.4 * (q[2] - 2)) - 19, 0),
    )
    sylvian = np.hypot(
        0.7 * (q[2] - 2) + 0.6 * (q[1] + 14) + 0.3 * (m[0] - 50) + 2 * wander,
        np.maximum(38 - m[0], 0) + np.maximum(np.abs(q[1] + 4) - 26, 0),
    )
    return np.minimum(folds, np.minimum(insula, sylvian) - 0.4)


def pial_depth(p, q, hull, patient: Patient, rng: np.random.Generator) -> np.ndarray:
    """Depth in mm below the folded surface of the cerebrum, negative in its sulci."""
    # A sulcus is widest at the surface, and swelling closes it around a tumour.
    width_mm = patient.sulcus_mm * (0.3 + 1.5 * np.exp(-np.clip(hull, 0, 30) / 6))
    for lesion in patient.lesions:
        away = np.sqrt(((p - np.array(lesion.centre_mm, np.float32)[:, None]) ** 2).sum(0))
        width_mm -= (width_mm + 1) * inside(1.1 * lesion.radius_mm + 4 - away, 8)
    return np.minimum(hull, sulcus_distance(q, hull, rng) - width_mm)


def paint_ventricles(signal, q: np.ndarray, midline: np.ndarray, size: float) -> np.ndarray:
    """Paint the ventricles with rim and choroid plexus; returns the depth inside them in mm."""
    m = mirrored(q)
    line = [(x, y, z, radius * size) for x, y, z, radius in VENTRICLE]
    lateral = np.minimum(tube(m, line), np.abs(midline) - 0.6)
    temporal_horn = tube(m, ((30, -2, -22, 1.5 * size), (30, 14, -16, 2 * size)))
    third = ellipsoid(m, (0, 4, 1), (2.2 * size, 15, 11))
    fourth = ellipsoid(m, (0, 27, -36), (7 * size, 5, 8))
    depth = np.maximum.reduce([lateral, temporal_horn, third, fourth])
    paint(signal, 0.6 * inside(lateral + 1.6, 2), SIGNAL["rim"])
    paint(signal, inside(depth), SIGNAL["csf"])
    plexus = inside(ellipsoid(m, (21, 30, 14), (3, 7, 4))) * inside(depth - 1)
    paint(signal, plexus, SIGNAL["vessel"])
    return depth


def paint_brain(signal, p, depths, patient: Patient, rng: np.random.Generator) -> Tissue:
    """Paint brain, ventricles and vessels onto ``signal`` (3, points) in place."""
    cerebrum, cerebellum, cavity = depths
    texture, slow = noise_volume(rng, 12), noise_volume(rng, 45)
    depth = np.maximum(cerebrum, cerebellum)
    q = displaced(p, depth, patient.lesions)
    m, wander = mirrored(q), sample(slow, q)
    # The hemispheres part along the midline except where the callosum joins them.
    midline = q[0] + 0.9 * wander
    callosum = ellipsoid(q * np.float32([[0], [1], [1]]), (0, 1, 4), (1, 40, 25))
    fissure = np.hypot(midline, np.maximum(callosum, 0)) - 0.3
    pial = pial_depth(p, q, np.minimum(cerebrum, fissure), patient, rng)

    gray, in_cerebrum = np.array(patient.gray, np.float32), inside(cerebrum)
    white = in_cerebrum * inside(pial - 3.2 - 0.6 * sample(texture, q + 30), 2.0)
    paint(signal, in_cerebrum * inside(pial, 1.6), gray)
    # White matter is not even either: denser tracts are darker in FLAIR.
    paint(signal, white, 1 + np.float32([[-0.03], [0.045], [-0.03]]) * sample(slow, 1.3 * q + 20))
    nuclei = np.maximum.reduce(
        [
            ellipsoid(m, (11, 9, 6), (9, 15, 10)),  # thalamus
            ellipsoid(m, (25, -3, 3), (6, 16, 10)),  # lentiform nucleus
            ellipsoid(m, (12, -20, 10), (6, 10, 9)),  # caudate
        ]
    )
    paint(signal, in_cerebrum * inside(nuclei, 3), (gray + np.float32(SIGNAL["nuclei"])) / 2)
    # Cerebellum: leaves so thin that grey and white matter mix, with traces of CSF between them,
    # around a white core, and the stem through it.
    leaves = np.sin(1.25 * ellipsoid(m, (0, 22, -36)) + 2 * wander + sample(texture, q))
    paint(signal, inside(cerebellum), 0.5 * gray + 0.5)
    paint(signal, 0.15 * inside(cerebellum) * np.clip(leaves - 0.4, 0, 1), SIGNAL["csf"])
    paint(signal, 0.8 * inside(ellipsoid(m, (17, 38, -40), (18, 13, 13)), 6), SIGNAL["white"])
    paint(signal, inside(tube(m, STEM)), 0.5 * gray + 0.5)
    ventricles = paint_ventricles(signal, q, midline, patient.ventricle)

    # Contrast agent shows in falx and dura, the venous sinus and the veins of the sulci.
    paint(signal, 0.5 * inside(0.9 - fissure) * in_cerebrum, SIGNAL["dura"])
    paint(signal[2:], 0.5 * inside(0.7 - np.abs(cavity + 1.8)), (1.0,))
    sinus = np.minimum(3.5 - np.hypot(q[0], cerebrum + 0.5), np.maximum(p[2] - 30, p[1] - 60))
    paint(signal, inside(sinus), SIGNAL["vessel"])
    veins = inside(sample(texture, 1.6 * q) - 2.1, 0.8) * inside(0.8 - pial)
    paint(signal, veins * inside(cerebrum + 2), SIGNAL["vessel"])
    signal *= 1 + 0.03 * sample(texture, 1.9 * q)
    free = np.minimum.reduce([depth, -ventricles, fissure - 0.5])
    return Tissue(white, free, cerebrum, cerebellum, midline)


def without_crumbs(share: np.ndarray, voxels: np.ndarray, shape) -> np.ndarray:
    """``share`` without specks, in any slice, under 4 % of the largest area: nobody outlines them.

    ``voxels`` are the flat indices of the points in a volume of ``shape``.
    """
    volume = np.zeros(shape, bool)
    volume.flat[voxels] = share >= 0.5
    within_slice = np.zeros((3, 3, 3), bool)
    within_slice[1] = True
    labels, _ = scipy.ndimage.label(volume, within_slice)
    area = np.bincount(labels.ravel())
    area[0] = 0
    speck = area < 0.04 * area.max()
    speck[0] = False
    return np.where(speck[labels.flat[voxels]], 0, share)


def lesion_signal(lesion: Lesion, level, solid, lobe, finger) -> tuple[np.ndarray, np.ndarray]:
    """Signal (3, points) inside a focus, and what it is of, uint8 (points,): 1 oedema, 2 core, 3
    enhancing. ``level`` and ``solid`` are mm inside the focus and its core."""
    value = np.array(lesion.oedema, np.float32)[:, None] * np.ones((3, level.size), np.float32)
    paint(value, inside(solid, 5), lesion.core)
    mottled = 1 + 0.06 * finger + 0.11 * lobe
    fading = 0.75 + 0.25 * np.clip(level / 8, 0, 1)
    value[1] = 1 + (value[1] * mottled - 1) * fading
    value[0::2] *= 1 - 0.4 * (mottled - 1)
    if lesion.necrosis:
        share = 0.45 - 0.35 * lesion.necrosis - 0.25 * lobe
        hollow = solid - np.float32(lesion.radius_mm) * share + 1.2 * finger
        paint(value, inside(hollow, 2.5), SIGNAL["necrosis"])
        leaky = inside(2.2 - np.abs(hollow + 1.5), 2)  # a ring around the hollow
    else:
        leaky = inside(solid, 4) * inside(finger - 0.5, 0.8)  # patches
    value[2] += lesion.enhancement * leaky * (ENHANCED - value[2])
    classes = np.where(solid >= 0, 2, 1).astype(np.uint8)  # where a voxel is half of it or more
    if lesion.enhancement:
        classes[leaky >= 0.5] = 3
    return value, classes


def paint_lesion(
    signal, p, voxels, shape, tissue: Tissue, lesion: Lesion, rng
) -> tuple[np.ndarray, np.ndarray]:
    """Paint one focus onto ``signal`` in place; returns its share of each voxel, 0..1, and of what
    it is there, as ``lesion_signal``."""
    radius = np.float32(lesion.radius_mm)
    v = p - np.array(lesion.centre_mm, np.float32)[:, None]
    near = np.flatnonzero((v * v).sum(0) < (2.2 * radius + 8) ** 2)
    v, here = v[:, near], signal[:, near]
    lobe = sample(noise_volume(rng, 30), v * (27 / radius))  # as many lobes at every size
    finger = sample(noise_volume(rng, 11), v)
    away = np.sqrt(((v / np.array(lesion.stretch, np.float32)[:, None]) ** 2).sum(0))
    level = radius * (1 + 0.22 * lobe) - away
    solid = level - radius * np.float32(1 - lesion.core_share)
    # Infiltration runs along white matter and stops at cortex, midline and tentorium.
    level += min(5.0, 0.2 * lesion.radius_mm) * (1.6 * tissue.white[near] - 0.9 + 0.45 * finger)
    side = np.float32(np.sign(lesion.centre_mm[0]))
    level -= 1.5 * np.maximum(-side * tissue.midline[near], 0)
    below_tentorium = lesion.centre_mm[1] > 20 and lesion.centre_mm[2] < -15
    compartment = tissue.cerebellum if below_tentorium else tissue.cerebrum
    room = np.minimum(compartment, tissue.free)[near] - 0.4
    share = np.minimum(inside(level, lesion.edge_mm), inside(room))
    share = without_crumbs(share, voxels[near], shape)

    value, drawn = lesion_signal(lesion, level, solid, lobe, finger)
    # Some of the anatomy stays visible inside: the cortex of a swollen gyrus, say.
    paint(here, share, value * (0.8 + 0.2 * np.clip(here, 0.6, 1.2)))
    signal[:, near] = here
    out, classes = np.zeros(p.shape[1], np.float32), np.zeros(p.shape[1], np.uint8)
    out[near], classes[near] = share, drawn
    return out, classes
