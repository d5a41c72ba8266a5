"""What a DICOM file says of its pixels, read from its data elements.

GDCM hands out the elements of a file's top level only. What places the frames of an enhanced file
lies in nested sequences, and an object without an image is not opened by GDCM at all; so the few
elements that matter here are found by walking through the file. Pixels are left to GDCM.
"""

import math
import mmap
import struct
import zlib
from pathlib import Path

# (group, element): name here and how its value is written: text, numbers as text, or numbers as
# struct has them. The names of a kind say the same in classic and in enhanced files.
_VALUES = {
    (0x0002, 0x0002): ("media_class", "text"),
    (0x0002, 0x0010): ("transfer_syntax", "text"),
    (0x0008, 0x0008): ("image_type", "text"),
    (0x0008, 0x0016): ("sop_class", "text"),
    (0x0008, 0x0018): ("sop_instance", "text"),
    (0x0008, 0x0032): ("acquisition_time", "text"),
    (0x0008, 0x0060): ("modality", "text"),
    (0x0008, 0x103E): ("description", "text"),
    (0x0008, 0x9007): ("image_type", "text"),
    (0x0008, 0x9208): ("complex_component", "text"),
    (0x0018, 0x0050): ("thickness", "numbers"),
    (0x0018, 0x0080): ("repetition_time", "numbers"),
    (0x0018, 0x0081): ("echo_time", "numbers"),
    (0x0018, 0x0082): ("inversion_time", "numbers"),
    (0x0018, 0x0086): ("echo_number", "numbers"),
    (0x0018, 0x0088): ("gap", "numbers"),
    (0x0018, 0x1060): ("trigger_time", "numbers"),
    (0x0018, 0x1164): ("imager_spacing", "numbers"),
    (0x0018, 0x1314): ("flip_angle", "numbers"),
    (0x0018, 0x9079): ("inversion_time", "d"),
    (0x0018, 0x9082): ("echo_time", "d"),
    (0x0018, 0x9087): ("b_value", "d"),
    (0x0018, 0x9089): ("gradient", "d"),
    (0x0019, 0x100C): ("b_value", "numbers"),  # Siemens
    (0x0020, 0x000E): ("series", "text"),
    (0x0020, 0x0011): ("series_number", "numbers"),
    (0x0020, 0x0012): ("acquisition_number", "numbers"),
    (0x0020, 0x0013): ("instance_number", "numbers"),
    (0x0020, 0x0032): ("position", "numbers"),
    (0x0020, 0x0037): ("orientation", "numbers"),
    (0x0020, 0x0100): ("time_point", "numbers"),
    (0x0020, 0x1041): ("location", "numbers"),
    (0x0020, 0x9056): ("stack", "text"),
    (0x0020, 0x9128): ("time_point", "I"),
    (0x0020, 0x9156): ("acquisition_number", "H"),
    (0x0020, 0x9157): ("dimension_index", "I"),
    (0x0028, 0x0002): ("samples", "H"),
    (0x0028, 0x0004): ("photometric", "text"),
    (0x0028, 0x0008): ("frame_count", "numbers"),
    (0x0028, 0x0010): ("rows", "H"),
    (0x0028, 0x0011): ("columns", "H"),
    (0x0028, 0x0030): ("pixel_spacing", "numbers"),
    (0x0028, 0x0100): ("allocated", "H"),
    (0x0028, 0x0101): ("stored", "H"),
    (0x0028, 0x0102): ("high", "H"),
    (0x0028, 0x1052): ("intercept", "numbers"),
    (0x0028, 0x1053): ("slope", "numbers"),
    (0x0043, 0x1039): ("b_value", "numbers"),  # GE, followed by three others
    (0x0062, 0x0005): ("segment", "text"),
}
_LISTS = {
    (0x0062, 0x0002): "segments",
    (0x5200, 0x9229): "shared",
    (0x5200, 0x9230): "frames",
}
# The groups of what is said of a frame. Their first item counts, as if it were not nested.
_NESTED = {
    (0x0018, 0x9076),  # direction of diffusion
    (0x0018, 0x9112),  # timing
    (0x0018, 0x9114),  # echo
    (0x0018, 0x9115),  # modifier
    (0x0018, 0x9117),  # diffusion
    (0x0018, 0x9226),  # frame type
    (0x0020, 0x9111),  # frame content
    (0x0020, 0x9113),  # plane position
    (0x0020, 0x9116),  # plane orientation
    (0x0020, 0x9170),  # what was converted from a classic series, shared and per frame
    (0x0020, 0x9171),
    (0x0028, 0x9110),  # pixel measures
    (0x0028, 0x9145),  # pixel value transformation
}
_PIXELS = {(0x7FE0, 0x0008), (0x7FE0, 0x0009), (0x7FE0, 0x0010)}
_ITEM, _ITEM_END, _LIST_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_SHORT = b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
_LONG = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()
_UNDEFINED = 0xFFFFFFFF
_MAX_ELEMENTS, _MAX_DEPTH, _MAX_BYTES, _MAX_INFLATED = 4_000_000, 16, 1024, 2**30


