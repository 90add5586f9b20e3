"""The Kinect of NYU Depth v2: its files, the depth that its codes stand for, and that depth in the RGB camera.

Codes to depth and the cameras' calibration are facts of the data set's toolbox (``camera_params.m``,
``project_depth_map.m``; Silberman et al., ECCV 2012), by which its labelled frames were made.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from datamodules.files import FIX, printable, read_bytes
from datamodules.nyuv2.labeled_format import HEIGHT, WIDTH, intrinsics

#: Camera matrix of the depth camera, pixels.
DEPTH_MATRIX = np.array(
    [[582.62448167737955, 0, 313.04475870804731], [0, 582.69103270988637, 238.44389626620386], [0, 0, 1]]
)

#: Lens distortion k1, k2, p1, p2, k3 (Brown's model, OpenCV's order).
DEPTH_DISTORTION = np.array([-9.9897236553084481e-02, 3.9065324602765344e-01, 1.9290592870229277e-03,
                             -1.9422022475975055e-03, -5.1031725053400578e-01])  # fmt: skip
COLOR_DISTORTION = np.array([2.0796615318809061e-01, -5.8613825163911781e-01, 7.2231363135888329e-04,
                             1.0479627195765181e-03, 4.9856986684705107e-01])  # fmt: skip

#: A point p of the depth camera, metres, is ROTATION p + TRANSLATION in the RGB camera. The toolbox has both with the
#: other sign, which cancels in the projection, and its file calls the translation's y ``t_z`` and its z ``t_y``.
ROTATION = np.array([
    [9.9997798940829263e-01, -5.0359919480810989e-03, -4.3196624923060242e-03],
    [5.0518419386157446e-03, 9.9998051861143999e-01, 3.6662365748484798e-03],
    [4.3011152014118693e-03, -3.6879781309514218e-03, 9.9998394948385538e-01],
])  # fmt: skip
TRANSLATION = np.array([-2.5031875059141302e-02, 2.9342312935846411e-04, -6.6238747008330102e-04])

#: Metres = DEPTH_SCALE / (DEPTH_POLE - code).
DEPTH_SCALE, DEPTH_POLE = 351.3, 1092.5

#: The largest 11-bit code, which says that nothing came back.
NO_RETURN = 2047

#: Number that the toolbox gives the first pixel, MATLAB's way, when it projects, though the calibration counts from 0.
#: It shifts depth by 1 - 519 / 583 = 0.11 pixels; kept, so that registered depth fits the labelled frames' pixels.
_FIRST_PIXEL = 1

#: Magic number, width, height, largest value; comments may stand between them (netpbm's ``pgm(5)`` and ``ppm(5)``).
_HEADER = re.compile(rb"P([56])" + rb"(?:\s|#[^\n]*\n)+(\d+)" * 3 + rb"\s")


def read_color(path: Path) -> NDArray[np.uint8]:
    """Return the RGB image (480, 640, 3) of a PPM file.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is truncated, or not an 8-bit binary PPM of that size.
    """
    return _read_netpbm(path, 6, 255, np.dtype(np.uint8)).reshape(HEIGHT, WIDTH, 3)


def read_codes(path: Path) -> NDArray[np.uint16]:
    """Return codes (480, 640) of a PGM file, 0..2047.

    The recorder wrote them least significant byte first, against the PGM rule, so that ordinary readers swap them.
    A file that some tool wrote again by the rule has codes out of range in that order, and is read in the other.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is truncated, not a 16-bit binary PGM of that size, or holds other values.
    """
    codes = _read_netpbm(path, 5, 65535, np.dtype("<u2")).reshape(HEIGHT, WIDTH)
    if codes.max() > NO_RETURN:
        codes = codes.byteswap()
    if codes.max() > NO_RETURN:
        raise ValueError(
            f"{printable(path)}: holds values over {NO_RETURN} in either byte order, so they are not the Kinect's "
            "11-bit codes; take the file of the original dump"
        )
    return codes


def _read_netpbm(path: Path, magic: int, largest: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values of a binary PGM or PPM file, flat, if it has this kind and the Kinect's size."""
    content = read_bytes(path)
    header = _HEADER.match(content)
    wanted = f"P{magic} {WIDTH} {HEIGHT} {largest}"
    if header is None or (found := "P" + " ".join(group.decode() for group in header.groups())) != wanted:
        says = found if header else repr(content[:20])
        raise ValueError(f"{printable(path)}: its header is {says}, not {wanted}; take the file of the original dump")
    values = content[header.end() :]
    size = WIDTH * HEIGHT * {5: 1, 6: 3}[magic] * dtype.itemsize
    if len(values) != size:
        what = "truncated" if len(values) < size else "too long"
        raise ValueError(f"{printable(path)}: {what}: {len(values):,} bytes of pixels, not {size:,}; {FIX}")
    return np.frombuffer(values, dtype)


def depth_of_codes(codes: NDArray[Any]) -> NDArray[np.float64]:
    """Return depth (H, W) in metres of codes (H, W), 0 where nothing came back or the code stands for no distance."""
    away = DEPTH_POLE - codes.astype(np.float64)
    return np.divide(DEPTH_SCALE, away, out=np.zeros_like(away), where=away > 0)


def undistort_color(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image (480, 640, 3) undistorted to the matrix of :func:`intrinsics`, with black borders."""
    return cv2.undistort(image, intrinsics().astype(np.float64), COLOR_DISTORTION).astype(np.uint8, copy=False)


def register_depth(codes: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Return depth (480, 640) in metres as the undistorted RGB camera sees it, 0 where nothing is measured.

    The toolbox's way: codes are undistorted by linear interpolation (a plane's codes are linear in the image, as
    inverse depth is), none next to a hole; their points go to the nearest pixel, where the nearest point wins. Depth
    stays the depth camera's z, as in the labelled frames; the RGB camera's differs by 0.4 % at most, at the borders.
    """
    holed = np.where(codes < DEPTH_POLE, codes, np.nan).astype(np.float32)
    undistorted = cv2.remap(holed, *_undistortion(), cv2.INTER_LINEAR, borderValue=float("nan"))
    depth = depth_of_codes(np.nan_to_num(undistorted, nan=NO_RETURN)).ravel()

    measured = np.flatnonzero(depth)
    points = ROTATION @ (_rays()[:, measured] * depth[measured]) + TRANSLATION[:, None]
    column, row, _ = np.rint(intrinsics() @ (points / points[2])).astype(np.int64) - _FIRST_PIXEL
    seen = (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT)

    registered = np.full((HEIGHT, WIDTH), np.inf)
    np.minimum.at(registered, (row[seen], column[seen]), depth[measured[seen]])
    return np.where(np.isfinite(registered), registered, 0)


@cache
def _rays() -> NDArray[np.float64]:
    """Points (3, 480 * 640) at depth 1 that the pixels of the undistorted depth camera see, row by row."""
    row, column = np.mgrid[:HEIGHT, :WIDTH].reshape(2, -1) + _FIRST_PIXEL
    return np.linalg.solve(DEPTH_MATRIX, np.stack([column, row, np.ones_like(row)]))


@cache
def _undistortion() -> tuple[NDArray[Any], NDArray[Any]]:
    """OpenCV's maps from the undistorted depth image to the distorted one."""
    size = (WIDTH, HEIGHT)
    maps: tuple[NDArray[Any], NDArray[Any]] = cv2.initUndistortRectifyMap(
        DEPTH_MATRIX, DEPTH_DISTORTION, None, DEPTH_MATRIX, size, cv2.CV_32FC1
    )
    return maps
