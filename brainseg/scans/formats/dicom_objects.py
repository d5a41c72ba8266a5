"""What kind of thing a DICOM file holds, in words: a picture of the patient, or something else."""

from brainseg.scans.scan import ScanError

_STORAGE = "1.2.840.10008.5.1.4.1.1."
DIRECTORY = "a DICOMDIR (the table of contents of other files)"
SEGMENTATION = "a segmentation (DICOM SEG)"
# By SOP class, the more special before the more general. None of these is a scan.
_OTHERS = {
    "1.2.840.10008.1.3.10": DIRECTORY,
    f"{_STORAGE}481.3": "an RTSTRUCT (contours)",
    f"{_STORAGE}481.2": "an RT dose",
    f"{_STORAGE}481.": "a radiotherapy object",
    f"{_STORAGE}66.1": "a registration without an image",
    f"{_STORAGE}66.3": "a registration without an image",
    f"{_STORAGE}66.4": SEGMENTATION,
    f"{_STORAGE}66.7": SEGMENTATION,
    f"{_STORAGE}66": "raw or derived data without an image",
    f"{_STORAGE}88.59": "a key object selection (KO)",
    f"{_STORAGE}88.": "a structured report (SR)",
    f"{_STORAGE}11.": "a presentation state (PR)",
    f"{_STORAGE}104.1": "an encapsulated PDF",
    f"{_STORAGE}104.": "an encapsulated document",
    f"{_STORAGE}9.": "a waveform without an image",
    f"{_STORAGE}4.2": "MR spectroscopy",
}
_IMAGES = (f"{_STORAGE}4", f"{_STORAGE}2", f"{_STORAGE}7", f"{_STORAGE}128")
_MODALITIES = {
    "CR": "a radiograph",
    "CT": "a CT scan",
    "DX": "a radiograph",
    "MG": "a mammogram",
    "NM": "a nuclear medicine scan",
    "PT": "a PET scan",
    "US": "an ultrasound picture",
    "XA": "an angiogram",
}
_COMPRESSIONS = {
    "1.2.840.10008.1.2.4.11": "JPEG XL",
    "1.2.840.10008.1.2.4.20": "High-Throughput JPEG 2000",
    "1.2.840.10008.1.2.4.94": "JPIP, whose pixels lie on a server",
    "1.2.840.10008.1.2.4.95": "JPIP, whose pixels lie on a server",
    "1.2.840.10008.1.2.4.10": "MPEG video",
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.8": "JPEG-LS",
    "1.2.840.10008.1.2.4.": "JPEG",
    "1.2.840.10008.1.2.5": "RLE",
}
_NOT_READ = tuple(_COMPRESSIONS)[:5]


def other_object(header: dict) -> str:
    """What a file holds that is no image of the patient, with its article; "" for an image."""
    known = _startswith(_OTHERS, header["sop_class"])
    if known:
        return known
    # Without pixels it is a truncated image, which reading it will say.
    signs = ("pixels", "rows", "cut_off")
    if header["sop_class"].startswith(_IMAGES) or any(sign in header for sign in signs):
        return ""
    modality = header.get("modality")
    return "a DICOM object without an image" + (f" (modality {modality})" if modality else "")


def is_capture(header: dict) -> bool:
    """Whether an image is a secondary capture: a screenshot, or pixels that some program wrote."""
    return f"{header['sop_class']}.".startswith(f"{_STORAGE}7.")


def foreign_modality(header: dict) -> str:
    """What an image shows that is not MRI, with its article; "" for MRI and where it is unknown."""
    modality = header.get("modality", "")
    if modality in ("", "MR", "OT", "SC"):
        return ""
    return f"{_MODALITIES.get(modality, 'an image')} (modality {modality})"


def compression(header: dict) -> str:
    """How the pixels are compressed, in words; "" if they are not."""
    return _startswith(_COMPRESSIONS, header.get("transfer_syntax", ""))


def check_image(header: dict, name: str) -> None:
    """Raise ScanError for an image whose pixels are not read: a mosaic, a video and the like."""
    if "MOSAIC" in header.get("image_type", "").split("\\"):
        raise ScanError(
            f"{name} is a mosaic: its slices are tiles of one picture, placed by tags of the "
            "maker only. Convert the series with dcm2niix, or export it without mosaics."
        )
    if header.get("transfer_syntax", "").startswith(_NOT_READ):
        raise ScanError(
            f"{name} is compressed as {compression(header)}, which is not read. Export it "
            "uncompressed, or as JPEG 2000."
        )
    stored, high = header.get("stored", (0,))[0], header.get("high", (0,))[0]
    if stored and high and high != stored - 1:
        raise ScanError(
            f"{name} states its values in bits {high - stored + 1} to {high}, expected the lowest "
            f"{stored}: they would be read wrongly. Export it again, or convert it with dcm2niix."
        )
    if not all(header.get(key, (0,))[0] for key in ("rows", "columns")) or "pixels" not in header:
        raise ScanError(
            f"{name} states no size or holds no pixels: it is truncated, damaged or only a header. "
            "Copy, download or export it again."
        )
    if "cut_off" in header and "pixel_bytes" not in header:
        raise ScanError(
            f"{name} ends within its compressed pixels: it is truncated or damaged. Copy, download "
            "or export it again."
        )


def _startswith(words: dict[str, str], uid: str) -> str:
    return next((word for start, word in words.items() if uid.startswith(start)), "")
