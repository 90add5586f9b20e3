"""SHED from image to metric depth: stem, segment hierarchy, fusion of level maps and convolution maps, head."""

from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from lightning_modules.backbones import Backbone
from lightning_modules.networks.depth_head import DepthHead, DepthParametrisation
from lightning_modules.networks.dpt.fusion import FusionBlock, MapFusionRule, fuse_pyramid
from lightning_modules.networks.named_options import check_option
from lightning_modules.networks.shed.level_convolution import convolve_levels
from lightning_modules.networks.shed.trunk import SHEDTrunk, TrunkOutput

LevelFusionRule = Literal["maps", "tokens"]
ReadoutRule = Literal["ignore", "project"]


class SHEDOutput(NamedTuple):
    """Depth (B, 1, H, W) in metres, and what the segment hierarchy found."""

    depth: Tensor
    trunk: TrunkOutput


class LevelFusion(nn.Module):
    """Fuse the level maps F_l = S_0 T_l into one map, without spatial reduction (SHED, section 3.2).

    ``maps``, as printed ("fused using convolutional layers", on "the overall architecture of DPT"): a 3x3 convolution a
    level, then fusion blocks from coarse to fine, all at one resolution, or, where the trunk reduces them, each level's
    map at half the resolution of the finer one. The convolutions are computed from tokens where that is cheaper.
    ``tokens``, a light variant that is not the paper's: one linear map a level, summed. Both commute with spreading
    tokens over cells, so they run on n_0 tokens instead of h0*w0 cells and one spread is left; no convolution sees a
    single level.

    Args:
        dim: d, width of the tokens.
        width: channels of the fused map.
        levels: number of level maps.
        rule: ``maps`` or ``tokens``.
        readout: ``ignore`` (the paper's formula has no class token) or ``project`` (DPT's: each token is concatenated
            with the class token and projected back).

    Raises:
        ValueError: for an unknown name.
    """

    def __init__(self, dim: int, width: int, levels: int, rule: LevelFusionRule, readout: ReadoutRule):
        super().__init__()
        check_option("level_fusion", rule, LevelFusionRule)
        check_option("readout", readout, ReadoutRule)
        self.readouts: nn.ModuleList | None = None
        if readout == "project":
            self.readouts = nn.ModuleList(nn.Sequential(nn.Linear(2 * dim, dim), nn.GELU()) for _ in range(levels))
        self.blocks: nn.ModuleList | None = None
        if rule == "maps":
            self.projections = nn.ModuleList(nn.Conv2d(dim, width, 3, padding=1, bias=False) for _ in range(levels))
            self.blocks = nn.ModuleList(FusionBlock(width, refine_skip=level < levels - 1) for level in range(levels))
        else:
            self.projections = nn.ModuleList(nn.Linear(dim, width, bias=False) for _ in range(levels))

    def forward(self, trunk: TrunkOutput) -> Tensor:
        """Fused map (B, width, h0, w0)."""
        levels = trunk.levels
        if self.readouts is not None:
            cls = trunk.embedding[:, None].expand_as(levels[0])
            levels = [readout(torch.cat([t, cls], 2)) for readout, t in zip(self.readouts, levels, strict=True)]
        if self.blocks is None:
            projected = [project(tokens) for project, tokens in zip(self.projections, levels, strict=True)]
            return trunk.spread(torch.stack(projected).sum(0))
        maps = [
            convolve_levels(tokens, *trunk.level_cells(level), cast(nn.Conv2d, projection).weight)
            for level, (tokens, projection) in enumerate(zip(levels, self.projections, strict=True))
        ]
        return fuse_pyramid(self.blocks, maps, trunk.grid)


class SHEDNetwork(nn.Module):
    """SHED (section 3, Fig. 2): image and superpixels to metric depth.

    Args:
        backbone: stem with maps at strides 4 and 8; the latter becomes tokens, both are fused again at the end.
        trunk: the bidirectional segment hierarchy.
        width: channels of the fusion decoder.
        level_fusion: see :class:`LevelFusion`.
        readout: likewise.
        map_fusion: how the stem's maps join the path: ``add`` ("combined with F_conv", section 3.2), or ``refine`` them
            first by a residual unit each, as DPT does: two more 3x3 convolutions at either stride.
        max_depth: metres, see :func:`~lightning_modules.networks.depth_head.to_depth`.
        depth_param: likewise.

    Raises:
        ValueError: if the stem gives other strides, for an unknown name, or if level maps are projected at another
            stride than 4 or 8, or reduced although they are fused as tokens.
    """

    def __init__(
        self,
        backbone: Backbone,
        trunk: SHEDTrunk,
        *,
        width: int = 256,
        level_fusion: LevelFusionRule = "maps",
        readout: ReadoutRule = "ignore",
        map_fusion: MapFusionRule = "add",
        max_depth: float = 10.0,
        depth_param: DepthParametrisation = "sigmoid_max",
    ):
        super().__init__()
        (channels4, stride4), (channels8, stride8) = backbone.feature_info
        if (stride4, stride8) != (4, 8):
            raise ValueError(f"SHED reads maps of strides 4 and 8, the backbone gives {stride4} and {stride8}")
        self.backbone = backbone
        self.project = nn.Conv2d(channels8, trunk.dim, 1)
        self.trunk = trunk
        self.level_fusion = LevelFusion(trunk.dim, width, len(trunk.map_levels), level_fusion, readout)
        self.map_projections = nn.ModuleList(
            nn.Conv2d(channels, width, 3, padding=1, bias=False) for channels in (channels4, channels8)
        )
        if trunk.projection_stride not in (None, 4, 8):
            raise ValueError(f"`projection_stride` is {trunk.projection_stride}; the maps are projected at 4 or 8")
        if trunk.spatial_reduction != "none" and level_fusion != "maps":
            raise ValueError(
                f"`spatial_reduction: {trunk.spatial_reduction}` is of maps, but `level_fusion` is {level_fusion}: "
                "set it to maps"
            )
        # Projected at stride 4, the levels join after the stride-8 map, which then begins the path.
        self.levels_first = trunk.projection_stride != 4
        check_option("map_fusion", map_fusion, MapFusionRule)
        refine = map_fusion == "refine"
        self.fusion = nn.ModuleList(
            FusionBlock(width, refine_skip=refined) for refined in (refine, refine and self.levels_first)
        )
        self.head = DepthHead(width, max_depth=max_depth, parametrisation=depth_param)

    def forward(self, image: Tensor, superpixels: Tensor) -> SHEDOutput:
        """Predict metric depth.

        Args:
            image: (B, 3, H, W), normalised with the stem's statistics; H and W multiples of the superpixels' size.
            superpixels: (B, H, W) int64, one id per superpixel, see :class:`SHEDTrunk`.
        """
        height, width = image.shape[-2:]
        map4, map8 = self.backbone(image)
        trunk = self.trunk(self.project(map8), superpixels)

        levels, skip8 = self.level_fusion(trunk), self.map_projections[1](map8)
        if self.levels_first:
            path = self.fusion[1](levels, skip8, size=map4.shape[-2:])
        else:
            path = levels + self.fusion[1](skip8, size=map4.shape[-2:])
        path = self.fusion[0](path, self.map_projections[0](map4), size=(height // 2, width // 2))
        return SHEDOutput(self.head(path, (height, width)), trunk)
