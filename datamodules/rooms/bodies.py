"""The vocabulary of a scene: bodies, materials, objects, and the tensors that the ray caster reads.

World frame: x to the right, y away, z up, metres, the origin in the middle of the floor. Every body is convex: the unit
box, unit cylinder or unit ball under a scaling, a rotation and a shift, so that one affine map per body takes rays to
the unit body and keeps their parameter t.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.classes import FURNITURE

Colour = tuple[float, float, float]
Vector = tuple[float, float, float]

#: `instances` is uint8 in NYUv2 and counted per class.
MAX_INSTANCES = 255


class Kind(IntEnum):
    """Shape of a body: |x|, |y|, |z| <= 1; x^2 + y^2 <= 1 and |z| <= 1; |p| <= 1."""

    BOX = 0
    CYLINDER = 1
    ELLIPSOID = 2


class Pattern(IntEnum):
    """Procedural texture of a surface; see ``textures.py``."""

    PLAIN = 0
    WOOD = 1
    PLANKS = 2
    TILES = 3
    CHECKER = 4
    STRIPES = 5
    FABRIC = 6
    BOOKS = 7
    MARBLE = 8
    PAINTING = 9
    RUG = 10
    GRADIENT = 11
    SLATS = 12


@dataclass(frozen=True)
class Material:
    """Texture of a body.

    Attributes:
        pattern: the texture.
        colour: main albedo, linear RGB in 0..1.
        second: the pattern's other albedo (grout, stripe, grain).
        scale: period of the pattern, metres.
        emission: radiance added to the reflected light, in multiples of the albedo; lamps and window panes shine.
    """

    pattern: Pattern = Pattern.PLAIN
    colour: Colour = (0.6, 0.6, 0.6)
    second: Colour = (0.3, 0.3, 0.3)
    scale: float = 0.1
    emission: float = 0.0


class Part(NamedTuple):
    """One body of an object; ``yaw`` turns about z, after ``tilt`` about the part's own x axis (radians)."""

    kind: Kind
    centre: Vector
    half: Vector
    material: Material
    yaw: float = 0.0
    tilt: float = 0.0

    def moved(self, x: float, y: float, z: float, yaw: float) -> "Part":
        """Return the part after a turn by ``yaw`` about the origin's z axis and a shift."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        px, py, pz = self.centre
        centre = (x + cos * px - sin * py, y + sin * px + cos * py, z + pz)
        return self._replace(centre=centre, yaw=self.yaw + yaw)

    def rotation(self) -> NDArray[np.float64]:
        """Return (3, 3) rotation from the part's frame to the frame that ``centre`` is given in."""
        cy, sy, ct, st = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.tilt), np.sin(self.tilt)
        return np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, ct, -st], [0, st, ct]])


def block(x: float, y: float, z: float, w: float, d: float, h: float, material: Material) -> Part:
    """Return a box of size w x d x h standing on height ``z``, centred at (x, y)."""
    return Part(Kind.BOX, (x, y, z + h / 2), (w / 2, d / 2, h / 2), material)


def pole(x: float, y: float, z: float, radius: float, h: float, material: Material) -> Part:
    """Return an upright cylinder standing on height ``z``."""
    return Part(Kind.CYLINDER, (x, y, z + h / 2), (radius, radius, h / 2), material)


def ball(x: float, y: float, z: float, w: float, d: float, h: float, material: Material) -> Part:
    """Return an ellipsoid of size w x d x h standing on height ``z``."""
    return Part(Kind.ELLIPSOID, (x, y, z + h / 2), (w / 2, d / 2, h / 2), material)


