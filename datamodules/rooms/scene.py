"""Procedural rooms: what a scene of a given type is furnished with, and how it is lit."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from datamodules.rooms import cabinets as storage
from datamodules.rooms import fixtures, furniture, tables
from datamodules.rooms.bodies import AreaLight, Colour, Material, Scene, Vector, assemble
from datamodules.rooms.furniture import Builder, Furniture
from datamodules.rooms.palette import Palette, paint
from datamodules.rooms.placement import INWARD, Layout, Volume


class Place(NamedTuple):
    """One line of a programme: what, where (``wall`` or ``middle``), and how probably."""

    build: Builder
    where: str
    chance: float = 1.0


class Programme(NamedTuple):
    """What a type of scene consists of.

    Attributes:
        places: furniture, the most important first.
        decor: what hangs on walls.
        width: least and largest extent of the room's longer side, metres.
        depth: of its shorter side.
        wet: tiles on the floor.
        office: carpet, panels in the ceiling.
    """

    places: tuple[Place, ...]
    decor: tuple[Builder, ...]
    width: tuple[float, float]
    depth: tuple[float, float]
    wet: bool = False
    office: bool = False


_SMALL = (
    Place(fixtures.plant, "wall", 0.5),
    Place(fixtures.floor_lamp, "wall", 0.4),
    Place(fixtures.boxes, "wall", 0.35),
    Place(fixtures.garbage_bin, "wall", 0.4),
    Place(fixtures.bag, "middle", 0.35),
)
_HOME = (fixtures.picture, fixtures.picture, fixtures.picture, fixtures.mirror, fixtures.wall_shelf, fixtures.clock)
_WORK = (fixtures.whiteboard, fixtures.picture, fixtures.clock, fixtures.wall_shelf, fixtures.picture)

PROGRAMMES: dict[str, Programme] = {
    "bedroom": Programme(
        (
            Place(furniture.bed, "wall"),
            Place(storage.wardrobe, "wall", 0.8),
            Place(storage.dresser, "wall", 0.8),
            Place(tables.desk, "wall", 0.5),
            Place(storage.bookshelf, "wall", 0.5),
            Place(furniture.armchair, "middle", 0.25),
            Place(furniture.chair, "wall", 0.4),
            Place(fixtures.basket, "wall", 0.5),
            *_SMALL,
        ),
        _HOME,
        (3.6, 5.6),
        (3.2, 4.6),
    ),
    "living_room": Programme(
        (
            Place(tables.sofa_group, "wall"),
            Place(storage.tv_stand, "wall", 0.9),
            Place(storage.bookshelf, "wall", 0.8),
            Place(furniture.armchair, "middle", 0.7),
            Place(storage.sideboard, "wall", 0.5),
            Place(furniture.sofa, "middle", 0.35),
            Place(furniture.ottoman, "middle", 0.5),
            Place(fixtures.floor_lamp, "wall", 0.5),
            *_SMALL,
        ),
        _HOME,
        (4.4, 7.4),
        (3.8, 5.8),
    ),
    "kitchen": Programme(
        (
            Place(storage.kitchen_run, "wall"),
            Place(storage.refrigerator, "wall", 0.95),
            Place(storage.kitchen_run, "wall", 0.5),
            Place(tables.dining_set, "middle", 0.8),
            Place(furniture.stool, "middle", 0.5),
            Place(furniture.stool, "middle", 0.5),
            Place(fixtures.garbage_bin, "wall", 0.8),
            Place(storage.sideboard, "wall", 0.3),
            *_SMALL[2:],
        ),
        (fixtures.picture, fixtures.clock, fixtures.wall_shelf),
        (3.6, 5.4),
        (3.1, 4.6),
        wet=True,
    ),
    "dining_room": Programme(
        (
            Place(tables.dining_set, "middle"),
            Place(storage.sideboard, "wall", 0.9),
            Place(storage.bookshelf, "wall", 0.5),
            Place(storage.dresser, "wall", 0.4),
            Place(furniture.chair, "wall", 0.6),
            Place(furniture.chair, "wall", 0.5),
            Place(fixtures.plant, "wall", 0.6),
            *_SMALL,
        ),
        _HOME,
        (3.9, 6.2),
        (3.5, 4.8),
    ),
    "office": Programme(
        (
            Place(tables.desk, "wall"),
            Place(tables.desk, "wall", 0.8),
            Place(tables.desk, "middle", 0.4),
            Place(storage.bookshelf, "wall", 0.8),
            Place(storage.file_cabinet, "wall", 0.8),
            Place(storage.file_cabinet, "wall", 0.5),
            Place(storage.wardrobe, "wall", 0.3),
            Place(furniture.chair, "middle", 0.5),
            *_SMALL,
        ),
        _WORK,
        (3.6, 6.2),
        (3.2, 4.8),
        office=True,
    ),
    "study": Programme(
        (
            Place(tables.desk, "wall"),
            Place(storage.bookshelf, "wall"),
            Place(storage.bookshelf, "wall", 0.8),
            Place(furniture.sofa, "wall", 0.5),
            Place(furniture.armchair, "middle", 0.6),
            Place(storage.file_cabinet, "wall", 0.4),
            Place(tables.coffee_table, "middle", 0.4),
            *_SMALL,
        ),
        _HOME,
        (3.4, 5.2),
        (3.1, 4.4),
    ),
    "bathroom": Programme(
        (
            Place(storage.bathtub, "wall", 0.9),
            Place(storage.vanity, "wall"),
            Place(storage.toilet, "wall"),
            Place(storage.wardrobe, "wall", 0.3),
            Place(fixtures.basket, "wall", 0.7),
            Place(fixtures.garbage_bin, "wall", 0.6),
            Place(furniture.stool, "wall", 0.4),
        ),
        (fixtures.towel, fixtures.towel, fixtures.picture),
        (3.1, 4.2),
        (3.0, 3.6),
        wet=True,
    ),
    "classroom": Programme(
        (
            Place(tables.school_row, "middle"),
            Place(tables.school_row, "middle"),
            Place(tables.school_row, "middle", 0.8),
            Place(tables.school_row, "middle", 0.7),
            Place(tables.desk, "wall", 0.6),
            Place(storage.bookshelf, "wall", 0.7),
            Place(storage.wardrobe, "wall", 0.5),
            *_SMALL[2:],
        ),
        (fixtures.whiteboard, *_WORK),
        (5.6, 7.6),
        (4.4, 5.8),
        office=True,
    ),
}

SCENE_TYPES = tuple(PROGRAMMES)

_DAYLIGHT: tuple[Colour, ...] = ((1.0, 0.98, 0.95), (0.92, 0.97, 1.0), (1.0, 0.9, 0.76))
_LAMPLIGHT: tuple[Colour, ...] = ((1.0, 0.84, 0.62), (1.0, 0.9, 0.74), (1.0, 0.98, 0.95))


def build_scene(scene_type: str, seed: int, index: int) -> Scene:
    """Return a furnished, lit room.

    Args:
        scene_type: one of ``SCENE_TYPES``.
        seed: of the data set.
        index: of the scene in it.
    """
    programme = PROGRAMMES[scene_type]
    rng = np.random.default_rng([seed, index, 0])
    palette = Palette.draw(rng, wet=programme.wet, office=programme.office)
    sides = rng.uniform(*programme.width), rng.uniform(*programme.depth)
    room: Vector = (*(sides if rng.random() < 0.5 else sides[::-1]), rng.uniform(2.4, 3.0))
    layout = Layout(rng, room)
    daylight = bool(rng.random() < 0.65)
    layout.at_wall(fixtures.door(rng, palette), gap=0.0, keep_clear=0.75)
    windows = _hang_windows(layout, palette, daylight=daylight)
    _furnish(layout, programme, palette)
    for build in programme.decor:
        if rng.random() < 0.75:
            layout.at_wall(_hung_over_nothing(build(rng, palette)), z=rng.uniform(1.25, 1.5), gap=0.0)
    lit = not windows or not daylight or bool(rng.random() < 0.4)
    layout.items.append(fixtures.ceiling_lamp(rng, lit=lit, office=programme.office).moved(0, 0, room[2]))
    lights = _window_lights(rng, windows) if daylight else []
    if lit:
        lights.append(_ceiling_light(rng, room, strength=2.0 if lights else 4.5))
    return assemble(layout.items, room, _faces(rng, palette), lights, _ambient(rng, palette, daylight=daylight))


def _furnish(layout: Layout, programme: Programme, palette: Palette) -> None:
    rng = layout.rng
    for place in programme.places:
        if rng.random() >= place.chance:
            continue
        piece = place.build(rng, palette)
        if place.where == "wall":
            layout.at_wall(piece, gap=rng.uniform(0.01, 0.05))
        else:
            layout.in_middle(piece, quarter_turns=piece.width > 1.0)


def _hung_over_nothing(piece: Furniture) -> Furniture:
    """Decor claims a hand's breadth around itself, so that frames do not touch."""
    return replace(piece, width=piece.width + 0.15, height=piece.height + 0.1)


