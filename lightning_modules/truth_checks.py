"""Checks of relative truth: a loss and an alignment that are blind to what it does not say."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_modules.depth_data import DepthData
from lightning_modules.metrics import EvalProtocol

#: Alignments after which errors against truth of a kind mean something, the usual one first.
ALIGNMENTS = {
    "scale": ("median", "scale", "log", "least_squares", "inverse_least_squares"),
    "scale_and_shift": ("inverse_least_squares", "least_squares"),
}

#: What the truth is known up to, in words.
UP_TO = {"scale": "up to a scale", "scale_and_shift": "up to a scale and a shift"}

RELATIVE_LOSS = "lightning_modules.losses.ScaleAndShiftInvariantLoss"


def check_alignments(sets: Sequence[DepthData], protocols: Mapping[str, EvalProtocol]) -> None:
    """Check that predictions are aligned to relative truth before they are compared with it.

    Args:
        sets: the test sets.
        protocols: the protocol of each set, by the set's name.

    Raises:
        ValueError: if they are not, naming the set and the option.
    """
    for data in sets:
        known, protocol = ALIGNMENTS.get(data.truth, ()), protocols[data.name]
        if known and protocol.alignment not in known:
            raise ValueError(
                f"`{data.name}`: depth is known {UP_TO[data.truth]}, and protocol `{protocol.name}` aligns by "
                f"`{protocol.alignment}`; set `--model.protocol.alignment {known[0]}`, or another of "
                f"{', '.join(known[1:])}"
            )


def check_loss(method: str, loss: Any, learns_by_it: bool, data: DepthData, protocol: EvalProtocol) -> None:
    """Check that a method does not learn metres from truth that has none.

    Args:
        method: its name, for the message.
        loss: its ``depth_loss``; ``invariant_to`` says what it is blind to, ``scale`` or ``scale_and_shift``.
        learns_by_it: whether depth is learned by that loss alone.
        data: that it is trained on.
        protocol: that the method is validated under.

    Raises:
        ValueError: if it does, naming the option to set.
    """
    if data.truth == "metric":
        return
    known = f"`{data.name}`: depth is known {UP_TO[data.truth]}"
    if not learns_by_it:
        raise ValueError(f"{known}, and {method} learns metres; train a method whose `depth_loss` can be replaced")
    blind = getattr(loss, "invariant_to", "")
    if blind not in ("scale_and_shift", data.truth):
        raise ValueError(
            f"{known}, and `depth_loss` {type(loss).__name__} measures {'a shift' if blind else 'metres'}; set "
            f"`--model.depth_loss {RELATIVE_LOSS}`"
        )
    of = "depth" if protocol.alignment == "least_squares" else "disparity"
    if data.truth == "scale_and_shift" and getattr(loss, "of", of) != of:
        raise ValueError(
            f"{known} of {of} (the protocol aligns by `{protocol.alignment}`), and `depth_loss` measures {loss.of}; "
            f"set `--model.depth_loss.init_args.of {of}`"
        )
