"""Names in any script: a font that has the letters draws them, else they are escaped, and no box is drawn."""

import warnings
from io import BytesIO

import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager
from matplotlib.ft2font import FT2Font

from callbacks.pictures import lettering as module
from callbacks.pictures.lettering import lettering, put_heading, put_title


@pytest.fixture(autouse=True)
def fonts(monkeypatch):
    """Matplotlib's own fonts alone."""
    module._family_with.cache_clear()
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if "mpl-data" in font.fname])
    yield fontManager
    module._family_with.cache_clear()


def letters_of(family):
    return set(map(chr, FT2Font(findfont(family)).get_charmap()))


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


def test_an_installed_font_that_has_them_draws_them():
    special = sorted(letters_of("STIXGeneral") - letters_of("DejaVu Sans"))
    text = f"room {special[-1]}"
    shown, families = lettering(text)
    assert shown == text
    assert families[0] == "sans-serif"
    assert special[-1] in letters_of(families[1])
    assert drawn(text) != drawn(text.encode("unicode_escape").decode())
    assert lettering(f"{text}寝")[0] == f"{text}寝".encode("unicode_escape").decode()  # no font has both