def _hang_windows(layout: Layout, palette: Palette, *, daylight: bool) -> list[Volume]:
    """Up to two windows, sometimes a radiator below; their volumes."""
    rng, found = layout.rng, []
    for _ in range(int(rng.choice([0, 1, 2], p=[0.1, 0.55, 0.35]))):
        sill = rng.uniform(0.85, 1.05)
        top = min(layout.room[2] - 0.3, sill + rng.uniform(1.0, 1.4))
        piece = fixtures.window(rng, palette, rng.uniform(0.9, 1.9), top - sill, daylight=daylight)
        volume = layout.at_wall(piece, z=sill, gap=0.0)
        if volume is not None:
            found.append(volume._replace(width=piece.width - 0.5, high=top))
    if found and rng.random() < 0.5:
        layout.at_wall(fixtures.radiator(rng, palette), gap=0.0)
    return found


def _window_lights(rng: np.random.Generator, windows: list[Volume]) -> list[AreaLight]:
    """Daylight through the largest window, from just inside its curtains."""
    colour = np.array(_DAYLIGHT[int(rng.integers(len(_DAYLIGHT)))]) * rng.uniform(4.0, 8.0)
    lights = []
    for window in sorted(windows, key=lambda volume: -volume.width)[:1]:
        along, inward = window.axes()
        middle, height = (window.low + window.high) / 2, (window.high - window.low) / 2
        x, y = np.array([window.x, window.y]) + 0.12 * inward
        axes = ((*(along * window.width * 0.45), 0.0), (0.0, 0.0, height * 0.9))
        lights.append(AreaLight((x, y, middle), axes, (*inward, 0.0), tuple(colour * window.width / 1.3)))
    return lights