@dataclass(frozen=True)
class Item:
    """One object: all its parts share one instance.

    Attributes:
        name: one of NYUv2's 894 class names.
        parts: the bodies.
        casts_shadow: false for what lies flat on a surface and for what shines.
    """

    name: str
    parts: tuple[Part, ...]
    casts_shadow: bool = True

    def moved(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> "Item":
        """Return the item after a turn by ``yaw`` about the origin's z axis and a shift."""
        return replace(self, parts=tuple(part.moved(x, y, z, yaw) for part in self.parts))


@dataclass(frozen=True)
class AreaLight:
    """A parallelogram that shines to the side of ``normal``.

    Attributes:
        centre: middle of the light, metres.
        axes: the two half edges.
        normal: unit vector.
        colour: radiant intensity along the normal, linear RGB.
    """

    centre: Vector
    axes: tuple[Vector, Vector]
    normal: Vector
    colour: Colour


@dataclass(frozen=True)
class Scene:
    """A furnished room as tensors: ``P`` bodies, then the room's own six faces, S = P + 6 surfaces in all.

    The faces come in the order x-, x+, y-, y+ (walls), floor, ceiling; their ``centre`` and ``half`` are the room's.

    Attributes:
        kind: (P,) int64, a ``Kind``.
        casts_shadow: (P,) bool.
        centre: (S, 3) float32, metres.
        half: (S, 3) float32 half sizes along the body's own axes, metres.
        rotation: (S, 3, 3) float32, body to world.
        label: (S,) int64, NYUv2's fine class id, 1..894.
        instance: (S,) int64, counted per class from 1.
        pattern: (S,) int64, a ``Pattern``.
        colours: (S, 2, 3) float32, linear RGB.
        scale: (S,) float32, metres.
        emission: (S,) float32.
        lights: (L, 5, 3) float32: centre, two half edges, normal, colour of each light.
        ambient: (2, 3) float32: light from above and from below, linear RGB.
    """

    kind: Tensor
    casts_shadow: Tensor
    centre: Tensor
    half: Tensor
    rotation: Tensor
    label: Tensor
    instance: Tensor
    pattern: Tensor
    colours: Tensor
    scale: Tensor
    emission: Tensor
    lights: Tensor
    ambient: Tensor

    @property
    def bodies(self) -> int:
        """Return the number of bodies, the room's faces not counted."""
        return len(self.kind)

    def to(self, device: torch.device | str) -> "Scene":
        """Return the scene on ``device``."""
        return Scene(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def assemble(
    items: Iterable[Item],
    room: Vector,
    faces: Sequence[Material],
    lights: Sequence[AreaLight],
    ambient: tuple[Colour, Colour],
) -> Scene:
    """Stack objects and room into tensors.

    Args:
        items: the objects.
        room: width (x), depth (y) and height (z) of the room, metres.
        faces: materials of the six faces: x-, x+, y-, y+, floor, ceiling.
        lights: the lights.
        ambient: light from above and from below.

    Raises:
        KeyError: if an item's name is not one of Rooms' classes.
        ValueError: if a class has more than 255 objects, the limit of the file format.
    """
    ids = {name: number for name, (number, _) in FURNITURE.items()}
    counts: Counter[str] = Counter()
    parts: list[Part] = []
    labels, instances, shadows = [], [], []
    for item in items:
        if item.name not in ids:
            raise KeyError(f"`{item.name}` is not in `FURNITURE` of datamodules/classes.py")
        counts[item.name] += 1
        if counts[item.name] > MAX_INSTANCES:
            raise ValueError(
                f"more than {MAX_INSTANCES} objects of class `{item.name}` in one scene: uint8 holds no more"
            )
        parts += item.parts
        labels += [ids[item.name]] * len(item.parts)
        instances += [counts[item.name]] * len(item.parts)
        shadows += [item.casts_shadow] * len(item.parts)
    materials = [part.material for part in parts] + list(faces)
    width, depth, height = room
    float32 = torch.float32
    return Scene(
        kind=torch.tensor([part.kind for part in parts], dtype=torch.int64),
        casts_shadow=torch.tensor(shadows, dtype=torch.bool),
        centre=torch.tensor([part.centre for part in parts] + [(0, 0, height / 2)] * 6, dtype=float32),
        half=torch.tensor([part.half for part in parts] + [(width / 2, depth / 2, height / 2)] * 6, dtype=float32),
        rotation=torch.tensor(np.stack([part.rotation() for part in parts] + [np.eye(3)] * 6), dtype=float32),
        label=torch.tensor(labels + [ids["wall"]] * 4 + [ids["floor"], ids["ceiling"]]),
        instance=torch.tensor([*instances, 1, 2, 3, 4, 1, 1]),
        pattern=torch.tensor([material.pattern for material in materials], dtype=torch.int64),
        colours=torch.tensor([(material.colour, material.second) for material in materials], dtype=float32),
        scale=torch.tensor([material.scale for material in materials], dtype=float32),
        emission=torch.tensor([material.emission for material in materials], dtype=float32),
        lights=torch.tensor(
            [(light.centre, *light.axes, light.normal, light.colour) for light in lights], dtype=float32
        ).reshape(-1, 5, 3),
        ambient=torch.tensor(ambient, dtype=float32),
    )
