"""The comparison page: one HTML file with everything in it, that works without a network."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from datamodules.files import write_text_atomically
from experiments.comparison.page_data import frame_data, history_data, page_data
from experiments.comparison.page_pictures import embedded_pictures
from experiments.comparison.run_records import RunRecord
from experiments.results.published import PublishedTable

HERE = Path(__file__).parent
MEGABYTE = 1_000_000


def write_page(
    path: Path, runs: Sequence[RunRecord], tables: Sequence[PublishedTable], title: str, embed_mb: float = 25
) -> int:
    """Write the comparison page, one HTML file.

    Per-image metrics and pictures stand in blocks of their own, which the page reads when they are asked for.

    Args:
        path: file to write, replaced atomically.
        runs: to show.
        tables: published ones to compare with.
        title: title of the page.
        embed_mb: megabytes of pictures to carry within the page; the others are linked.

    Returns:
        Size of the page in bytes.

    Raises:
        ConfigError: if a file of a run cannot be read.
    """
    frames = {
        (number, dataset): table for number, run in enumerate(runs) for dataset, table in run.frame_tables().items()
    }
    pictures = embedded_pictures(runs, frames, embed_mb * MEGABYTE)
    blocks = [json_block("data", page_data(runs, tables, title, path, frames))]
    blocks += [json_block(f"frames-{number}-{name}", frame_data(table)) for (number, name), table in frames.items()]
    blocks += [json_block(f"history-{n}", history_data(run.history)) for n, run in enumerate(runs) if run.history]
    blocks += [json_block(f"pictures-{number}-{name}", strips) for (number, name), strips in pictures.items()]
    parts = {
        "TITLE": escape(title),
        "STYLE": (HERE / "page.css").read_text(encoding="utf-8"),
        "SCRIPT": (HERE / "page.js").read_text(encoding="utf-8"),
        "DATA": "\n".join(blocks),
    }
    page = (HERE / "page.html").read_text(encoding="utf-8")
    for name in ("TITLE", "STYLE", "SCRIPT", "DATA"):  # data last: nothing in them is taken for a part
        page = page.replace(f"<!--{name}-->", parts[name])
    write_text_atomically(path, page)
    return path.stat().st_size


def json_block(name: str, content: Any) -> str:
    """Return a script element that holds inert JSON.

    A ``<`` within it is written as JSON's escape, so that no name of a run or scene can end the element.
    """
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{escape(name)}">{text}</script>'
