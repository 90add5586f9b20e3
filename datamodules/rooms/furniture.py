"""Seats and beds, and the frame that all builders of furniture share.

Every builder returns a ``Furniture`` in its own frame: the back at y = -depth/2 (against the wall), the front towards
+y, the floor at z = 0, the middle at x = 0.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from datamodules.rooms.bodies import Item, Material, Part, ball, block, pole
from datamodules.rooms.palette import BLACK, METAL, SHADE, Palette, paint


@dataclass(frozen=True)
class Furniture:
    """Objects that are placed together.

    Attributes:
        items: the objects.
        width: extent along x, metres.
        depth: extent along y.
        height: extent along z; what hangs on a wall above starts higher.
    """

    items: tuple[Item, ...]
    width: float
    depth: float
    height: float


Builder = Callable[[np.random.Generator, Palette], Furniture]


def four_legs(w: float, d: float, h: float, thick: float, material: Material) -> list[Part]:
    """Return legs under the corners of a w x d rectangle."""
    x, y = w / 2 - thick, d / 2 - thick
    return [block(sx * x, sy * y, 0, thick, thick, h, material) for sx in (-1, 1) for sy in (-1, 1)]


def chair_item(rng: np.random.Generator, palette: Palette) -> Item:
    """Return a chair 0.45 x 0.48 m that faces +y."""
    wood, seat = (palette.dark, palette.fabric) if rng.random() < 0.5 else (palette.wood, palette.wood)
    high = rng.uniform(0.85, 1.0)
    back = [block(x, -0.2, 0.45, 0.035, 0.035, high - 0.45, wood) for x in (-0.19, 0.19)]
    rails = [block(0, -0.2, z, 0.36, 0.025, 0.09, wood) for z in np.linspace(0.58, high - 0.1, 3)]
    if rng.random() < 0.4:
        rails = [block(0, -0.2, 0.56, 0.4, 0.04, high - 0.58, seat)]
    return Item(
        "chair", (*four_legs(0.44, 0.46, 0.42, 0.04, wood), block(0, 0, 0.42, 0.44, 0.46, 0.05, seat), *back, *rails)
    )


def chair(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a wooden chair."""
    return Furniture((chair_item(rng, palette),), 0.5, 0.52, 1.0)


def office_chair_item(rng: np.random.Generator, palette: Palette) -> Item:
    """Return a swivel chair that faces +y."""
    fabric = palette.fabric if rng.random() < 0.6 else BLACK
    feet = [block(0, 0, 0.03, 0.56, 0.05, 0.04, BLACK)._replace(yaw=k * np.pi / 3) for k in range(3)]
    arms = [block(x, 0.02, 0.64, 0.05, 0.28, 0.04, BLACK) for x in (-0.27, 0.27)]
    posts = [block(x, 0.0, 0.46, 0.03, 0.04, 0.18, BLACK) for x in (-0.27, 0.27)]
    back = block(0, -0.24, 0.56, 0.46, 0.07, 0.5, fabric)._replace(tilt=0.12)
    stem = pole(0, 0, 0.05, 0.03, 0.38, METAL)
    return Item("chair", (*feet, stem, block(0, 0, 0.43, 0.5, 0.48, 0.08, fabric), back, *arms, *posts))


