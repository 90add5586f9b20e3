"""Weights of several tasks' losses that are learned with the network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class LearnedTaskWeights(nn.Module):
    r"""Homoscedastic uncertainty as a weight (Kendall, Gal, Cipolla, CVPR 2018, section 3.2).

    With a learned :math:`s_t = \ln \sigma_t^2`, task t costs :math:`e^{-s_t} L_t + s_t / 2`: the form that the paper
    derives for classification. For a constant loss its minimum is at :math:`\sigma_t^2 = 2 L_t`. For a squared error
    the paper has half of the first term, which only moves that minimum.

    Args:
        tasks: names.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.log_variance = nn.ParameterDict({task: nn.Parameter(torch.zeros(())) for task in tasks})

    def weight(self, task: str) -> Tensor:
        """Return the factor of a task's loss, exp(-s_t), a scalar."""
        return (-self.log_variance[task]).exp()

    def penalty(self) -> Tensor:
        """Return the sum of s_t / 2 over tasks, a scalar, which keeps the weights from vanishing."""
        return torch.stack(list(self.log_variance.values())).sum() / 2
