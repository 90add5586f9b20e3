"""Names in any script: a font that has the letters draws them, else they are escaped, and no box is drawn."""

import warnings
from io import BytesIO

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from callbacks.pictures import lettering as module
from callbacks.pictures.lettering import lettering, put_heading, put_title


@pytest.fixture(autouse=True)
def fonts(monkeypatch):
    """Matplotlib's own fonts alone."""
    module._family_with.cache_clear()
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if "mpl-data" in font.fname])
    yield fontManager
    module._family_with.cache_clear()


def install(path, text):
    """A font that has a square for each letter of a text, and nothing else."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 900), (900, 900), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square, names = pen.glyph(), [".notdef", *(f"u{ord(letter):04X}" for letter in text)]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({ord(letter): f"u{ord(letter):04X}" for letter in text})
    font.setupGlyf(dict.fromkeys(names, square))
    font.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)
    fontManager.addfont(path)


def drawn(text):
    """A picture of a text as title and heading; any warning is an error."""
    figure = Figure(figsize=(4, 2))
    put_title(figure.subplots(), text)
    put_heading(figure, text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(content := BytesIO(), format="png")
    return content.getvalue()


def test_what_the_usual_font_has_stays_as_it_is():
    assert lettering("küche, ваза, λ 7") == ("küche, ваза, λ 7", ["sans-serif"])


@pytest.mark.parametrize(("text", "shown"), [("寝室 0001", r"\u5bdd\u5ba4 0001"), ("큐 🛋", r"\ud050 \U0001f6cb")])
def test_without_a_font_letters_are_escaped(text, shown):
    assert lettering(text) == (shown, ["sans-serif"])
    assert drawn(text) == drawn(shown)


def test_an_installed_font_that_has_them_draws_them(tmp_path):
    install(tmp_path / "squares.ttf", "寝室")
    assert lettering("寝室 0001") == ("寝室 0001", ["sans-serif", "Squares"])
    assert drawn("寝室 0001") != drawn(r"\u5bdd\u5ba4 0001")
    assert lettering("寝室廊")[0] == r"\u5bdd\u5ba4\u5eca"  # which has not all