def stool(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a round bar stool."""
    high = rng.uniform(0.45, 0.72)
    legs = four_legs(0.32, 0.32, high, 0.03, palette.dark)
    return Furniture(
        (Item("stool", (*legs, pole(0, 0, high, 0.18, 0.05, palette.throw(rng)))),), 0.38, 0.38, high + 0.05
    )


def ottoman(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a drum to put the feet on."""
    return Furniture((Item("ottoman", (pole(0, 0, 0.0, 0.27, 0.4, palette.throw(rng)),)),), 0.56, 0.56, 0.4)


def _pillow(x: float, y: float, z: float, size: float, material: Material, tilt: float) -> Item:
    slab, belly = (
        block(x, y, z, size, 0.08, size * 0.75, material),
        ball(x, y, z + 0.01, size * 0.96, 0.2, size * 0.7, material),
    )
    return Item("pillow", (slab._replace(tilt=tilt), belly._replace(tilt=tilt)))


def sofa(rng: np.random.Generator, palette: Palette, seats: int | None = None) -> Furniture:
    """Return a sofa of two or three seats, with cushions and pillows."""
    seats = seats or int(rng.integers(2, 4))
    w, d = 0.64 * seats + 0.4, 0.92
    fabric = palette.fabric
    high = rng.uniform(0.78, 0.92)
    base = block(0, 0.02, 0.06, w - 0.04, d - 0.06, 0.26, fabric)
    arms = [block(x, 0.0, 0.06, 0.18, d, 0.54, fabric) for x in (-(w / 2 - 0.09), w / 2 - 0.09)]
    back = block(0, -d / 2 + 0.12, 0.06, w - 0.36, 0.24, high - 0.06, fabric)
    seams = [0.64 * (k - (seats - 1) / 2) for k in range(seats)]
    cushions = [block(x, 0.13, 0.32, 0.62, 0.64, 0.13, fabric) for x in seams]
    backs = [block(x, -0.16, 0.46, 0.6, 0.15, high - 0.5, fabric)._replace(tilt=0.15) for x in seams]
    items = [Item("sofa", (base, *arms, back, *cushions, *backs))]
    for side in (-1, 1):
        if rng.random() < 0.6:
            items.append(_pillow(side * (w / 2 - 0.4), 0.05, 0.45, 0.42, palette.throw(rng), rng.uniform(0.2, 0.4)))
    return Furniture(tuple(items), w, d + 0.05, high)


def armchair(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a sofa for one."""
    return sofa(rng, replace(palette, fabric=palette.throw(rng)) if rng.random() < 0.5 else palette, 1)


def bed(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a bed, head to the wall, with pillows, a duvet and night stands."""
    w, d = rng.uniform(1.0, 1.8), 2.05
    head = rng.uniform(0.9, 1.2)
    sheet = paint("e6e2da")
    frame = block(0, 0, 0.08, w, d - 0.04, 0.22, palette.wood)
    legs = four_legs(w, d - 0.1, 0.08, 0.08, palette.wood)
    parts = (
        frame,
        *legs,
        block(0, 0.02, 0.3, w - 0.04, d - 0.1, 0.22, sheet),
        block(0, -d / 2 + 0.03, 0, w, 0.06, head, palette.wood),
    )
    duvet_depth = d * rng.uniform(0.55, 0.72)
    duvet = block(0, d / 2 - duvet_depth / 2, 0.26, w + 0.03, duvet_depth, 0.3, palette.linen)
    items = [Item("bed", (*parts, duvet))]
    if rng.random() < 0.5:
        items.append(Item("blanket", (block(0, d / 2 - 0.35, 0.24, w + 0.06, 0.5, 0.34, palette.throw(rng)),)))
    pillows = 2 if w > 1.3 else 1
    for k in range(pillows):
        x = (k - (pillows - 1) / 2) * w * 0.48
        cushion = ball(
            x, -d / 2 + 0.32, 0.5, min(0.66, w * 0.46), 0.42, 0.2, palette.throw(rng) if rng.random() < 0.4 else sheet
        )
        items.append(Item("pillow", (cushion._replace(tilt=0.25),)))
    sides = [side for side in (-1, 1) if rng.random() < 0.75]
    for side in sides:
        items += [item.moved(side * (w / 2 + 0.3), -d / 2 + 0.24) for item in night_stand(rng, palette).items]
    return Furniture(tuple(items), w + (1.12 if sides else 0.06), d, head)


def night_stand(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a night stand with a drawer, often with a lamp on it."""
    high = rng.uniform(0.48, 0.6)
    drawers = [block(0, 0.2, z, 0.38, 0.02, 0.17, palette.wood) for z in (0.08, high - 0.22)]
    knobs = [ball(0, 0.22, z, 0.03, 0.03, 0.03, METAL) for z in (0.15, high - 0.15)]
    items = [Item("night stand", (block(0, -0.02, 0.02, 0.44, 0.4, high - 0.02, palette.wood), *drawers, *knobs))]
    if rng.random() < 0.75:
        items += [item.moved(0.04, -0.04, high) for item in table_lamp(rng, palette)]
    else:
        items.append(Item("book", (block(-0.06, 0, high, 0.15, 0.2, 0.04, palette.accent(rng)),)))
    return Furniture(tuple(items), 0.48, 0.48, high)


def vase(x: float, y: float, z: float, h: float, material: Material) -> Item:
    """Return a vase of height ``h``: belly, neck and lip."""
    belly, neck = (
        ball(x, y, z - 0.01, h * 0.6, h * 0.6, h * 0.75, material),
        pole(x, y, z, h * 0.13, h * 0.95, material),
    )
    return Item("vase", (belly, neck, pole(x, y, z + h * 0.93, h * 0.2, h * 0.07, material)))


def table_lamp(rng: np.random.Generator, palette: Palette) -> list[Item]:
    """Return a lamp that stands on furniture."""
    base = [pole(0, 0, 0, 0.07, 0.02, palette.dark), ball(0, 0, 0.02, 0.13, 0.13, 0.2, palette.accent(rng))]
    return [
        Item(
            "lamp", (*base, pole(0, 0, 0.2, 0.012, 0.1, METAL), pole(0, 0, 0.27, 0.13, 0.19, SHADE)), casts_shadow=False
        )
    ]
