"""Procedural textures: the albedo of a surface as a function of metric coordinates on it.

Every pattern is evaluated in the body's own frame, on the face that the normal points along, so a texture moves with
its object. Detail finer than the footprint of a sample is faded out before it can alias.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.rooms.bodies import Pattern, Scene

#: Edge of the periodic noise table, a power of two.
TABLE = 256


class Coordinates(NamedTuple):
    """Where M samples lie on their surfaces.

    Attributes:
        u: (M,) metres along the face, horizontal on upright faces.
        v: (M,) metres along the face, upwards on upright faces.
        half_u: (M,) half size of the face along u.
        half_v: (M,) half size of the face along v.
        footprint: (M,) size of a sample on the surface, metres.
        scale: (M,) period of the pattern, metres.
        first: (3, M) main colour.
        second: (3, M) other colour.
    """

    u: Tensor
    v: Tensor
    half_u: Tensor
    half_v: Tensor
    footprint: Tensor
    scale: Tensor
    first: Tensor
    second: Tensor


@lru_cache(maxsize=4)
def _tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """White noise in 0..1 and smooth 1/f noise around 0.5, both (TABLE^2,) and periodic."""
    generator = torch.Generator().manual_seed(894)
    white = torch.rand(TABLE, TABLE, generator=generator)
    frequency = torch.fft.fftfreq(TABLE) * TABLE
    radius = (frequency[:, None] ** 2 + frequency[None] ** 2).sqrt().clamp_min(1.0)
    smooth = torch.fft.ifft2(torch.fft.fft2(white - 0.5) * radius.pow(-1.3)).real
    smooth = (0.5 + 0.22 * smooth / smooth.std()).clamp(0, 1)
    return white.flatten().to(device), smooth.flatten().to(device)


def _cell(i: Tensor, j: Tensor) -> Tensor:
    """A random number in 0..1 for each cell of a lattice of floats."""
    white, _ = _tables(i.device)
    return white[(i.long() & (TABLE - 1)) * TABLE + (j.long() & (TABLE - 1))]


def _noise(u: Tensor, v: Tensor, period: float) -> Tensor:
    """Smooth noise in 0..1 that repeats after ``period`` metres, bilinear between table entries."""
    _, smooth = _tables(u.device)
    x, y = u * (TABLE / period), v * (TABLE / period)
    i, j = x.floor(), y.floor()
    fx, fy = x - i, y - j
    left, top = i.long() & (TABLE - 1), (j.long() & (TABLE - 1)) * TABLE
    right, bottom = (left + 1) & (TABLE - 1), (top + TABLE) & (TABLE * TABLE - 1)
    upper = torch.lerp(smooth[top + left], smooth[top + right], fx)
    return torch.lerp(upper, torch.lerp(smooth[bottom + left], smooth[bottom + right], fx), fy)


def _detail(period: Tensor | float, footprint: Tensor) -> Tensor:
    """1 where a pattern is resolved, 0 where its period falls below two samples."""
    return (1.5 - 3 * footprint / period).clamp(0, 1)


def _line(distance: Tensor, width: float, footprint: Tensor) -> Tensor:
    """Coverage of a sample by a line of a given width at some distance from its middle."""
    return ((width / 2 - distance.abs()) / footprint + 0.5).clamp(0, 1) * (width / footprint).clamp_max(1)


def _plain(at: Coordinates) -> Tensor:
    return at.first * (0.97 + 0.06 * _noise(at.u, at.v, 3.0))


def _wood(at: Coordinates) -> Tensor:
    turn = at.half_v > at.half_u
    along, across = torch.where(turn, at.v, at.u), torch.where(turn, at.u, at.v)
    grain = _noise(along * 0.08, across, 0.5)
    rings = 0.5 + 0.5 * (2 * torch.pi * (across / at.scale + 2.5 * _noise(along * 0.3, across, 2.0))).sin()
    mix = 0.5 + (0.7 * (grain - 0.5) + 0.3 * (rings - 0.5)) * _detail(at.scale, at.footprint)
    return torch.lerp(at.first, at.second, mix)


def _planks(at: Coordinates) -> Tensor:
    row = (at.v / at.scale).floor()
    length = 9 * at.scale
    column = (at.u / length + _cell(row, row * 0 + 7)).floor()
    tone = _cell(row, column)
    grain = _noise(at.u * 0.1 + tone * 3, at.v + tone, 0.6)
    body = torch.lerp(at.first, at.second, 0.55 * tone + 0.5 * (grain - 0.5) * _detail(at.scale, at.footprint))
    seam = _line(at.v - (row + 0.5) * at.scale - at.scale / 2, 0.006, at.footprint)
    seam = seam + _line(at.v - (row + 0.5) * at.scale + at.scale / 2, 0.006, at.footprint)
    start = (column - _cell(row, row * 0 + 7)) * length
    return body * (1 - 0.6 * (seam + _line(at.u - start, 0.006, at.footprint)).clamp(0, 1))


def _tiles(at: Coordinates) -> Tensor:
    i, j = (at.u / at.scale).round(), (at.v / at.scale).round()
    tone = _cell(torch.floor(at.u / at.scale), torch.floor(at.v / at.scale))
    mottle = _noise(at.u + tone, at.v, 1.5) - 0.5
    grout = torch.maximum(
        _line(at.u - i * at.scale, 0.01, at.footprint), _line(at.v - j * at.scale, 0.01, at.footprint)
    )
    return torch.lerp(at.first * (0.95 + 0.1 * tone + 0.12 * mottle), at.second, grout)


def _checker(at: Coordinates) -> Tensor:
    odd = ((at.u / at.scale).floor() + (at.v / at.scale).floor()) % 2
    return torch.lerp(at.first, at.second, 0.5 + (odd - 0.5) * _detail(at.scale, at.footprint))


def _stripes(at: Coordinates) -> Tensor:
    wave = (4 * (2 * torch.pi * at.u / at.scale).sin()).clamp(-1, 1)
    return torch.lerp(at.first, at.second, 0.5 + 0.5 * wave * _detail(at.scale, at.footprint))


def _slats(at: Coordinates) -> Tensor:
    wave = (2 * torch.pi * at.v / at.scale).sin()
    return torch.lerp(at.first, at.second, 0.5 + 0.5 * wave * _detail(at.scale, at.footprint))


def _fabric(at: Coordinates) -> Tensor:
    fibre = _cell((at.u * 4 / at.scale).floor(), (at.v * 4 / at.scale).floor()) - 0.5
    patch = _noise(at.u, at.v, 2.0) - 0.5
    mix = 0.4 + 0.7 * fibre * _detail(at.scale / 2, at.footprint) + 0.7 * patch
    return torch.lerp(at.first, at.second, mix.clamp(0, 1))


def _books(at: Coordinates) -> Tensor:
    book = (at.u / at.scale).floor()
    tone, hue = _cell(book, book * 0 + 3), _cell(book, book * 0 + 11)
    spine = torch.lerp(at.first, at.second, hue) * (0.45 + tone)
    gap = _line(at.u - (at.u / at.scale).round() * at.scale, 0.006, at.footprint)
    title = _line(at.v - (tone - 0.3) * at.half_v, 0.03, at.footprint) * (hue > 0.35)
    return spine * (1 - 0.7 * gap) + 0.35 * title * (1 - gap)


def _marble(at: Coordinates) -> Tensor:
    vein = (_noise(at.u, at.v, 1.2) - 0.5).abs() * 6
    return torch.lerp(at.second, at.first, vein.clamp(0, 1))


def _painting(at: Coordinates) -> Tensor:
    horizon = at.v / at.half_v + 3 * (_noise(at.u, at.half_v * 7, 4.0) - 0.5)
    ground = (horizon * 6).clamp(-1, 1) * 0.5 + 0.5
    blot = ((_noise(at.u + 1.3, at.v, 1.6) - 0.58) * 12).clamp(0, 1)
    body = torch.lerp(at.second, at.first, ground * 0.9)
    return torch.lerp(body, at.second.flip(0), 0.7 * blot) * (0.8 + 0.4 * _noise(at.u, at.v, 0.5))


def _rug(at: Coordinates) -> Tensor:
    inset = torch.minimum(at.half_u - at.u.abs(), at.half_v - at.v.abs())
    frame = ((inset > 0.08) & (inset < 0.16)) | ((inset > 0.2) & (inset < 0.22))
    lozenge = ((at.u.abs() / at.scale + at.v.abs() / at.scale) % 2 < 0.5) & (inset > 0.3)
    mix = (frame | lozenge).float() * 0.85 * _detail(at.scale, at.footprint)
    return torch.lerp(at.first, at.second, mix) * (0.85 + 0.3 * _noise(at.u, at.v, 0.7))


def _gradient(at: Coordinates) -> Tensor:
    return torch.lerp(at.first, at.second, (at.v / at.half_v * 0.5 + 0.5).clamp(0, 1))


_PATTERNS: dict[Pattern, Callable[[Coordinates], Tensor]] = {
    Pattern.PLAIN: _plain,
    Pattern.WOOD: _wood,
    Pattern.PLANKS: _planks,
    Pattern.TILES: _tiles,
    Pattern.CHECKER: _checker,
    Pattern.STRIPES: _stripes,
    Pattern.FABRIC: _fabric,
    Pattern.BOOKS: _books,
    Pattern.MARBLE: _marble,
    Pattern.PAINTING: _painting,
    Pattern.RUG: _rug,
    Pattern.GRADIENT: _gradient,
    Pattern.SLATS: _slats,
}


def albedo(scene: Scene, surface: Tensor, local: Tensor, axis: Tensor, footprint: Tensor) -> Tensor:
    """Return the albedo of M samples.

    Args:
        scene: the scene.
        surface: (M,) surface of each sample.
        local: (3, M) position in the body's own frame, metres from its centre.
        axis: (M,) axis 0..2 of the body that the face looks along.
        footprint: (M,) size of a sample on the surface, metres.

    Returns:
        (3, M) linear RGB.
    """
    half = scene.half.T[:, surface]
    side, level = axis == 0, axis == 2
    drift = (surface * 0.37) % 1.0  # no two bodies show the same piece of a texture
    coordinates = Coordinates(
        u=torch.where(side, local[1], local[0]),
        v=torch.where(level, local[1], local[2]),
        half_u=torch.where(side, half[1], half[0]),
        half_v=torch.where(level, half[1], half[2]),
        footprint=footprint,
        scale=scene.scale[surface],
        first=scene.colours[:, 0].T[:, surface],
        second=scene.colours[:, 1].T[:, surface],
    )
    patterns = scene.pattern[surface]
    shifted = {Pattern.WOOD, Pattern.MARBLE, Pattern.BOOKS, Pattern.FABRIC, Pattern.PAINTING}
    colour = torch.empty_like(local)
    for pattern in patterns.unique().tolist():
        index = (patterns == pattern).nonzero()[:, 0]
        here = Coordinates(*(value[..., index] for value in coordinates))
        if pattern in shifted:
            here = here._replace(u=here.u + drift[index])
        colour[:, index] = _PATTERNS[Pattern(pattern)](here).clamp(0, 1)
    return colour
