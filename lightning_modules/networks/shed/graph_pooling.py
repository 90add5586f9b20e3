"""Graph pooling: from fine to coarse segment tokens, with a soft assignment between them."""

from dataclasses import dataclass

import torch
from timm.models.vision_transformer import Attention
from torch import Tensor, nn

from lightning_modules.networks.named_options import check_option
from lightning_modules.networks.shed.assignment import seeded_assignment, take_tokens
from lightning_modules.networks.shed.options import PadRule, PoolMlp, SimilarityRule


@dataclass
class Pooled:
    """One level of the forward hierarchy.

    Attributes:
        tokens: (B, k, d) coarse tokens Z_l.
        cls: (B, 1, d) class token.
        assignment: (B, n, k) soft assignment P_l, float32 at least; each row sums to one.
        seeds: (B, k) int64 index of the fine token each coarse one grew from.
    """

    tokens: Tensor
    cls: Tensor
    assignment: Tensor
    seeds: Tensor


class GraphPooling(nn.Module):
    """Pools n segment tokens Z into k coarser ones (SHED section 3.1, "Hierarchical clustering"; CAST).

    1. Seeds by farthest point sampling on Z.
    2. Nodes, used for grouping only: G = Z + Attn(LN(Z)), then G <- G - mean(G) + b with a learned b.
    3. P_l = softmax over the coarse axis of ``scale`` * cosine(G, G[seeds]).
    4. Z_l = Z[seeds] + MLP((P_l^T Z) / (P_l^T 1)).

    The paper's formula of P_l compares the tokens themselves; with ``similarity: tokens`` step 2 is left out.
    In CAST, which the paper builds on, the MLP of step 4 straddles the mean: with V = GELU(Linear(LN(Z))) it is
    Linear(LN((P_l^T V) / (P_l^T 1))). The class token c passes the same weights, c <- c + MLP(c).

    No gradient flows through the choice of seeds; P_l gets its own through step 4 and wherever it is used again.

    Args:
        dim: d.
        num_segments: k.
        heads: attention heads of step 2.
        scale: inverse temperature of step 3.
        mlp: ``cast`` (the MLP straddles the mean) or ``paper`` (the MLP follows it, as printed).
        pad_tokens: ``masked`` (superpixels without a cell take no part in attention, means and sums, so that results
            do not depend on them) or ``cast`` (they only never become seeds).
        dropout: after the GELU.
        similarity: of step 3, between ``nodes`` (CAST) or between the ``tokens`` themselves (as printed).

    Raises:
        ValueError: if an option is unknown or ``heads`` does not divide ``dim``.
    """

    def __init__(
        self,
        dim: int,
        num_segments: int,
        heads: int = 12,
        scale: float = 5.0,
        mlp: PoolMlp = "cast",
        pad_tokens: PadRule = "masked",
        dropout: float = 0.1,
        similarity: SimilarityRule = "nodes",
    ) -> None:
        super().__init__()
        check_option("mlp", mlp, PoolMlp)
        check_option("similarity", similarity, SimilarityRule)
        check_option("pad_tokens", pad_tokens, PadRule)
        if dim % heads:
            raise ValueError(f"`heads` is {heads}, which does not divide the token width {dim}")
        self.num_segments = num_segments
        self.scale = scale
        self.mlp = mlp
        self.pad_tokens = pad_tokens
        self.similarity = similarity
        if similarity == "nodes":
            self.node_norm = nn.LayerNorm(dim, eps=1e-6)
            self.node_attn = Attention(dim, heads, qkv_bias=True)
            self.node_bias = nn.Parameter(0.01 * torch.randn(dim))
        self.expand = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout))
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
        masked = pad if self.pad_tokens == "masked" else None
        nodes = self._nodes(tokens, masked) if self.similarity == "nodes" else tokens
        seeds, assignment = seeded_assignment(tokens, nodes, self.num_segments, self.scale, pad)
        weights = assignment if masked is None else assignment.masked_fill(masked[..., None], 0)
        if self.mlp == "cast":
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
