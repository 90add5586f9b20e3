"""The files that docs/extending.md shows, as a reader would type them."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/extending.md"

#: A block of code whose first line is the name of its file.
BLOCK = re.compile(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", re.DOTALL)


def write_documented_files(folder: Path) -> list[str]:
    """Write the page's files into a folder.

    Returns:
        Their names.
    """
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    for name, text in blocks:
        (folder / name).write_text(text, encoding="utf-8")
    return [name for name, _ in blocks]
