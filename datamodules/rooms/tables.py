"""Tables, desks and the small things on them. The frame is that of ``furniture.py``: front towards +y."""

from dataclasses import replace

import numpy as np

from datamodules.rooms.bodies import Item, Kind, Material, Part, Pattern, ball, block, pole
from datamodules.rooms.furniture import Furniture, chair_item, four_legs, office_chair_item, sofa, table_lamp, vase
from datamodules.rooms.palette import BLACK, PAPER, SCREEN, Palette, two_tone


def clutter(rng: np.random.Generator, palette: Palette, w: float, d: float, z: float) -> list[Item]:
    """Return up to three small things on a surface of w x d at height ``z``, one per third of its width."""
    items = []
    for slot in (-1, 0, 1):
        x, y = slot * w / 3 + rng.uniform(-0.04, 0.04), rng.uniform(-0.2, 0.2) * d
        colour = palette.accent(rng)
        match int(rng.integers(7)):
            case 0:
                items.append(Item("book", (block(x, y, z, 0.16, 0.22, rng.uniform(0.02, 0.07), colour),)))
            case 1:
                items.append(vase(x, y, z, 0.27, colour))
            case 2:
                items.append(Item("cup", (pole(x, y, z, 0.04, 0.1, colour),)))
            case 3:
                items.append(Item("bowl", (ball(x, y, z - 0.01, 0.26, 0.26, 0.1, colour),)))
            case 4:
                items.append(Item("paper", (block(x, y, z, 0.21, 0.29, 0.006, PAPER),), casts_shadow=False))
            case _:
                pass
    return items


def _table_item(w: float, d: float, h: float, material: Material, *, round_top: bool = False) -> Item:
    if round_top:
        top = Part(Kind.CYLINDER, (0, 0, h - 0.02), (w / 2, d / 2, 0.02), material)
        return Item(
            "table", (top, pole(0, 0, 0.03, 0.05, h - 0.06, material), pole(0, 0, 0, min(w, d) * 0.3, 0.03, material))
        )
    apron = block(0, 0, h - 0.12, w - 0.12, d - 0.12, 0.08, material)
    return Item(
        "table",
        (block(0, 0, h - 0.04, w, d, 0.04, material), apron, *four_legs(w - 0.04, d - 0.04, h - 0.04, 0.06, material)),
    )