def read_header(file: Path) -> dict:
    """What a DICOM file says, by the names above: str, or a tuple of finite numbers.

    ``shared``, ``frames`` and ``segments`` are lists of such dicts, of what is said of all frames,
    of each, and of the segments of a segmentation;
    ``pixels`` is there when the file holds any, and is where they begin, and ``pixel_bytes`` how
    many they are, unless they are compressed; ``cut_off`` is True where
    the file is damaged before them or ends within an element, and what follows is left out.
    """
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found: dict = {}
        at = 132 if data[128:132] == b"DICM" else 0
        at = _Elements(data, "<").walk(found, at, len(data), group=0x0002)
        syntax = found.get("transfer_syntax", "")
        if syntax == "1.2.840.10008.1.2.1.99":
            inflated = zlib.decompressobj(-15).decompress(data[at:], _MAX_INFLATED)
            _Elements(inflated, "<").walk(found, 0, len(inflated))
        else:
            order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
            _Elements(data, order).walk(found, at, len(data))
    if at == 0:  # neither preamble nor meta information: it may be no DICOM at all
        found.pop("cut_off", None)
    found.setdefault("sop_class", found.get("media_class", ""))
    return found


class _Elements:
    """The data elements in some bytes, in one byte order."""

    def __init__(self, data, order: str):
        self.data, self.order, self.left = data, order, _MAX_ELEMENTS

    def walk(self, found: dict, at: int, end: int, group=None) -> int:
        """Add the elements from a place on, of one group if given; returns where they end."""
        try:
            at = self._dataset(found, at, end, True, group, 0)
        except (struct.error, ValueError):  # what came before the damage may still tell
            found["cut_off"], at = True, end
        if group is None and at != end:
            found["cut_off"] = True
        return at

    def _dataset(self, found, at, end, explicit, group, depth) -> int:
        # An explicit file may hold implicit parts; which of the two shows in the first element.
        explicit = explicit and self.data[at + 4 : at + 6] in (*_SHORT, *_LONG)
        while at + 8 <= end:
            start = at
            tag, kind, length, at = self._element(at, explicit)
            if group is not None and tag[0] != group:
                return start
            if tag == _ITEM_END:
                return at
            if tag in _PIXELS and depth == 0:  # deeper ones are icons
                found["pixels"] = at
                if length != _UNDEFINED:
                    found["pixel_bytes"] = length
                else:  # compressed, in fragments that have to be there
                    self._items(tag, at, end, length, False, 1)
                return end
            if length == _UNDEFINED or kind == b"SQ" or tag in _NESTED or tag in _LISTS:
                inner_explicit = explicit and kind != b"UN"
                items, at = self._items(tag, at, end, length, inner_explicit, depth + 1)
                if tag in _LISTS:
                    found[_LISTS[tag]] = items
                elif items:
                    found.update(items[0])
                continue
            if at + length > end:
                raise ValueError("an element beyond the end")
            if tag in _VALUES and length <= _MAX_BYTES:
                name, form = _VALUES[tag]
                value = self._value(self.data[at : at + length], form)
                if value:
                    found[name] = value
            at += length
        return at

    def _element(self, at, explicit):
        self.left -= 1
        if self.left < 0:
            raise ValueError("too many elements")
        group, element = struct.unpack_from(f"{self.order}HH", self.data, at)
        kind = self.data[at + 4 : at + 6]
        if explicit and kind in _LONG:
            (length,) = struct.unpack_from(f"{self.order}I", self.data, at + 8)
            return (group, element), kind, length, at + 12
        if explicit and kind in _SHORT:
            (length,) = struct.unpack_from(f"{self.order}H", self.data, at + 6)
            return (group, element), kind, length, at + 8
        (length,) = struct.unpack_from(f"{self.order}I", self.data, at + 4)
        return (group, element), b"", length, at + 8

    def _items(self, tag, at, end, length, explicit, depth) -> tuple[list[dict], int]:
        """The items of a sequence, empty where they don't matter, and where it ends."""
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deep")
        matters = tag in _NESTED or tag in _LISTS
        if length != _UNDEFINED:
            end = min(end, at + length)
        items: list[dict] = []
        while at + 8 <= end:
            inner, _, size, at = self._element(at, False)
            if inner == _LIST_END:
                return items, at
            if inner != _ITEM:
                raise ValueError("no item")
            item: dict = {}
            if size == _UNDEFINED:
                at = self._dataset(item, at, end, explicit, None, depth)
            else:
                if at + size > end:
                    raise ValueError("an item beyond the end")
                if matters:
                    self._dataset(item, at, at + size, explicit, None, depth)
                at += size
            if matters:
                items.append(item)
        return items, end

    def _value(self, raw: bytes, form: str):
        if form in ("text", "numbers"):
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                text = raw.decode("latin-1")
            text = "".join(letter if letter.isprintable() else " " for letter in text).strip()
            if form == "text":
                return text
            try:
                values = tuple(float(part) for part in text.split("\\"))
            except ValueError:
                return ()
        else:
            count = len(raw) // struct.calcsize(f"{self.order}{form}")
            values = struct.unpack_from(f"{self.order}{count}{form}", raw)
        return values if all(map(math.isfinite, values)) else ()
