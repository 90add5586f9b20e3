"""DPT over the blocks of a plain vision transformer, as Depth Anything v2 has it over DINOv2.

Yang, Kang, Huang, Zhao, Xu, Feng, Zhao, "Depth Anything V2", NeurIPS 2024, and its release (`metric_depth`). The
decoder is that of Ranftl, Bochkovskiy, Koltun, "Vision Transformers for Dense Prediction", ICCV 2021, without the
readout of the class token.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from lightning_modules.backbones.timm_backbones import TimmViT
from lightning_modules.networks.depth_head import DepthHead, DepthParametrisation
from lightning_modules.networks.dpt.dpt_hybrid import DPTOutput
from lightning_modules.networks.dpt.fusion import FusionBlock, fuse_pyramid


class DPTViTNetwork(nn.Module):
    """Four taps of a vision transformer, reassembled at 4, 2, 1 and 1/2 times the patch grid, fused coarse to fine.

    Args:
        backbone: a vision transformer with four taps.
        channels: of the reassembled maps, fine to coarse (48, 96, 192, 384 for Depth Anything v2 small).
        width: channels of the fusion decoder.
        max_depth: metres, upper bound of ``depth_param: sigmoid_max``.
        depth_param: how the output becomes metres, see :func:`~lightning_modules.networks.depth_head.to_depth`.

    Raises:
        ValueError: if taps or channels are not four.
    """

    def __init__(
        self,
        backbone: TimmViT,
        *,
        channels: Sequence[int] = (48, 96, 192, 384),
        width: int = 64,
        max_depth: float = 20.0,
        depth_param: DepthParametrisation = "sigmoid_max",
    ):
        super().__init__()
        taps = len(backbone.feature_info)
        if taps != 4 or len(channels) != 4:
            raise ValueError(f"DPT reads four blocks into four maps, got {taps} `taps` and {len(channels)} `channels`")
        self.backbone = backbone
        self.patch = backbone.feature_info[0].stride
        self.projections = nn.ModuleList(
            nn.Conv2d(info.channels, c, 1) for info, c in zip(backbone.feature_info, channels, strict=True)
        )
        self.resizings = nn.ModuleList(
            [
                nn.ConvTranspose2d(channels[0], channels[0], 4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(channels[3], channels[3], 3, stride=2, padding=1),
            ]
        )
        self.map_projections = nn.ModuleList(nn.Conv2d(c, width, 3, padding=1, bias=False) for c in channels)
        self.fusion = nn.ModuleList(FusionBlock(width, refine_skip=level < 3) for level in range(4))
        self.head = DepthHead(width, max_depth=max_depth, parametrisation=depth_param)

    def forward(self, image: Tensor) -> DPTOutput:
        """Predict metric depth.

        Args:
            image: (B, 3, H, W), H and W multiples of the patch size, normalised with the backbone's statistics.
        """
        height, width = image.shape[-2:]
        taps, cls = self.backbone.forward_tokens(image)
        layers = zip(self.map_projections, self.resizings, self.projections, taps, strict=True)
        maps = [to_width(resize(project(tap))) for to_width, resize, project, tap in layers]
        # the patch grid four times finer, then twice: 8/14 of the image for patches of 14
        path = fuse_pyramid(self.fusion, maps, (height // self.patch * 8, width // self.patch * 8))
        return DPTOutput(self.head(path, (height, width)), cls)
