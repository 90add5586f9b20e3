"""Cabinets, shelves, kitchen and bathroom fittings. The frame is that of ``furniture.py``: front towards +y."""

import numpy as np

from datamodules.rooms.bodies import Item, Material, Part, Pattern, ball, block, pole
from datamodules.rooms.furniture import Furniture, table_lamp, vase
from datamodules.rooms.palette import BLACK, CERAMIC, METAL, SCREEN, STEEL, Palette, cloth, two_tone


def fronts(w: float, face: float, z: float, h: float, columns: int, rows: int, material: Material) -> list[Part]:
    """Return a grid of doors or drawers with knobs on the face y = ``face`` of a cabinet."""
    parts = []
    for column in range(columns):
        for row in range(rows):
            x, low = (column - (columns - 1) / 2) * w / columns, z + row * h / rows
            parts.append(block(x, face + 0.008, low + 0.015, w / columns - 0.03, 0.016, h / rows - 0.03, material))
            parts.append(ball(x, face + 0.03, low + h / rows / 2 - 0.015, 0.03, 0.03, 0.03, METAL))
    return parts


def _books(rng: np.random.Generator, x: float, z: float, w: float, room: float, depth: float) -> list[Item]:
    """A row of books between x - w/2 and x + w/2, in two heights, sometimes only part of the way."""
    filled = w * rng.uniform(0.5, 1.0)
    codes = ("8c2f2a 2f4a63", "d9c9a0 5b3a2a", "3d5a45 c9a24a", "26303f b04a3a", "7d6f9a e0d6c2")
    parts, left = [], x - w / 2
    for share in (0.4, 0.35, 0.25):
        high = room * rng.uniform(0.6, 0.92)
        row = two_tone(Pattern.BOOKS, codes[int(rng.integers(len(codes)))], rng.uniform(0.025, 0.04))
        parts.append(block(left + share * filled / 2, 0.02, z, share * filled, depth, high, row))
        left += share * filled
    return [Item("books", tuple(parts))]