def dining_set(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a table with chairs around it, some pulled out."""
    w, d = rng.uniform(1.1, 1.8), rng.uniform(0.8, 0.95)
    items = [
        _table_item(w, d, 0.75, palette.wood, round_top=rng.random() < 0.3),
        *clutter(rng, palette, w * 0.7, d, 0.75),
    ]
    seats = [(x, side) for side in (-1, 1) for x in ((-w / 4, w / 4) if w > 1.2 else (0.0,))]
    for x, side in seats:
        if rng.random() < 0.9:
            pulled = rng.uniform(0.12, 0.38)
            turn = (0.0 if side < 0 else np.pi) + rng.uniform(-0.2, 0.2)
            items.append(chair_item(rng, palette).moved(x, side * (d / 2 + pulled), 0, turn))
    return Furniture(tuple(items), w + 0.1, d + 1.35, 1.0)


def coffee_table(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a low table with things on it."""
    w, d, h = rng.uniform(0.8, 1.2), rng.uniform(0.5, 0.65), rng.uniform(0.38, 0.46)
    table = _table_item(w, d, h, palette.dark if rng.random() < 0.5 else palette.wood, round_top=rng.random() < 0.25)
    return Furniture((replace(table, name="coffee table"), *clutter(rng, palette, w * 0.7, d * 0.7, h)), w, d, h + 0.2)


def sofa_group(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a sofa with a coffee table in front of it, often on a rug."""
    couch, low = sofa(rng, palette), coffee_table(rng, palette)
    gap = couch.depth + 0.35
    depth = gap + low.depth
    items = [item.moved(0, couch.depth / 2 - depth / 2) for item in couch.items]
    items += [item.moved(0, gap + low.depth / 2 - depth / 2) for item in low.items]
    if rng.random() < 0.7:
        rug_depth = low.depth + 0.3
        items.append(rug(rng, palette, couch.width * 0.9, rug_depth).moved(0, depth / 2 - rug_depth / 2))
    return Furniture(tuple(items), couch.width, depth, couch.height)


def rug(rng: np.random.Generator, palette: Palette, w: float, d: float) -> Item:
    """Return a rug of w x d, 8 mm thick."""
    codes = ("7a2f2f d3b98a", "2f4a63 d8d2c0", "c9bfa8 6d6355", "5b6b4a d9cfae", "3b3b40 b0aca2", "a6583a e6d3a8")
    pattern = Pattern.RUG if rng.random() < 0.75 else Pattern.STRIPES
    return Item(
        "floor mat",
        (block(0, 0, 0, w, d, 0.008, two_tone(pattern, codes[int(rng.integers(6))], 0.2)),),
        casts_shadow=False,
    )


def desk(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a desk with a monitor or laptop, and an office chair."""
    w, d = rng.uniform(1.1, 1.6), rng.uniform(0.6, 0.75)
    top = block(0, 0, 0.71, w, d, 0.035, palette.wood)
    panels = [block(x, 0, 0, 0.035, d - 0.06, 0.71, palette.wood) for x in (-(w / 2 - 0.04), w / 2 - 0.04)]
    pedestal = block(w / 2 - 0.25, 0, 0.1, 0.38, d - 0.1, 0.6, palette.wood)
    fronts = [block(w / 2 - 0.25, d / 2 - 0.04, z, 0.34, 0.02, 0.17, palette.wood) for z in (0.12, 0.31, 0.5)]
    items = [
        Item("desk", (top, *panels, block(0, -d / 2 + 0.04, 0.3, w - 0.1, 0.02, 0.4, palette.wood), pedestal, *fronts))
    ]
    z = 0.745
    for x in [-0.28, 0.3][: int(rng.integers(1, 3))]:
        stand = (pole(x, -d / 4, z, 0.11, 0.015, BLACK), block(x, -d / 4 - 0.02, z, 0.05, 0.03, 0.2, BLACK))
        bezel = block(x, -d / 4, z + 0.11, 0.52, 0.03, 0.32, BLACK)
        items.append(Item("monitor", (*stand, bezel, block(x, -d / 4 + 0.012, z + 0.125, 0.49, 0.012, 0.29, SCREEN))))
    items.append(Item("keyboard", (block(-0.25, d / 5, z, 0.42, 0.14, 0.02, BLACK),)))
    if rng.random() < 0.5:
        items.append(Item("paper", (block(w / 2 - 0.25, 0.1, z, 0.21, 0.29, 0.01, PAPER),), casts_shadow=False))
    if rng.random() < 0.5:
        items += [item.moved(-w / 2 + 0.16, -d / 4 + 0.02, z) for item in table_lamp(rng, palette)]
    seat = office_chair_item(rng, palette) if rng.random() < 0.7 else chair_item(rng, palette)
    reach = rng.uniform(0.25, 0.5)
    items.append(seat.moved(-0.2, d / 2 + reach, 0, np.pi + rng.uniform(-0.5, 0.5)))
    shift = -(reach + 0.3) / 2
    return Furniture(tuple(item.moved(0, shift) for item in items), w, d + reach + 0.3, 1.3)


def school_row(rng: np.random.Generator, palette: Palette) -> Furniture:
    """Return a long table with chairs on one side, as in a classroom."""
    w = rng.uniform(1.4, 1.9)
    items = [_table_item(w, 0.5, 0.73, palette.wood).moved(0, 0.3)]
    items += [chair_item(rng, palette).moved(x, -0.12, 0, rng.uniform(-0.2, 0.2)) for x in (-w / 4, w / 4)]
    return Furniture(tuple(items), w, 1.1, 1.0)
