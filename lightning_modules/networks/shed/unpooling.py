"""Unpooling: from coarse to fine segment tokens, through the assignment the encoder found."""

from timm.layers import Mlp
from torch import Tensor, nn

from lightning_modules.networks.named_options import check_option
from lightning_modules.networks.shed.options import UnpoolMlp


def unpool(coarse: Tensor, assignment: Tensor) -> Tensor:
    """Z'_l = P_{l+1} Z'_{l+1}: each fine token is a convex combination of coarse ones.

    The paper prints P^T, whose shape does not fit (SHED, section 3.2, "Unpooling segment tokens").

    Args:
        coarse: (B, k, d).
        assignment: (B, n, k), rows summing to one.

    Returns:
        (B, n, d).
    """
    return assignment.to(coarse.dtype) @ coarse


class Unpooling(nn.Module):
    """Z'_l <- MLP(P_{l+1} Z'_{l+1} + E_l), E_l the encoder's tokens (SHED, section 3.2, "Unpooling segment tokens").

    Args:
        dim: d.
        mlp: ``plain`` (as printed) or ``residual`` (x + MLP(x)); both normalise first.

    Raises:
        ValueError: if ``mlp`` is unknown.
    """

    def __init__(self, dim: int, mlp: UnpoolMlp = "plain") -> None:
        super().__init__()
        check_option("mlp", mlp, UnpoolMlp)
        self.residual = mlp == "residual"
        self.norm = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, coarse: Tensor, assignment: Tensor, skip: Tensor) -> Tensor:
        """Fine tokens (B, n, d) from coarse (B, k, d), assignment (B, n, k) and skip (B, n, d)."""
        tokens = unpool(coarse, assignment) + skip
        update = self.mlp(self.norm(tokens))
        return tokens + update if self.residual else update
