"""Fonts for names in any script: file names and scenes are written by users, and matplotlib's own font has few."""

from functools import lru_cache
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font

#: Fonts that have a picture of a box for every character, or none of text.
NO_TEXT = ("Last Resort", "LastResort", "STIXSize", "cm")


def lettering(text: str) -> tuple[str, list[str]]:
    """Return a text that can be drawn, and the families of fonts to draw it with, for ``fontfamily``.

    Characters that the usual font lacks are drawn with another that is installed; where none has them all, they are
    written as Python escapes them, which is better than empty boxes.
    """
    families = list(matplotlib.rcParams["font.family"])
    lacking = frozenset(character for character in text if not character.isspace()) - _usual_characters()
    if not lacking:
        return text, families
    if (other := _family_with(lacking)) is not None:
        return text, [*families, other]
    shown = (character.encode("unicode_escape").decode() if character in lacking else character for character in text)
    return "".join(shown), families


def put_title(axis: Axes, text: str, **style: Any) -> None:
    """Set the title of an axis, in letters that can be drawn, see :func:`lettering`."""
    shown, families = lettering(text)
    axis.set_title(shown, fontfamily=families, **style)


def put_heading(figure: FigureBase, text: str, **style: Any) -> None:
    """Set the heading of a figure, in letters that can be drawn, see :func:`lettering`."""
    shown, families = lettering(text)
    figure.suptitle(shown, fontfamily=families, **style)


def _usual_characters() -> frozenset[str]:
    return _characters(findfont(FontProperties()))


@lru_cache(maxsize=4)
def _characters(path: str) -> frozenset[str]:
    return frozenset(map(chr, FT2Font(path).get_charmap()))


@lru_cache(maxsize=64)
def _family_with(characters: frozenset[str]) -> str | None:
    """The first installed family, by name, that has all of some characters."""
    for font in sorted(fontManager.ttflist, key=lambda font: (font.name, font.weight != 400, font.style)):
        if font.name.startswith(NO_TEXT):
            continue
        try:
            known = FT2Font(font.fname).get_charmap()
        except (OSError, RuntimeError):  # a font of pictures in colour, or one that was removed
            continue
        if all(ord(character) in known for character in characters):
            return font.name
    return None