def _ceiling_light(rng: np.random.Generator, room: Vector, *, strength: float) -> AreaLight:
    colour = np.array(_LAMPLIGHT[int(rng.integers(len(_LAMPLIGHT)))]) * strength
    size = 0.25
    return AreaLight((0, 0, room[2] - 0.12), ((size, 0, 0), (0, size, 0)), (0, 0, -1), tuple(colour))


def _faces(rng: np.random.Generator, palette: Palette) -> list[Material]:
    """Walls, one of them sometimes in another colour; floor; ceiling."""
    walls = [palette.wall] * 4
    if rng.random() < 0.3:
        accent = ("7c8f8a", "b06f4f", "8a93a8", "6f7d5c", "c9a86a", "94606a")
        walls[int(rng.integers(len(INWARD)))] = paint(accent[int(rng.integers(len(accent)))])
    return [*walls, palette.floor, palette.ceiling]


def _ambient(rng: np.random.Generator, palette: Palette, *, daylight: bool) -> tuple[Colour, Colour]:
    """Light from above, and light from below tinted by the floor."""
    tint = np.array((0.95, 0.98, 1.0) if daylight else (1.0, 0.93, 0.82))
    level = rng.uniform(0.45, 0.7)
    bounce = 0.6 + 0.4 * np.array(palette.floor.colour) / max(palette.floor.colour)
    return tuple(tint * level), tuple(tint * bounce * level * 0.85)
