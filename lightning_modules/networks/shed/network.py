"""SHED from image to metric depth: stem, segment hierarchy, fusion of level maps and convolution maps, head."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from lightning_modules.backbones import Backbone
from lightning_modules.networks.depth_head import DepthHead
from lightning_modules.networks.dpt.fusion import FusionBlock, fuse_pyramid
from lightning_modules.networks.shed.level_convolution import convolve_levels
from lightning_modules.networks.shed.options import SHEDOptions
from lightning_modules.networks.shed.trunk import SHEDTrunk, TrunkOutput


class SHEDOutput(NamedTuple):
    """Depth (B, 1, H, W) in metres, and what the segment hierarchy found."""

    depth: Tensor
    trunk: TrunkOutput


class LevelFusion(nn.Module):
    """Fuse the level maps F_l = S_0 T_l into one map, without spatial reduction (SHED, section 3.2).

    With ``level_fusion: maps``, as printed ("fused using convolutional layers", on "the overall architecture of DPT"),
    each level has a 3x3 convolution, then fusion blocks go from coarse to fine. All maps have one resolution, or, with
    ``spatial_reduction``, each has half that of the finer one. The convolutions are computed from tokens where that is
    cheaper. With ``tokens``, a light variant that is not the paper's, each level has a linear map, and their results
    are summed. Linear maps and sums commute with spreading tokens over cells, so they run on n_0 tokens instead of
    h0*w0 cells, and only their sum is spread.

    With ``readout: project`` each token is first concatenated with the class token and projected back (DPT, Eq. 4).

    Args:
        dim: d, channels of a token.
        options: of which this part reads ``width``, ``level_fusion``, ``readout`` and the levels that are fused.
    """

    def __init__(self, dim: int, options: SHEDOptions):
        super().__init__()
        width, levels = options.width, len(options.fused_levels)
        self.readouts: nn.ModuleList | None = None
        if options.readout == "project":
            self.readouts = nn.ModuleList(nn.Sequential(nn.Linear(2 * dim, dim), nn.GELU()) for _ in range(levels))
        self.blocks: nn.ModuleList | None = None
        if options.level_fusion == "maps":
            self.projections = nn.ModuleList(nn.Conv2d(dim, width, 3, padding=1, bias=False) for _ in range(levels))
            self.blocks = nn.ModuleList(FusionBlock(width, refine_skip=level < levels - 1) for level in range(levels))
        else:
            self.projections = nn.ModuleList(nn.Linear(dim, width, bias=False) for _ in range(levels))

    def forward(self, trunk: TrunkOutput) -> Tensor:
        """Return the fused map (B, width, *trunk.grid)."""
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
        trunk: the bidirectional segment hierarchy. Of its options this part reads ``width``, ``map_fusion``,
            ``projection_stride``, ``max_depth``, ``depth_param`` and those of :class:`LevelFusion`.

    Raises:
        ValueError: if the stem gives other strides.
    """

    def __init__(self, backbone: Backbone, trunk: SHEDTrunk):
        super().__init__()
        options = trunk.options
        (channels4, stride4), (channels8, stride8) = backbone.feature_info
        if (stride4, stride8) != (4, 8):
            raise ValueError(f"SHED reads maps of strides 4 and 8, the backbone gives {stride4} and {stride8}")
        self.backbone = backbone
        self.project = nn.Conv2d(channels8, trunk.dim, 1)
        self.trunk = trunk
        self.level_fusion = LevelFusion(trunk.dim, options)
        self.map_projections = nn.ModuleList(
            nn.Conv2d(channels, options.width, 3, padding=1, bias=False) for channels in (channels4, channels8)
        )
        # Projected at stride 4, the levels join after the stride-8 map, which then begins the path.
        self.levels_first = options.projection_stride != 4
        refine = options.map_fusion == "refine"
        self.fusion = nn.ModuleList(
            FusionBlock(options.width, refine_skip=refined) for refined in (refine, refine and self.levels_first)
        )
        self.head = DepthHead(options.width, max_depth=options.max_depth, parametrisation=options.depth_param)

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
