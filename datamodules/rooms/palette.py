"""Colours and materials of a scene: one draw of woods, fabrics, walls and floor that its furniture shares."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from datamodules.rooms.bodies import Colour, Material, Pattern


def srgb(code: str) -> Colour:
    """Return linear RGB of a colour written ``rrggbb`` in sRGB."""
    red, green, blue = (((int(code[i : i + 2], 16) / 255 + 0.055) / 1.055) ** 2.4 for i in (0, 2, 4))
    return red, green, blue


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


WOODS = ("8a5a33 6b4023", "b98a57 9c6f3f", "5a3a26 3f2617", "d3b083 b9925f", "a0663c 7d4a27", "e3d3b8 cdb994")
FLOOR_WOODS = ("9a6b41 5f3d22", "b98d5f 83603c", "6f4a30 3f281a", "c9a878 967648", "8d7a66 5d4f41")
WALLS = ("e6dfd0", "d9d4c7", "cfd8d6", "dfd2b4", "c5ccb5", "b9c5d3", "d8c0ae", "e9e6df", "cdb98f", "a9b7a5", "c98f6f")
STRIPES = ("ddd3bd cbbf9f", "d5dbe0 b9c6d2", "e4d9cf d3b9ad", "d9dfcf bfcbb0")
FABRICS = ("7a3b36", "3d5a73", "5f6b4e", "8a7a63", "4c4650", "b0a18a", "2f3e4e", "9a6a3c", "6d7f8c", "a34a3c", "d0c6b4")
ACCENTS = ("c0392b", "e0a030", "2c7fb8", "4a8f5b", "8e5aa0", "e6e0d2", "d96f32", "24505e", "f0c9b0", "1f1f24")
CARPETS = ("9b8d7a 8a7c69", "6f6a66 5e5955", "7c6a5a 6c5b4c", "8a8f94 787d82", "5a6470 4b545f", "a4927a 93816a")
TILES = ("d8d2c4 a59f92", "b9a68c 8c7b64", "cfd3d4 9fa4a6", "8c8780 6a655f", "e0dcd2 bdb8ad")
PLAIN_WHITE = Material(colour=srgb("ece9e2"))
CERAMIC = Material(colour=srgb("f2f1ec"))
METAL = Material(colour=srgb("8d9096"))
STEEL = Material(Pattern.WOOD, srgb("a9adb2"), srgb("989ca2"), 0.05)
BLACK = Material(colour=srgb("1c1c1f"))
SCREEN = Material(Pattern.GRADIENT, srgb("15171b"), srgb("30353c"))
SHADE = Material(Pattern.FABRIC, srgb("f3e6c6"), srgb("eadbb5"), 0.03, emission=0.9)
LEAF = Material(Pattern.FABRIC, srgb("3f6b35"), srgb("27482a"), 0.06)
PAPER = Material(colour=srgb("eeeee8"))


def paint(code: str) -> Material:
    """Return a plainly coloured material."""
    return Material(colour=srgb(code))


def cloth(code: str, scale: float = 0.025) -> Material:
    """Return woven fabric around a colour."""
    colour = srgb(code)
    return Material(Pattern.FABRIC, colour, (colour[0] * 0.72, colour[1] * 0.72, colour[2] * 0.72), scale)


def two_tone(pattern: Pattern, codes: str, scale: float) -> Material:
    """Return a pattern of two colours, written as two sRGB codes."""
    first, second = codes.split()
    return Material(pattern, srgb(first), srgb(second), scale)


@dataclass(frozen=True)
class Palette:
    """What the furniture of one scene is made of.

    Attributes:
        wood: most furniture.
        dark: the second wood.
        cabinet: fronts of cabinets, painted or wood.
        fabric: upholstery.
        linen: bedding.
        counter: stone of counters.
        wall: wallpaper or paint.
        floor: boards, tiles or carpet.
        ceiling: paint, or panels in offices.
    """

    wood: Material
    dark: Material
    cabinet: Material
    fabric: Material
    linen: Material
    counter: Material
    wall: Material
    floor: Material
    ceiling: Material

    @classmethod
    def draw(cls, rng: np.random.Generator, *, wet: bool = False, office: bool = False) -> "Palette":
        """Return a random palette; ``wet`` rooms have tiles, ``office`` ones a carpet and ceiling panels."""
        wood, dark = (two_tone(Pattern.WOOD, _pick(rng, WOODS), 0.08) for _ in range(2))
        cabinet = wood if rng.random() < 0.5 else paint(_pick(rng, ("e8e4da", "d8d9d4", "b7c0b4", "8a99a6", "c9b79a")))
        planks = two_tone(Pattern.PLANKS, _pick(rng, FLOOR_WOODS), rng.uniform(0.08, 0.16))
        carpet = two_tone(Pattern.FABRIC, _pick(rng, CARPETS), 0.02)
        tiled = two_tone(Pattern.TILES, _pick(rng, TILES), rng.uniform(0.25, 0.45))
        checker = two_tone(Pattern.CHECKER, _pick(rng, ("d9d4c8 4a4744", "e0d8c6 9c6b4f", "dcdcd8 7d8a8f")), 0.3)
        floors = (
            [tiled, tiled, checker, planks] if wet else [carpet, carpet, tiled] if office else [planks, planks, carpet]
        )
        striped = two_tone(Pattern.STRIPES, _pick(rng, STRIPES), rng.uniform(0.12, 0.3))
        return cls(
            wood=wood,
            dark=dark,
            cabinet=cabinet,
            fabric=cloth(_pick(rng, FABRICS)),
            linen=cloth(_pick(rng, FABRICS + ACCENTS), 0.05),
            counter=two_tone(Pattern.MARBLE, _pick(rng, ("4a4a4e 77777b", "d9d3c8 a8a196", "3b3431 5e5550")), 0.12),
            wall=striped if not (wet or office) and rng.random() < 0.25 else paint(_pick(rng, WALLS)),
            floor=floors[int(rng.integers(len(floors)))],
            ceiling=two_tone(Pattern.TILES, "e9e8e3 c9c8c3", 0.6) if office else replace(PLAIN_WHITE),
        )

    @staticmethod
    def accent(rng: np.random.Generator) -> Material:
        """Return paint of a small thing."""
        return paint(_pick(rng, ACCENTS))

    @staticmethod
    def throw(rng: np.random.Generator) -> Material:
        """Return fabric of a small thing."""
        return cloth(_pick(rng, ACCENTS + FABRICS), 0.03)