def bookshelf(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Open shelves with books, boxes and vases."""
    w, d, h = rng.uniform(0.7, 1.3), 0.32, rng.uniform(1.2, 2.0)
    rows = round(h / 0.36)
    step = (h - 0.1) / rows
    levels = [0.07 + k * step for k in range(rows + 1)]
    wood = palette.wood if rng.random() < 0.6 else palette.dark
    sides = [block(x, 0, 0, 0.025, d, h, wood) for x in (-(w / 2 - 0.0125), w / 2 - 0.0125)]
    boards = [block(0, 0, z - 0.02, w - 0.05, d - 0.01, 0.022, wood) for z in levels]
    items = [Item("bookshelf", (*sides, *boards, block(0, -d / 2 + 0.008, 0.05, w - 0.05, 0.015, h - 0.06, wood)))]
    for z in levels[:-1]:
        if rng.random() < 0.75:
            items += _books(rng, 0, z + 0.003, w - 0.08, step - 0.03, d * 0.65)
        elif rng.random() < 0.6:
            items.append(
                Item("box", (block(rng.uniform(-0.1, 0.1), 0, z + 0.003, 0.3, 0.22, step * 0.6, palette.accent(rng)),))
            )
        else:
            items.append(vase(rng.uniform(-0.2, 0.2), 0, z, step * 0.6, palette.accent(rng)))
    return Furniture(tuple(items), w, d, h)


def dresser(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a chest of drawers with a lamp or a vase on top."""
    w, d, h = rng.uniform(0.8, 1.4), 0.46, rng.uniform(0.75, 1.05)
    body = (
        block(0, -0.01, 0.04, w, d - 0.02, h - 0.06, palette.wood),
        block(0, 0, h - 0.02, w + 0.03, d, 0.03, palette.wood),
    )
    items = [Item("dresser", (*body, *fronts(w, d / 2 - 0.02, 0.05, h - 0.1, 2 if w > 1 else 1, 3, palette.wood)))]
    if rng.random() < 0.6:
        items += [item.moved(-w / 3, 0, h + 0.01) for item in table_lamp(rng, palette)]
    items.append(vase(w / 4, 0, h, 0.28, palette.accent(rng)))
    return Furniture(tuple(items), w + 0.04, d, h + 0.35)


def wardrobe(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a tall cabinet with doors."""
    w, d, h = rng.uniform(0.9, 1.6), 0.58, rng.uniform(1.85, 2.15)
    body = block(0, -0.01, 0, w, d - 0.02, h, palette.cabinet)
    return Furniture(
        (Item("cabinet", (body, *fronts(w, d / 2 - 0.02, 0.06, h - 0.1, 2 + (w > 1.3), 1, palette.cabinet))),), w, d, h
    )


def file_cabinet(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a steel cabinet of three or four drawers, a box on top."""
    rows = int(rng.integers(2, 5))
    h, grey = 0.05 + 0.31 * rows, two_tone(Pattern.PLAIN, "9a9c98 777777", 0.1)
    items = [
        Item("cabinet", (block(0, -0.01, 0, 0.46, 0.58, h, grey), *fronts(0.46, 0.28, 0.03, h - 0.05, 1, rows, grey)))
    ]
    if rng.random() < 0.5:
        items.append(Item("box", (block(0, -0.02, h, 0.34, 0.4, rng.uniform(0.15, 0.3), cloth("b08a5a")),)))
    return Furniture(tuple(items), 0.48, 0.62, h + 0.3)


def sideboard(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a low cabinet with doors and things on top."""
    w, d, h = rng.uniform(1.1, 1.7), 0.45, rng.uniform(0.75, 0.95)
    body = (
        block(0, -0.01, 0.08, w, d - 0.02, h - 0.1, palette.dark),
        block(0, 0, h - 0.03, w + 0.04, d, 0.03, palette.dark),
    )
    items = [Item("cabinet", (*body, *fronts(w, d / 2 - 0.02, 0.1, h - 0.15, 3, 1, palette.dark)))]
    items.append(vase(-w / 3, 0, h, 0.34, palette.accent(rng)))
    items.append(Item("bowl", (ball(w / 5, 0, h - 0.01, 0.3, 0.3, 0.12, palette.accent(rng)),)))
    return Furniture(tuple(items), w + 0.04, d, h + 0.35)


def tv_stand(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a television on a low stand, speakers beside it."""
    w, wide = rng.uniform(1.2, 1.7), rng.uniform(0.85, 1.15)
    stand = (block(0, -0.01, 0.04, w, 0.43, 0.42, palette.dark), *fronts(w, 0.2, 0.06, 0.38, 3, 1, palette.dark))
    frame = block(0, -0.05, 0.54, wide, 0.05, wide * 0.58, BLACK)
    screen = block(0, -0.02, 0.565, wide - 0.05, 0.014, wide * 0.58 - 0.05, SCREEN)
    items = [
        Item("tv stand", stand),
        Item(
            "television",
            (
                block(0, -0.05, 0.46, 0.4, 0.2, 0.03, BLACK),
                block(0, -0.05, 0.48, 0.1, 0.05, 0.07, BLACK),
                frame,
                screen,
            ),
        ),
    ]
    if rng.random() < 0.6:
        items += [
            Item("speaker", (block(x, -0.05, 0.46, 0.14, 0.2, 0.3, BLACK),)) for x in (-(w / 2 - 0.09), w / 2 - 0.09)
        ]
    return Furniture(tuple(items), w, 0.48, 1.2)


def kitchen_run(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a counter over base cabinets with sink and stove, cabinets and a hood above."""
    modules = int(rng.integers(3, 5))
    w, d = 0.62 * modules, 0.6
    xs = [0.62 * (k - (modules - 1) / 2) for k in range(modules)]
    stove_at = xs[int(rng.integers(modules))]
    sink_at = xs[0] if stove_at != xs[0] else xs[-1]
    items = []
    for x in xs:
        if x == stove_at:
            oven = (
                block(x, 0, 0.02, 0.6, d, 0.89, STEEL),
                block(x, d / 2 + 0.006, 0.2, 0.5, 0.012, 0.4, BLACK),
                block(x, d / 2 + 0.03, 0.66, 0.5, 0.02, 0.02, METAL),
            )
            rings = [pole(x + a, b, 0.91, 0.09, 0.012, BLACK) for a in (-0.14, 0.14) for b in (-0.13, 0.13)]
            items.append(Item("stove", (*oven, *rings)))
            items.append(
                Item(
                    "range hood",
                    (
                        block(x, -d / 2 + 0.22, 1.5, 0.58, 0.44, 0.1, STEEL),
                        block(x, -d / 2 + 0.14, 1.6, 0.26, 0.26, 0.55, STEEL),
                    ),
                )
            )
            continue
        base = [
            part.moved(x, 0, 0, 0)
            for part in fronts(0.6, d / 2 - 0.04, 0.12, 0.72, 1, int(rng.integers(1, 4)), palette.cabinet)
        ]
        items.append(
            Item(
                "cabinet",
                (
                    block(x, -0.03, 0.1, 0.61, d - 0.08, 0.77, palette.cabinet),
                    block(x, -0.06, 0, 0.61, d - 0.16, 0.1, BLACK),
                    *base,
                ),
            )
        )
        items.append(Item("counter", (block(x, 0, 0.87, 0.62, d + 0.02, 0.04, palette.counter),)))
        upper = [part.moved(x, 0, 0, 0) for part in fronts(0.6, -d / 2 + 0.34, 1.46, 0.66, 1, 1, palette.cabinet)]
        items.append(Item("cabinet", (block(x, -d / 2 + 0.17, 1.45, 0.61, 0.34, 0.7, palette.cabinet), *upper)))
        if x == sink_at:
            basin = (
                block(x, 0, 0.905, 0.46, 0.38, 0.012, STEEL),
                block(x, 0.0, 0.912, 0.38, 0.3, 0.008, two_tone(Pattern.PLAIN, "55585c 444444", 0.1)),
            )
            items.append(
                Item(
                    "sink",
                    (*basin, pole(x, -0.23, 0.9, 0.015, 0.26, METAL), block(x, -0.14, 1.14, 0.02, 0.18, 0.02, METAL)),
                )
            )
        elif rng.random() < 0.4:
            items.append(
                Item(
                    "microwave",
                    (
                        block(x, -0.06, 0.91, 0.46, 0.34, 0.27, STEEL),
                        block(x - 0.05, 0.115, 0.94, 0.3, 0.012, 0.2, BLACK),
                    ),
                )
            )
        else:
            items.append(Item("pot", (pole(x + 0.1, -0.05, 0.91, 0.1, 0.15, METAL),)))
            items.append(
                Item(
                    "bottle",
                    (
                        pole(x - 0.15, -0.12, 0.91, 0.035, 0.2, palette.accent(rng)),
                        pole(x - 0.15, -0.12, 1.11, 0.013, 0.07, palette.accent(rng)),
                    ),
                )
            )
    return Furniture(tuple(items), w, d + 0.04, 2.16)


def refrigerator(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a fridge with a freezer door."""
    steel = STEEL if rng.random() < 0.5 else CERAMIC
    h = rng.uniform(1.65, 1.85)
    doors = [
        block(0, 0.335, 0.06, 0.68, 0.05, h * 0.62, steel),
        block(0, 0.335, h * 0.62 + 0.08, 0.68, 0.05, h * 0.38 - 0.1, steel),
    ]
    grips = [block(-0.28, 0.375, z, 0.025, 0.03, 0.35, METAL) for z in (h * 0.62 - 0.4, h * 0.62 + 0.12)]
    return Furniture((Item("refridgerator", (block(0, -0.03, 0, 0.7, 0.68, h, steel), *doors, *grips)),), 0.72, 0.78, h)


def toilet(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a toilet with its cistern."""
    bowl = (block(0, 0.05, 0, 0.22, 0.42, 0.3, CERAMIC), ball(0, 0.06, 0.12, 0.38, 0.5, 0.34, CERAMIC))
    lid = Part(pole(0, 0, 0, 1, 1, CERAMIC).kind, (0, 0.06, 0.42), (0.19, 0.24, 0.015), CERAMIC)
    return Furniture(
        (
            Item(
                "toilet",
                (
                    *bowl,
                    lid,
                    block(0, -0.26, 0.36, 0.4, 0.17, 0.38, CERAMIC),
                    block(0, -0.26, 0.74, 0.42, 0.19, 0.03, CERAMIC),
                ),
            ),
        ),
        0.45,
        0.7,
        0.8,
    )


def vanity(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a wash basin on a cabinet, a mirror and a lamp above."""
    w, d = rng.uniform(0.7, 1.2), 0.5
    base = Item(
        "cabinet",
        (
            block(0, -0.02, 0.08, w, d - 0.06, 0.72, palette.cabinet),
            *fronts(w, d / 2 - 0.05, 0.1, 0.68, 2, 1, palette.cabinet),
        ),
    )
    top = Item("counter", (block(0, 0, 0.8, w + 0.03, d, 0.04, palette.counter),))
    basin = Item(
        "sink",
        (
            ball(0, 0.02, 0.79, 0.46, 0.36, 0.12, CERAMIC),
            pole(0, -0.19, 0.84, 0.014, 0.2, METAL),
            block(0, -0.12, 1.02, 0.02, 0.14, 0.02, METAL),
        ),
    )
    glass = Item("mirror", (block(0, -d / 2 + 0.01, 1.15, w * 0.85, 0.02, 0.75, MIRROR),))
    soap = Item("bottle", (pole(w / 3, 0, 0.84, 0.03, 0.15, palette.accent(rng)),))
    return Furniture((base, top, basin, glass, soap), w + 0.03, d, 1.95)


def bathtub(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a bathtub, sometimes behind a shower curtain."""
    w, d, h = 1.65, 0.75, 0.56
    walls = [block(0, y, 0, w, 0.08, h, CERAMIC) for y in (-(d / 2 - 0.04), d / 2 - 0.04)]
    ends = [block(x, 0, 0, 0.1, d - 0.16, h, CERAMIC) for x in (-(w / 2 - 0.05), w / 2 - 0.05)]
    items = [Item("bathtub", (*walls, *ends, block(0, 0, 0, w - 0.2, d - 0.16, 0.14, CERAMIC)))]
    if rng.random() < 0.6:
        folds, cloth_ = int(rng.integers(6, 12)), palette.throw(rng)
        hung = [pole(-w / 2 + 0.05 + 0.07 * k, d / 2 + 0.03, 0.12, 0.04, 1.8, cloth_) for k in range(folds)]
        items.append(Item("shower curtain", tuple(hung)))
    return Furniture(tuple(items), w, d + 0.14, 2.0)


#: Not a reflection: a bright, bluish gradient, as most of a wall mirror shows from afar.
MIRROR = two_tone(Pattern.GRADIENT, "aebcc4 dfe6e8", 1.0)
