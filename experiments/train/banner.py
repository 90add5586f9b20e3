"""The first words of a run: what is run, on what, where it will lie."""

from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from experiments.results.run_folder import RunSettings


def print_banner(run: RunSettings, profile: str, model: Any, data: dict[str, Any], batch: str | None = None) -> None:
    """Say experiment, method, data set and profile; say plainly what the metrics will not mean.

    Args:
        run: where the run is written.
        profile: name of the profile in force.
        model: the method.
        data: what the data module says of itself.
        batch: how the frames of an optimizer step are shared; None outside training.
    """
    frames = ", ".join(f"{count} {part}" for part, count in data["frames"].items())
    first = Text.assemble(
        (str(run.experiment), "bold"),
        f": {type(model).__name__} on ",
        (str(data["name"]), "bold"),
        f" ({frames} frames)",
    )
    lines = [f"protocol {model.protocol.name}, profile {profile or 'paper'}, run {run.folder}"]
    if batch is not None:
        lines.append(batch)
    if weights := getattr(model, "initial_weights", {}):
        lines.append("weights: " + "; ".join(f"{part} {source}" for part, source in weights.items()))
    if data.get("synthetic"):
        lines.append("Rooms is synthetic: its metrics say that a method learns, and nothing about NYUv2")
    if profile == "quick":
        lines.append("quick profile: a small network on small frames; `PROFILE=paper` is the published recipe")
    if profile == "lite":
        lines.append(
            "lite profile: a small network with ImageNet weights on small frames, not the experiment as printed; "
            "`PROFILE=paper` is the published recipe"
        )
    text = Text("\n").join([first, *map(Text, lines)])
    Console(markup=False).print(Panel(text, title="segdepth", title_align="left", expand=False), highlight=False)
