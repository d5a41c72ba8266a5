"""DICOM files of every sort, written element by element, as no library here would write them."""

import struct

import numpy as np

STORAGE = "1.2.840.10008.5.1.4.1.1."
MR, ENHANCED_MR, CAPTURE = f"{STORAGE}4", f"{STORAGE}4.1", f"{STORAGE}7"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
TAGS = {
    "image_type": (0x0008, 0x0008, "CS"),
    "sop_class": (0x0008, 0x0016, "UI"),
    "sop_instance": (0x0008, 0x0018, "UI"),
    "modality": (0x0008, 0x0060, "CS"),
    "description": (0x0008, 0x103E, "LO"),
    "references": (0x0008, 0x1140, "SQ"),
    "patient": (0x0010, 0x0010, "PN"),
    "thickness": (0x0018, 0x0050, "DS"),
    "echo_time": (0x0018, 0x0081, "DS"),
    "gap": (0x0018, 0x0088, "DS"),
    "b_value": (0x0018, 0x9087, "FD"),
    "diffusion": (0x0018, 0x9117, "SQ"),
    "series": (0x0020, 0x000E, "UI"),
    "acquisition_number": (0x0020, 0x0012, "IS"),
    "instance_number": (0x0020, 0x0013, "IS"),
    "position": (0x0020, 0x0032, "DS"),
    "orientation": (0x0020, 0x0037, "DS"),
    "time_point": (0x0020, 0x0100, "IS"),
    "frame_content": (0x0020, 0x9111, "SQ"),
    "plane_position": (0x0020, 0x9113, "SQ"),
    "plane_orientation": (0x0020, 0x9116, "SQ"),
    "time_index": (0x0020, 0x9128, "UL"),
    "location": (0x0020, 0x1041, "DS"),
    "dimension_index": (0x0020, 0x9157, "UL"),
    "samples": (0x0028, 0x0002, "US"),
    "photometric": (0x0028, 0x0004, "CS"),
    "planar": (0x0028, 0x0006, "US"),
    "frame_count": (0x0028, 0x0008, "IS"),
    "rows": (0x0028, 0x0010, "US"),
    "columns": (0x0028, 0x0011, "US"),
    "pixel_spacing": (0x0028, 0x0030, "DS"),
    "allocated": (0x0028, 0x0100, "US"),
    "stored": (0x0028, 0x0101, "US"),
    "high": (0x0028, 0x0102, "US"),
    "signed": (0x0028, 0x0103, "US"),
    "intercept": (0x0028, 0x1052, "DS"),
    "slope": (0x0028, 0x1053, "DS"),
    "measures": (0x0028, 0x9110, "SQ"),
    "scaling": (0x0028, 0x9145, "SQ"),
    "icon": (0x0088, 0x0200, "SQ"),
    "philips": (0x2005, 0x140F, "SQ"),
    "shared": (0x5200, 0x9229, "SQ"),
    "frames": (0x5200, 0x9230, "SQ"),
    "pixels": (0x7FE0, 0x0010, "OW"),
}


