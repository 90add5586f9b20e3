"""The tree on which Marigold tests: measured and in-painted depth side by side, as 16-bit millimetres.

Ke, Obukhov, Huang, Metzger, Daudt, Schindler, "Repurposing Diffusion-Based Image Generators for Monocular Depth
Estimation", CVPR 2024. Files carry the frame's 1-based number in the labelled file.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from datamodules.rooms.layouts.frame_arrays import each_frame, millimetres, write_image, write_lines
from datamodules.rooms.renderer import RenderedScene
from datamodules.rooms.writer import SceneInfo, write_marker


def write_marigold(folder: Path, scenes: Sequence[SceneInfo], rendered: Iterable[RenderedScene]) -> None:
    """Write ``{train,test}/<scene>/{rgb,depth,filled}_NNNN.png`` and the two lists ``filename_list_<part>.txt``.

    Args:
        folder: root of the tree.
        scenes: all scenes, in order.
        rendered: their frames, in the same order.

    Raises:
        OSError: if a file cannot be written.
    """
    write_marker(folder, "NYU Depth v2")
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for frame in each_frame(scenes, rendered):
        part = "test" if frame.scene.is_test else "train"
        files = {
            f"{part}/{frame.scene.name}/{kind}_{frame.index + 1:04d}.png": image
            for kind, image in (
                ("rgb", frame.rgb),
                ("depth", millimetres(frame.measured)),
                ("filled", millimetres(frame.depth)),
            )
        }
        for name, image in files.items():
            write_image(folder / name, image)
        lists[part].append(" ".join(files))
    for part, lines in lists.items():
        write_lines(folder / f"filename_list_{part}.txt", lines)
