"""Attention by which one task's features guide another's."""

import torch.nn.functional as F
from torch import Tensor, nn


class GuidedAttention(nn.Module):
    r"""``features + W_o softmax(Q K^T / sqrt(d_k)) V``: guided MTI-Net, section 5.2.

    The query is made of the features that are guided, key and value of the guide's. The softmax is over the guide's
    positions, so that the result lies at the guided ones. The residual keeps the task's own features; with a zero
    ``W_o`` nothing else is left. The paper names neither width nor heads.

    A map of h x w positions has (h w)^2 scores a head; the fused kernels never hold them, but compute them all.
    ``key_pool`` averages the guide over windows first, which divides keys, scores and time by its square.

    Args:
        channels: of the guided features.
        guide_channels: of the guide's features.
        dim: channels of a head, d_k.
        heads: attention heads.
        key_pool: edge of the window that keys and values are averaged over.
    """

    def __init__(self, channels: int, guide_channels: int, *, dim: int = 64, heads: int = 1, key_pool: int = 1):
        super().__init__()
        self.heads, self.key_pool = heads, key_pool
        self.query = nn.Conv2d(channels, heads * dim, 1)
        self.key = nn.Conv2d(guide_channels, heads * dim, 1)
        self.value = nn.Conv2d(guide_channels, heads * dim, 1)
        self.output = nn.Conv2d(heads * dim, channels, 1)

    def forward(self, features: Tensor, guide: Tensor) -> Tensor:
        """Add to features what they attend to in a guide.

        Args:
            features: (B, channels, h, w).
            guide: (B, guide_channels, h', w'), of any size.

        Returns:
            (B, channels, h, w).
        """
        if self.key_pool > 1:
            guide = F.avg_pool2d(guide, self.key_pool, ceil_mode=True)
        query, key, value = (
            self._tokens(projection(map_))
            for projection, map_ in ((self.query, features), (self.key, guide), (self.value, guide))
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        return features + self.output(attended.mT.flatten(1, 2).unflatten(2, features.shape[-2:]))

    def _tokens(self, map_: Tensor) -> Tensor:
        """Reshape (B, heads d, h, w) to (B, heads, h w, d), contiguous as the fused kernels want it."""
        return map_.flatten(2).unflatten(1, (self.heads, -1)).mT.contiguous()
