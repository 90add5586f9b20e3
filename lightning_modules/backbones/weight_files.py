"""Read files of weights: safetensors, or what ``torch.save`` wrote, of which only plain values are unpickled."""

import os
import pickle
import re
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

#: Beginnings that training programs put before names.
WRAPPERS = ("module.", "model.", "_orig_mod.", "net.", "ema.")

#: Where they keep the weights among other things.
PARTS = ("state_dict", "model", "model_state_dict", "weights")

CHECKPOINT = "`model.init_args.checkpoint`"


def read_weights(path: str, key: str = CHECKPOINT) -> dict[str, Tensor]:
    """Read the tensors of a file, to the CPU; of a whole training state, those of the model.

    Args:
        path: of the file, safetensors by its ending ``.safetensors``.
        key: option that names the file, for messages.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is no such file, holds code, or holds no weights.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file; {key} names a file of weights")
    content = _read_safetensors(path, key) if path.endswith(".safetensors") else _unpickle(path, key)
    weights = weights_in(content)
    if weights is None:
        raise ValueError(f"{path}: holds no weights by name; name another file as {key}")
    return {name.removeprefix("module."): value for name, value in weights.items()}


def weights_in(content: Any) -> dict[str, Tensor] | None:
    """Return the weights by name of what a file holds, alone or among other things; None if there are none."""
    for part in PARTS:
        if isinstance(content, Mapping) and isinstance(content.get(part), Mapping):
            content = content[part]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        return None
    return {str(name): value for name, value in content.items()}


def _read_safetensors(path: str, key: str) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: no file of weights, or a damaged one ({error}); name another as {key}") from error


def _unpickle(path: str, key: str) -> Any:
    try:
        with torch.serialization.safe_globals([Namespace]):  # training scripts keep their arguments beside the weights
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes the reader stumble in any way
        if isinstance(error, pickle.UnpicklingError) and (code := re.search(r"GLOBAL (\S+)", str(error))):
            raise ValueError(
                f"{path}: no file of weights alone: it holds Python code (`{code[1]}`), which is not run; save the "
                f"weights as safetensors or by `torch.save(model.state_dict(), FILE)`, or name another file as {key}"
            ) from error
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"{path}: no file of weights ({reason}); name another as {key}") from error
