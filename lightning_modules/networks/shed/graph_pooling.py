"""Graph pooling: from fine to coarse segment tokens, with a soft assignment between them."""

from dataclasses import dataclass

import torch
from timm.layers import Attention
from torch import Tensor, nn

from lightning_modules.networks.shed.assignment import seeded_assignment
from lightning_modules.networks.shed.assignment_reference import take_tokens
from lightning_modules.networks.shed.options import SHEDOptions

#: Probability that training drops a hidden channel of a pooling's MLP.
DROPOUT = 0.1


@dataclass
class Pooled:
    """What a graph pooling makes of n fine tokens.

    Attributes:
        tokens: (B, k, d) coarse tokens Z_l.
        cls: (B, 1, d) class token, after the pooling's MLP.
        assignment: (B, n, k) soft assignment P_l, float32 at least; each row sums to one.
        seeds: (B, k) int64 index of the fine token that each coarse one grew from.
    """

    tokens: Tensor
    cls: Tensor
    assignment: Tensor
    seeds: Tensor


class GraphPooling(nn.Module):
    """Pool n segment tokens Z into k coarser ones (SHED section 3.1, "Hierarchical clustering"; CAST).

    1. Seeds by farthest point sampling on Z.
    2. Nodes, used for grouping only: G = Z + Attn(LN(Z)), then G <- G - mean(G) + b with a learned b.
    3. P_l = softmax over the coarse axis of ``pool_scale`` * cosine(G, G[seeds]).
    4. Z_l = Z[seeds] + MLP((P_l^T Z) / (P_l^T 1)).

    The paper's formula of P_l compares the tokens themselves; with ``similarity: tokens`` step 2 is left out.
    With ``pool_mlp: cast`` the mean of step 4 lies inside its MLP: with V = GELU(Linear(LN(Z))), Z_l = Z[seeds] +
    Linear(LN((P_l^T V) / (P_l^T 1))). The class token c passes the same weights, c <- c + MLP(c).

    No gradient flows through the choice of seeds; P_l gets its own through step 4 and wherever it is used again.

    Args:
        dim: d, channels of a token.
        num_segments: k.
        options: of which the pooling reads ``pool_scale``, ``pool_mlp``, ``similarity`` and ``pad_tokens``.
        heads: attention heads of step 2.

    Raises:
        ValueError: if ``heads`` does not divide ``dim``.
    """

    def __init__(self, dim: int, num_segments: int, options: SHEDOptions, *, heads: int = 12) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"`heads` is {heads}, which does not divide the token width {dim}")
        self.num_segments = num_segments
        self.options = options
        if options.similarity == "nodes":
            self.node_norm = nn.LayerNorm(dim, eps=1e-6)
            self.node_attn = Attention(dim, heads, qkv_bias=True)
            self.node_bias = nn.Parameter(0.01 * torch.randn(dim))
        self.expand = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(DROPOUT))
        self.contract = nn.Sequential(nn.LayerNorm(4 * dim), nn.Linear(4 * dim, dim))

    def forward(self, tokens: Tensor, cls: Tensor, pad: Tensor | None = None) -> Pooled:
        """Pool one level.

        Args:
            tokens: (B, n, d) tokens after the ViT blocks.
            cls: (B, 1, d) class token.
            pad: (B, n) bool, true for superpixels without a cell.

        Raises:
            ValueError: if there are fewer tokens than coarse segments.
        """
        options = self.options
        masked = pad if options.pad_tokens == "masked" else None
        nodes = self._nodes(tokens, masked) if options.similarity == "nodes" else tokens
        seeds, assignment = seeded_assignment(tokens, nodes, self.num_segments, options.pool_scale, pad)
        weights = assignment if masked is None else assignment.masked_fill(masked[..., None], 0)
        if options.pool_mlp == "cast":
            update = self.contract(_weighted_mean(self.expand(tokens), weights))
        else:
            update = self.contract(self.expand(_weighted_mean(tokens, weights)))
        return Pooled(
            tokens=take_tokens(tokens, seeds) + update,
            cls=cls + self.contract(self.expand(cls)),
            assignment=assignment,
            seeds=seeds,
        )

    def _nodes(self, tokens: Tensor, pad: Tensor | None) -> Tensor:
        """Features for grouping (step 2)."""
        attend = None if pad is None else ~pad[:, None, None, :]
        nodes = tokens + self.node_attn(self.node_norm(tokens), attn_mask=attend)
        if pad is None:
            mean = nodes.mean(1, keepdim=True)
        else:
            own = ~pad[..., None]
            mean = (nodes * own).sum(1, keepdim=True) / own.sum(1, keepdim=True)
        return nodes - mean + self.node_bias


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """(W^T V) / (W^T 1) for values (B, n, c) and weights (B, n, k)."""
    return (weights.to(values.dtype).mT @ values) / weights.sum(1)[..., None]
