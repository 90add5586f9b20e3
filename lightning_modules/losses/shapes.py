"""The check that every loss of depth begins with."""

from torch import Tensor


def check_same_shape(prediction: Tensor, target: Tensor, valid: Tensor) -> None:
    """Refuse tensors that would broadcast.

    Raises:
        ValueError: if the three shapes differ.
    """
    if not prediction.shape == target.shape == valid.shape:
        raise ValueError(
            "prediction, target and valid must have one shape (resize the prediction first), got "
            f"{tuple(prediction.shape)}, {tuple(target.shape)} and {tuple(valid.shape)}"
        )
