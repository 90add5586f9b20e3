"""What belongs to the building or hangs on it: door, windows, pictures, lamps; and small things on the floor.

The frame is that of ``furniture.py``; for what hangs on a wall z = 0 is the height at which it is hung.
"""

import numpy as np

from datamodules.rooms.bodies import Item, Material, Part, Pattern, ball, block, pole
from datamodules.rooms.cabinets import MIRROR
from datamodules.rooms.furniture import Furniture, vase
from datamodules.rooms.palette import (
    BLACK,
    CERAMIC,
    LEAF,
    METAL,
    PAPER,
    PLAIN_WHITE,
    SHADE,
    Palette,
    cloth,
    paint,
    srgb,
    two_tone,
)

WHITE_BOARD = Material(Pattern.MARBLE, srgb("f3f4f3"), srgb("e2e6e8"), 0.5)


def door(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a closed door in its frame."""
    w, h = rng.uniform(0.8, 0.95), 2.03
    leaf = PLAIN_WHITE if rng.random() < 0.5 else palette.wood
    panels = [
        block(x, 0.024, z, w * 0.32, 0.012, t, leaf) for x in (-w / 4.4, w / 4.4) for z, t in ((0.2, 0.7), (1.05, 0.8))
    ]
    handle = (
        block(w / 2 - 0.13, 0.06, 1.02, 0.12, 0.02, 0.02, METAL),
        block(w / 2 - 0.08, 0.035, 0.96, 0.04, 0.01, 0.14, METAL),
    )
    frame = [block(x, 0.0, 0, 0.08, 0.06, h + 0.08, PLAIN_WHITE) for x in (-(w / 2 + 0.04), w / 2 + 0.04)]
    lintel = block(0, 0, h, w + 0.16, 0.06, 0.08, PLAIN_WHITE)
    items = (
        Item("door", (block(0, -0.005, 0, w, 0.05, h, leaf), *panels, *handle)),
        Item("door frame", (*frame, lintel)),
    )
    return Furniture(items, w + 0.18, 0.06, h + 0.1)


def window(rng: np.random.Generator, palette: Palette, w: float, h: float, *, daylight: bool) -> Furniture:
    """Return a window of w x h, hung at its sill; blinds or curtains by chance."""
    sky = ("dfeaf5 8fb6de" if rng.random() < 0.6 else "f4f4f0 c9d4dc") if daylight else "0b0e16 1a2233"
    glass = two_tone(Pattern.GRADIENT, sky, 1.0)
    shine = 2.5 if daylight else 0.0
    pane = block(0, -0.09, 0, w, 0.02, h, Material(glass.pattern, glass.colour, glass.second, 1.0, shine))
    bars = [block(x, -0.065, 0, 0.06, 0.07, h, PLAIN_WHITE) for x in np.linspace(-w / 2, w / 2, 2 + (w > 1.1))]
    rails = [block(0, -0.065, z, w + 0.06, 0.07, 0.06, PLAIN_WHITE) for z in (-0.03, h - 0.03)]
    sill = block(0, -0.03, -0.07, w + 0.16, 0.14, 0.04, PLAIN_WHITE)
    items = [Item("window", (pane,), casts_shadow=False), Item("window frame", (*bars, *rails, sill))]
    dressing = rng.random()
    if dressing < 0.35:
        drop = h * rng.uniform(0.25, 0.6)
        slats = Material(Pattern.SLATS, srgb("efece2"), srgb("a9a595"), 0.05, 0.25 if daylight else 0.0)
        items.append(Item("blinds", (block(0, -0.02, h - drop, w, 0.02, drop, slats),), casts_shadow=False))
    elif dressing < 0.8:
        stuff = palette.throw(rng)
        for side in (-1, 1):
            folds = [pole(side * (w / 2 + 0.16 - 0.075 * k), 0.03, -0.1, 0.045, h + 0.25, stuff) for k in range(4)]
            items.append(Item("curtain", tuple(folds)))
        items.append(Item("curtain rod", (block(0, 0.03, h + 0.15, w + 0.5, 0.02, 0.02, METAL),)))
    return Furniture(tuple(items), w + 0.5, 0.2, h + 0.2)


def picture(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a framed picture."""
    w, h = rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.7)
    codes = ("c9d6df 3d5a45", "e8d7b0 8c3f2a", "2f4a63 e0b060", "ded9cf 4a4a50", "7d9a6a e6d5c0", "a34a3c 24303e")
    canvas = two_tone(Pattern.PAINTING, codes[int(rng.integers(len(codes)))], rng.uniform(0.15, 0.4))
    frame = palette.dark if rng.random() < 0.5 else BLACK
    parts = (block(0, 0.0, 0, w, 0.03, h, frame), block(0, 0.012, 0.03, w - 0.06, 0.014, h - 0.06, canvas))
    return Furniture((Item("picture", parts, casts_shadow=False),), w, 0.04, h)


