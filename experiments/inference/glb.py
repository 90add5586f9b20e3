"""A depth map as a surface in a GLB file (glTF 2.0), which every viewer of models shows."""

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from callbacks.pictures.colors import Picture
from callbacks.pictures.point_clouds import back_project, grid_stride

#: A surface has a gap where neighbouring depths differ by more than this share: between an object and what is behind.
LARGEST_STEP = 0.1

#: Numbers of the glTF 2.0 specification.
FLOAT, UNSIGNED_BYTE, UNSIGNED_INT = 5126, 5121, 5125
VERTICES, INDICES = 34962, 34963
GLTF, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942


@dataclass(frozen=True)
class Surface:
    """Triangles between the points of a depth map.

    Attributes:
        positions: (N, 3) float32 metres: x right, y up, z towards the camera.
        colors: (N, 3) uint8.
        triangles: (T, 3) uint32 indices of points, counter-clockwise as the camera sees them.
    """

    positions: NDArray[np.float32]
    colors: Picture
    triangles: NDArray[np.uint32]


def surface_of(
    depth: NDArray[np.float32], image: Picture, intrinsics: torch.Tensor, points: int, *, radial: bool = False
) -> Surface:
    """Return the surface of a depth map, with gaps where depth jumps.

    Args:
        depth: (H, W) metres; without a point where it is not finite and positive.
        image: (H, W, 3), for the colours.
        intrinsics: (3, 3) camera matrix.
        points: how many it has at most.
        radial: depth is the distance to the camera instead of z.
    """
    stride = grid_stride(depth.shape, points)
    seen = depth[::stride, ::stride].astype(np.float64)
    rows, columns = np.mgrid[: depth.shape[0] : stride, : depth.shape[1] : stride]
    known = np.isfinite(seen) & (seen > 0)
    number = np.where(known, np.cumsum(known).reshape(known.shape) - 1, 0)
    # the corners of each square of four points: upper left, lower left, upper right, lower right
    corners = [np.s_[:-1, :-1], np.s_[1:, :-1], np.s_[:-1, 1:], np.s_[1:, 1:]]
    depths = np.stack([np.where(known, seen, np.nan)[corner] for corner in corners])
    with np.errstate(invalid="ignore"):
        whole = depths.max(axis=0) - depths.min(axis=0) <= LARGEST_STEP * depths.min(axis=0)  # false of a NaN
    a, b, c, d = (number[corner][whole] for corner in corners)
    triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([c, b, d], axis=1)])
    positions = back_project(rows[known], columns[known], seen[known], intrinsics, radial)
    return Surface(
        positions.astype(np.float32), image[rows[known], columns[known]].astype(np.uint8), triangles.astype(np.uint32)
    )


def glb_bytes(surface: Surface) -> bytes:
    """Return a surface as the content of a GLB file; its colours are shown as they are, without light.

    Layout: Khronos, glTF 2.0 specification, sections 3 and 4. Where there are no triangles, the points are there alone.
    """
    colors = np.full((len(surface.colors), 4), 255, dtype=np.uint8)  # a row of four bytes, as vertices must be aligned
    colors[:, :3] = linear(surface.colors)
    parts = [surface.positions.astype("<f4"), colors, surface.triangles.astype("<u4")]
    parts = parts if len(surface.triangles) else parts[:2]
    views, offset = [], 0
    for part, target in zip(parts, (VERTICES, VERTICES, INDICES), strict=False):
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": part.nbytes, "target": target})
        offset += part.nbytes
    low, high = (surface.positions.min(axis=0), surface.positions.max(axis=0)) if len(surface.positions) else (0, 0)
    accessors: list[dict[str, Any]] = [
        {"componentType": FLOAT, "type": "VEC3", "min": np.ravel(low).tolist(), "max": np.ravel(high).tolist()},
        {"componentType": UNSIGNED_BYTE, "type": "VEC4", "normalized": True},
        {"componentType": UNSIGNED_INT, "type": "SCALAR"},
    ]
    accessors = [
        {"bufferView": view, "count": part.size if view == 2 else len(part), **accessor}
        for view, (part, accessor) in enumerate(zip(parts, accessors, strict=False))
    ]
    primitive: dict[str, Any] = {"attributes": {"POSITION": 0, "COLOR_0": 1}, "material": 0}
    primitive |= {"indices": 2, "mode": 4} if len(parts) == 3 else {"mode": 0}
    document = {
        "asset": {"version": "2.0", "generator": "segdepth"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [{"extensions": {"KHR_materials_unlit": {}}, "doubleSided": True}],
        "extensionsUsed": ["KHR_materials_unlit"],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": accessors,
    }
    text = json.dumps(document).encode()
    chunks = chunk(JSON_CHUNK, text, b" ") + chunk(BINARY_CHUNK, b"".join(part.tobytes() for part in parts), b"\0")
    return struct.pack("<III", GLTF, 2, 12 + len(chunks)) + chunks


def linear(colors: Picture) -> Picture:
    """Return sRGB colours (N, 3) in the linear scale of glTF's vertex colours, of 8 bits."""
    values = colors / 255
    straight = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return (straight * 255).round().astype(np.uint8)


def chunk(kind: int, content: bytes, filler: bytes) -> bytes:
    """Return a chunk of a GLB file, filled up to a multiple of four bytes."""
    content += filler * (-len(content) % 4)
    return struct.pack("<II", len(content), kind) + content
