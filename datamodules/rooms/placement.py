"""Placing furniture in a room without collisions."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.rooms.bodies import Item, Vector
from datamodules.rooms.furniture import Furniture

#: Inward normals of the walls x-, x+, y-, y+.
INWARD = ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))

#: Random positions tried for a piece of furniture before it is left out.
ATTEMPTS = 30


class Volume(NamedTuple):
    """Upright box: centre (x, y), turn, width, depth and the heights it spans."""

    x: float
    y: float
    yaw: float
    width: float
    depth: float
    low: float
    high: float

    def axes(self) -> NDArray[np.float64]:
        """Return (2, 2) unit vectors along width and depth, in rows."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[cos, sin], [-sin, cos]])

    def corners(self) -> NDArray[np.float64]:
        """Return (4, 2) corners of the footprint."""
        half = self.axes() * np.array([[self.width / 2], [self.depth / 2]])
        return np.array([self.x, self.y]) + np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) @ half

    def meets(self, other: "Volume") -> bool:
        """Return whether two volumes overlap, by separating axes."""
        if self.low >= other.high or other.low >= self.high:
            return False
        for axis in (*self.axes(), *other.axes()):
            one, two = self.corners() @ axis, other.corners() @ axis
            if one.max() <= two.min() + 1e-9 or two.max() <= one.min() + 1e-9:
                return False
        return True


class Layout:
    """A room that fills up.

    Args:
        rng: source of positions.
        room: width, depth, height, metres; the origin is the middle of the floor.
    """

    def __init__(self, rng: np.random.Generator, room: Vector) -> None:
        self.rng = rng
        self.room = room
        self.items: list[Item] = []
        self.volumes: list[Volume] = []

    def at_wall(
        self,
        furniture: Furniture,
        *,
        z: float = 0.0,
        wall: int | None = None,
        gap: float = 0.01,
        keep_clear: float = 0.0,
    ) -> Volume | None:
        """Place furniture with its back to a wall and return its volume; None where it does not fit.

        Args:
            furniture: what to place.
            z: height at which it hangs.
            wall: index into ``INWARD``; None tries any.
            gap: distance to the wall, metres.
            keep_clear: depth of the floor in front that must stay empty, metres.
        """
        for _ in range(ATTEMPTS):
            side = int(self.rng.integers(4)) if wall is None else wall
            nx, ny = INWARD[side]
            length, across = (self.room[1], self.room[0]) if nx else (self.room[0], self.room[1])
            slack = length - furniture.width - 0.04
            if slack < 0:
                continue
            # Corners are popular places for furniture: half of the time snap to one end of the slack.
            along = (
                self.rng.choice([0.01, 0.99]) if self.rng.random() < 0.3 else self.rng.random()
            ) * slack - slack / 2
            out = across / 2 - gap - (furniture.depth + keep_clear) / 2
            x, y = (-nx * out, along) if nx else (along, -ny * out)
            yaw = float(np.arctan2(-nx, ny))
            volume = Volume(x, y, yaw, furniture.width, furniture.depth + keep_clear, z, z + furniture.height)
            if self._free(volume):
                shift = keep_clear / 2
                self._add(furniture, x - nx * shift, y - ny * shift, z, yaw, volume)
                return volume
        return None

    def in_middle(self, furniture: Furniture, *, margin: float = 0.6, quarter_turns: bool = True) -> Volume | None:
        """Place furniture away from the walls and return its volume; None where it does not fit."""
        for _ in range(ATTEMPTS):
            yaw = float(self.rng.integers(4)) * np.pi / 2 + self.rng.normal(0, 0.04)
            if not quarter_turns:
                yaw = self.rng.uniform(0, 2 * np.pi)
            reach = np.abs(Volume(0, 0, yaw, furniture.width, furniture.depth, 0, 1).corners()).max(axis=0) + margin
            room = np.array(self.room[:2]) / 2 - reach
            if (room < 0).any():
                continue
            x, y = self.rng.uniform(-room, room)
            volume = Volume(x, y, yaw, furniture.width, furniture.depth, 0, furniture.height)
            if self._free(volume):
                self._add(furniture, x, y, 0, yaw, volume)
                return volume
        return None

    def _free(self, volume: Volume) -> bool:
        return not any(volume.meets(other) for other in self.volumes)

    def _add(self, furniture: Furniture, x: float, y: float, z: float, yaw: float, volume: Volume) -> None:
        self.items += [item.moved(x, y, z, yaw) for item in furniture.items]
        self.volumes.append(volume)
