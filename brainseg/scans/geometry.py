"""Where voxels lie: between the grid that a file stores and the axes of the patient."""

import numpy as np

# One slice along another axis than the patient's length is kept whole, in its usual view.
_VIEW = {"L": "PIL", "R": "PIL", "P": "LIP", "A": "LIP", "S": "LPS", "I": "LPS"}


def to_patient_axes(image) -> tuple[np.ndarray, np.ndarray, dict]:
    """Pixels, affine and source grid of a SimpleITK image of 2, 3 or 4 dimensions.

    Pixels are (slices, height, width, channels) of the image's own dtype, axial slices in LPS or,
    of a single coronal or sagittal slice, its own plane; the fourth dimension or the components of
    a vector are the channels. The affine, (4, 4) float64, takes (column, row, slice, 1) to LPS mm.
    The source grid is what `restore_grid` needs.
    """
    import SimpleITK as sitk

    parts = [image]
    if image.GetDimension() == 4:
        parts = [image[:, :, :, channel] for channel in range(image.GetSize()[3])]
    grid = {
        "size": parts[0].GetSize(),
        "spacing": parts[0].GetSpacing(),
        "origin": parts[0].GetOrigin(),
        "direction": parts[0].GetDirection(),
    }
    if image.GetDimension() == 2:
        parts = [sitk.JoinSeries(image)]
    cosines = parts[0].GetDirection()
    code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(cosines)
    thin = [letter for letter, count in zip(code, parts[0].GetSize(), strict=True) if count == 1]
    view = _VIEW[thin[0]] if len(thin) == 1 else "LPS"
    parts = [sitk.DICOMOrient(part, view) for part in parts]

    pixels = np.stack([sitk.GetArrayViewFromImage(part) for part in parts], axis=-1)
    if pixels.ndim == 5:  # a vector image: its components are the channels
        pixels = pixels[..., 0]
    affine = np.eye(4)
    direction = np.reshape(parts[0].GetDirection(), (3, 3))
    affine[:3, :3] = direction * parts[0].GetSpacing()
    affine[:3, 3] = parts[0].GetOrigin()
    return pixels, affine, {**grid, "orientation": code, "view": view}


def restore_grid(mask: np.ndarray, grid: dict):
    """SimpleITK image, uint8, of a (slices, height, width) mask on the grid it was read from."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    # Exact axes, not the true direction: at 45 degrees rounding could pick another permutation.
    cosines = sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(grid["view"])
    image.SetDirection(cosines)
    image = sitk.DICOMOrient(image, grid["orientation"])
    if len(grid["size"]) == 2:
        image = image[:, :, 0]
    image.SetSpacing(grid["spacing"])
    image.SetOrigin(grid["origin"])
    image.SetDirection(grid["direction"])
    return image


def as_image(pixels: np.ndarray, affine: np.ndarray):
    """SimpleITK image of a (slices, height, width) array placed in the patient by its affine."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(pixels)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def distance_mm(one: np.ndarray, other: np.ndarray, shape: tuple) -> float:
    """Largest distance between the corners of one grid placed by two affines.

    one, other: (4, 4), (column, row, slice, 1) to LPS mm. shape: (slices, height, width).
    """
    last = np.array(shape[::-1]) - 1
    corners = np.array([[*(np.array(corner) * last), 1] for corner in np.ndindex(2, 2, 2)])
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())
