"""Unpooling: from coarse to fine segment tokens, through the assignment the encoder found."""

from timm.layers import Mlp
from torch import Tensor, nn

from lightning_modules.networks.shed.options import UnpoolMlp


def unpool(coarse: Tensor, assignment: Tensor) -> Tensor:
    """Return fine tokens Z'_l = P_{l+1} Z'_{l+1}, each a convex combination of coarse ones.

    The paper prints P^T, whose shape does not fit (SHED, section 3.2, "Unpooling segment tokens").

    Args:
        coarse: Z'_{l+1}, (B, k, d).
        assignment: P_{l+1}, (B, n, k), rows summing to one.

    Returns:
        Z'_l, (B, n, d).
    """
    return assignment.to(coarse.dtype) @ coarse


class Unpooling(nn.Module):
    """Z'_l <- MLP(P_{l+1} Z'_{l+1} + E_l), E_l the encoder's tokens (SHED, section 3.2, "Unpooling segment tokens").

    Args:
        dim: d, channels of a token.
        mlp: ``plain``, MLP(x) as printed, or ``residual``, x + MLP(x); both normalise x before the MLP.
    """

    def __init__(self, dim: int, mlp: UnpoolMlp) -> None:
        super().__init__()
        self.residual = mlp == "residual"
        self.norm = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, coarse: Tensor, assignment: Tensor, skip: Tensor) -> Tensor:
        """Return fine tokens (B, n, d).

        Args:
            coarse: (B, k, d) tokens of the coarser level.
            assignment: (B, n, k), rows summing to one.
            skip: (B, n, d) tokens that the encoder had at the fine level.
        """
        tokens = unpool(coarse, assignment) + skip
        update = self.mlp(self.norm(tokens))
        return tokens + update if self.residual else update
