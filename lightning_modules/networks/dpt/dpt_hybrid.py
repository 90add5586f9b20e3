"""DPT-Hybrid: convolutional stem, transformer on a 1/16 grid, reassembled and fused coarse to fine.

Ranftl, Bochkovskiy, Koltun, "Vision Transformers for Dense Prediction", ICCV 2021, section 3 ("DPT-Hybrid").
"""

from typing import NamedTuple

from torch import Tensor, nn

from lightning_modules.backbones import HybridBackbone
from lightning_modules.backbones.smp_internals import ReadoutConcatBlock, ReassembleBlock
from lightning_modules.networks.depth_head import DepthHead, DepthParametrisation
from lightning_modules.networks.dpt.fusion import FusionBlock, MapFusionRule, fuse_pyramid
from lightning_modules.networks.named_options import check_option


class DPTOutput(NamedTuple):
    """Depth (B, 1, H, W) in metres and the class token (B, d) after the last block."""

    depth: Tensor
    embedding: Tensor


class DPTHybridNetwork(nn.Module):
    """DPT-Hybrid over two convolutional maps (1/4, 1/8) and two token taps (1/16, 1/32).

    Args:
        backbone: a hybrid whose ``feature_info`` has maps at strides 4 and 8 and two taps at stride 16.
        width: channels of the fusion decoder (256 in the paper).
        map_fusion: how the two convolutional maps join the path: each is refined by a residual unit first (``refine``,
            the release), or not (``add``, the default in SHED).
        max_depth: metres, upper bound of ``depth_param: sigmoid_max``.
        depth_param: how the output becomes metres, see :func:`~lightning_modules.networks.depth_head.to_depth`.

    Raises:
        ValueError: if the backbone gives other strides, or for an unknown name.
    """

    def __init__(
        self,
        backbone: HybridBackbone,
        *,
        width: int = 256,
        map_fusion: MapFusionRule = "refine",
        max_depth: float = 10.0,
        depth_param: DepthParametrisation = "sigmoid_max",
    ):
        super().__init__()
        strides = [info.stride for info in backbone.feature_info]
        if strides != [4, 8, 16, 16]:
            raise ValueError(
                f"DPT-Hybrid reads maps of strides 4, 8 and two token taps at 16, the backbone gives {strides}"
            )
        self.backbone = backbone
        dim = backbone.dim
        self.map_projections = nn.ModuleList(
            nn.Conv2d(info.channels, width, 3, padding=1, bias=False) for info in backbone.feature_info[:2]
        )
        # readout "project": the class token is concatenated to every token (DPT, Eq. 4)
        self.readouts = nn.ModuleList(ReadoutConcatBlock(dim, has_prefix_tokens=True) for _ in range(2))
        self.reassemble = nn.ModuleList(
            ReassembleBlock(in_channels=dim, mid_channels=dim, out_channels=width, upsample_factor=factor)
            for factor in (1.0, 0.5)
        )
        check_option("map_fusion", map_fusion, MapFusionRule)
        refine = map_fusion == "refine"
        self.fusion = nn.ModuleList(FusionBlock(width, refine_skip=skip) for skip in (refine, refine, True, False))
        self.head = DepthHead(width, max_depth=max_depth, parametrisation=depth_param)

    def reassemble_tokens(self, tokens: list[Tensor], grid: tuple[int, int]) -> list[Tensor]:
        """Turn the two token taps (B, 1 + N, d) into maps (B, width, h, w) at strides 16 and 32."""
        maps = []
        for tapped, readout, reassemble in zip(tokens, self.readouts, self.reassemble, strict=True):
            spatial = tapped[:, 1:].mT.unflatten(2, grid)
            maps.append(reassemble(readout(spatial, tapped[:, :1])))
        return maps

    def forward(self, image: Tensor) -> DPTOutput:
        """Predict metric depth.

        Args:
            image: (B, 3, H, W), H and W multiples of 16, normalised with the backbone's statistics.
        """
        height, width = image.shape[-2:]
        maps, tokens = self.backbone.forward_tokens(image)
        maps = [project(m) for project, m in zip(self.map_projections, maps, strict=True)]
        maps += self.reassemble_tokens(tokens, (height // 16, width // 16))

        path = fuse_pyramid(self.fusion, maps, (height // 2, width // 2))
        return DPTOutput(self.head(path, (height, width)), tokens[-1][:, 0])