def encode(values, explicit=True, undefined=True, order="<"):
    """The data elements of a dict by the names above; sequences are lists of dicts."""
    out = b""
    for name, value in sorted(values.items(), key=lambda pair: TAGS[pair[0]]):
        if value is None:
            continue
        group, element, kind = TAGS[name]
        if kind == "SQ":
            raw = b""
            for item in value:
                inner = encode(item, explicit, undefined, order)
                size = 0xFFFFFFFF if undefined else len(inner)
                raw += struct.pack(f"{order}HHI", 0xFFFE, 0xE000, size) + inner
                raw += struct.pack(f"{order}HHI", 0xFFFE, 0xE00D, 0) if undefined else b""
            raw += struct.pack(f"{order}HHI", 0xFFFE, 0xE0DD, 0) if undefined else b""
        elif kind in ("US", "UL", "FD"):
            numbers = value if isinstance(value, tuple) else (value,)
            form = {"US": "H", "UL": "I", "FD": "d"}[kind]
            raw = struct.pack(f"{order}{len(numbers)}{form}", *numbers)
        elif kind == "OW":
            raw = value
        else:
            parts = value if isinstance(value, (tuple, list)) else (value,)
            raw = "\\".join(map(str, parts)).encode()
            raw += b"\0" if len(raw) % 2 and kind == "UI" else b" " * (len(raw) % 2)
        length = 0xFFFFFFFF if kind == "SQ" and undefined else len(raw)
        out += struct.pack(f"{order}HH", group, element)
        if not explicit:
            out += struct.pack(f"{order}I", length)
        elif kind in ("SQ", "OW"):
            out += kind.encode() + struct.pack(f"{order}HI", 0, length)
        else:
            out += kind.encode() + struct.pack(f"{order}H", length)
        out += raw
    return out


def dicom_file(path, values, syntax=EXPLICIT, undefined=True):
    """Write a file with a preamble, its meta information and the elements of a dict."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    head = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta
    order = ">" if syntax == BIG_ENDIAN else "<"
    body = encode(values, syntax != IMPLICIT, undefined, order)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(128) + b"DICM" + head + body)
    return path


def described(array, **values):
    """Elements of an image of (height, width) or, in colour, (height, width, 3) pixels.

    `values` replaces some; None leaves one out.
    """
    bits = array.dtype.itemsize * 8
    colour = array.shape[-1] == 3 and array.dtype == np.uint8
    return {
        "sop_class": MR,
        "modality": "MR",
        "description": "T1",
        "patient": "Doe^Jane",
        "series": "1.2.3",
        "samples": 3 if colour else 1,
        "planar": 0 if colour else None,
        "photometric": "RGB" if colour else "MONOCHROME2",
        "rows": array.shape[-3 if colour else -2],
        "columns": array.shape[-2 if colour else -1],
        "allocated": bits,
        "stored": bits,
        "high": bits - 1,
        "signed": int(array.dtype.kind == "i"),
        "pixels": array.tobytes(),
        **values,
    }


def slice_file(path, array, height=0.0, syntax=EXPLICIT, **values):
    """A classic axial slice, 0.75 mm from row to row and 0.5 mm from column to column."""
    place = {
        "thickness": 3,
        "position": (-10, -20, height),
        "orientation": (1, 0, 0, 0, 1, 0),
        "pixel_spacing": (0.75, 0.5),
        "sop_instance": f"1.2.{abs(hash(path.name)) % 10**9}",
    }
    return dicom_file(path, described(array, **place | values), syntax)


def series(folder, array, step=3.0, each=lambda number: {}, **values):
    """A classic series of (slices, height, width) pixels; `each` gives what differs by slice."""
    for number, plane in enumerate(array):
        own = {"height": number * step, "instance_number": number + 1} | values | each(number)
        slice_file(folder / f"IM{number}", plane, **own)
    return folder


def enhanced_file(path, array, heights, each=lambda number: {}, shared=None, **values):
    """An enhanced MR file of (frames, height, width) pixels at some heights, in that order.

    `each` gives what a frame's groups hold beside its position, `shared` those of all frames.
    """
    syntax, undefined = values.pop("syntax", EXPLICIT), values.pop("undefined", True)
    groups = {
        "measures": [{"pixel_spacing": (0.75, 0.5), "thickness": 3}],
        "plane_orientation": [{"orientation": (1, 0, 0, 0, 1, 0)}],
    } | (shared or {})
    frames = [
        {"plane_position": [{"position": (-10, -20, height)}]} | each(number)
        for number, height in enumerate(heights)
    ]
    elements = {
        "sop_class": ENHANCED_MR,
        "frame_count": len(array),
        "shared": [groups],
        "frames": frames,
    }
    return dicom_file(path, described(array, **elements | values), syntax, undefined)