def mirror(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a wall mirror in a frame."""
    w, h = rng.uniform(0.4, 0.8), rng.uniform(0.6, 1.0)
    parts = (block(0, 0.0, 0, w, 0.03, h, palette.wood), block(0, 0.012, 0.04, w - 0.08, 0.014, h - 0.08, MIRROR))
    return Furniture((Item("mirror", parts, casts_shadow=False),), w, 0.04, h)


def whiteboard(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a whiteboard with a tray."""
    w, h = rng.uniform(1.2, 2.0), rng.uniform(0.8, 1.1)
    parts = (block(0, -0.03, 0, w, 0.02, h, METAL), block(0, -0.022, 0.02, w - 0.04, 0.012, h - 0.04, WHITE_BOARD))
    return Furniture((Item("whiteboard", (*parts, block(0, 0.0, 0, w * 0.5, 0.06, 0.02, METAL))),), w, 0.08, h)


def clock(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a round wall clock."""
    face = Part(pole(0, 0, 0, 1, 1, PAPER).kind, (0, 0.01, 0.15), (0.15, 0.15, 0.015), PAPER, tilt=np.pi / 2)
    rim = face._replace(half=(0.165, 0.165, 0.012), material=BLACK)
    hands = (block(0, 0.03, 0.15, 0.012, 0.004, 0.1, BLACK), block(0.03, 0.03, 0.145, 0.07, 0.004, 0.012, BLACK))
    return Furniture((Item("clock", (rim, face, *hands), casts_shadow=False),), 0.34, 0.04, 0.32)


def wall_shelf(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a board on the wall with a few things on it."""
    w = rng.uniform(0.6, 1.1)
    row = two_tone(Pattern.BOOKS, "8c2f2a 2f4a63", 0.03)
    items = (
        Item("shelves", (block(0, 0, 0, w, 0.22, 0.03, palette.wood),)),
        Item("books", (block(-w / 5, 0, 0.03, w * 0.4, 0.15, 0.21, row),)),
        vase(w / 3, 0, 0.03, 0.2, palette.accent(rng)),
    )
    return Furniture(items, w, 0.23, 0.26)


def towel(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a towel on its rail."""
    rail = block(0, 0.04, 0.58, 0.6, 0.02, 0.02, METAL)
    return Furniture(
        (Item("towel", (rail, block(0, 0.04, 0.02, 0.42, 0.05, 0.6, palette.throw(rng)))),), 0.6, 0.1, 0.62
    )


def radiator(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a panel radiator under a window."""
    w = rng.uniform(0.7, 1.2)
    ribs = [block(x, 0.03, 0.14, 0.05, 0.06, 0.52, CERAMIC) for x in np.arange(-w / 2 + 0.05, w / 2, 0.085)]
    return Furniture((Item("radiator", (block(0, -0.01, 0.16, w, 0.05, 0.48, CERAMIC), *ribs)),), w, 0.14, 0.68)


def ceiling_lamp(rng: np.random.Generator, *, lit: bool, office: bool) -> Item:
    """Return a lamp whose top is at z = 0: a flat panel in offices, else a globe on a rod or a drum."""
    glow = Material(colour=srgb("fff3dc"), emission=1.6 if lit else 0.15)
    if office:
        parts: tuple[Part, ...] = (block(0, 0, -0.05, 0.6, 1.2, 0.05, glow),)
    elif rng.random() < 0.5:
        parts = (pole(0, 0, -0.09, 0.22, 0.09, glow),)
    else:
        parts = (pole(0, 0, -0.35, 0.01, 0.35, METAL), ball(0, 0, -0.55, 0.26, 0.26, 0.22, glow))
    return Item("light", parts, casts_shadow=False)


def floor_lamp(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a standing lamp."""
    h = rng.uniform(1.4, 1.7)
    foot = (
        pole(0, 0, 0, 0.14, 0.03, BLACK),
        pole(0, 0, 0.03, 0.014, h - 0.2, METAL),
        pole(0, 0, h - 0.28, 0.19, 0.28, SHADE),
    )
    return Furniture((Item("lamp", foot, casts_shadow=False),), 0.4, 0.4, h)


def plant(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a pot plant."""
    h = rng.uniform(0.7, 1.4)
    leaves = []
    for k in range(7):
        turn, lift = 2.4 * k, rng.uniform(0.45, 0.85) * h
        leaf = ball(0.13 * np.cos(turn), 0.13 * np.sin(turn), lift, 0.3, 0.12, 0.3, LEAF)
        leaves.append(leaf._replace(yaw=turn, tilt=rng.uniform(-0.5, 0.5)))
    stems = (pole(0, 0, 0.28, 0.02, h * 0.6, paint("5a4630")), *leaves)
    pot = (pole(0, 0, 0, 0.15, 0.3, palette.accent(rng)), pole(0, 0, 0.26, 0.17, 0.05, paint("3a2c22")))
    return Furniture((Item("flower pot", pot), Item("plant", stems)), 0.56, 0.56, h + 0.2)


def boxes(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return one cardboard box, or two stacked askew."""
    card = cloth("b58d5c", 0.05)
    items = [
        Item("box", (block(0, 0, 0, 0.48, 0.38, 0.32, card), block(0, 0, 0.318, 0.06, 0.38, 0.004, paint("d9c49a"))))
    ]
    if rng.random() < 0.5:
        top = Item("box", (block(0, 0, 0.324, 0.34, 0.28, 0.24, card),))
        items.append(top.moved(0.03, 0, 0, rng.uniform(-0.5, 0.5)))
    return Furniture(tuple(items), 0.5, 0.42, 0.58)


def garbage_bin(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a waste bin."""
    h = rng.uniform(0.3, 0.6)
    tone = paint("4a4d52") if rng.random() < 0.5 else palette.accent(rng)
    return Furniture(
        (Item("garbage bin", (pole(0, 0, 0, 0.15, h, tone), pole(0, 0, h, 0.16, 0.02, BLACK))),), 0.34, 0.34, h
    )


def bag(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a bag left on the floor."""
    cloth_ = palette.throw(rng)
    body = (block(0, 0, 0, 0.4, 0.2, 0.26, cloth_), ball(0, 0, 0.1, 0.4, 0.2, 0.3, cloth_))
    return Furniture((Item("bag", (*body, block(0, 0.1, 0.06, 0.26, 0.03, 0.14, palette.dark))),), 0.44, 0.3, 0.4)


def basket(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a laundry basket with clothes in it."""
    wicker = cloth("b59a6a", 0.03)
    parts = (pole(0, 0, 0, 0.22, 0.5, wicker),)
    heap = Item("clothes", (ball(0.02, 0, 0.4, 0.38, 0.36, 0.24, palette.throw(rng)),))
    return Furniture((Item("basket", parts), heap), 0.46, 0.46, 0.64)
