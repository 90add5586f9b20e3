"""Guided MTI-Net: three tasks on one backbone, where segmentation and edges guide depth by attention."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from timm.layers import ConvNormAct
from torch import Tensor, nn

from lightning_modules.backbones import Backbone
from lightning_modules.networks.depth_head import to_depth
from lightning_modules.networks.mti_net.attention import GuidedAttention
from lightning_modules.networks.mti_net.decoders import DepthDecoder, EdgeDecoder, SegmentationDecoder
from lightning_modules.networks.mti_net.interaction import MultiScaleInteraction
from lightning_modules.networks.mti_net.options import STRIDES, MTINetOptions


class MTINetOutput(NamedTuple):
    """Predictions of each task; None for a task that the network does not have.

    Attributes:
        depth: (B, 1, H, W) metres, float32.
        semantics: (B, classes, H, W) logits.
        edges: (B, 1, H, W) logits.
        initial: task to its initial predictions (B, channels, h, w) at strides 4 to 32, fine to coarse, depth in
            metres; empty lists without ``deep_supervision``.
    """

    depth: Tensor | None
    semantics: Tensor | None
    edges: Tensor | None
    initial: dict[str, list[Tensor]]


class AlignedBranch(nn.Module):
    """One task's features of all scales, brought to one size and width ("intermediate feature alignment").

    Args:
        widths: channels of each scale.
        width: of the result.
    """

    def __init__(self, widths: Sequence[int], width: int):
        super().__init__()
        self.fuse = ConvNormAct(sum(widths), width, 1)

    def forward(self, features: Sequence[Tensor], size: torch.Size) -> Tensor:
        """Bring maps (B, widths[i], h_i, w_i) to one map (B, width, *size)."""
        return self.fuse(torch.cat([aligned(map_, size) for map_ in features], dim=1))


def aligned(map_: Tensor, size: torch.Size) -> Tensor:
    """Resize a map (B, C, h, w) to (B, C, *size): averaged where it shrinks, bilinear where it grows."""
    if map_.shape[-2] > size[0]:
        return F.adaptive_avg_pool2d(map_, (size[0], size[1]))
    return map_ if map_.shape[-2:] == size else F.interpolate(map_, size, mode="bilinear")


class MTINetwork(nn.Module):
    """Guided MTI-Net (section 5) on the multi-scale interaction of MTI-Net (Vandenhende et al., ECCV 2020).

    Maps of the backbone at strides 4 to 32 are reduced by 1x1 convolutions. At every scale each task has features and
    an initial prediction, coarse scales inform finer ones, and tasks take of each other (:class:`MultiScaleInteraction`
    of ``interaction.py``). Then each task's scales are brought to ``attention_stride``, where depth asks segmentation,
    then edges (:class:`GuidedAttention`), and each task has a decoder of its own. There, depth guides nothing.

    Args:
        backbone: with maps at strides 4, 8, 16 and 32.
        options: tasks, sizes and readings.

    Raises:
        ValueError: if the backbone has other strides.
    """

    max_depth: Tensor

    def __init__(self, backbone: Backbone, options: MTINetOptions):
        super().__init__()
        strides = tuple(info.stride for info in backbone.feature_info)
        if strides != STRIDES:
            raise ValueError(
                f"guided MTI-Net reads maps of strides 4, 8, 16 and 32, the backbone gives {list(strides)}"
            )
        self.backbone = backbone
        self.options = options
        self.register_buffer("max_depth", torch.tensor(float(options.max_depth)))
        self.scale = STRIDES.index(options.attention_stride)
        self.reduce = nn.ModuleList(
            ConvNormAct(info.channels, reduced, 1)
            for info, reduced in zip(backbone.feature_info, options.widths, strict=True)
        )
        self.interaction = MultiScaleInteraction(options)
        self.branches = nn.ModuleDict({task: AlignedBranch(options.widths, options.width) for task in options.tasks})
        self.guided_by_map = {"edges"} if options.edge_guide == "map" else set()
        self.guidance = nn.ModuleDict(
            {
                guide: GuidedAttention(
                    options.width,
                    1 if guide in self.guided_by_map else options.width,
                    dim=options.attention_dim,
                    heads=options.attention_heads,
                    key_pool=options.key_pool,
                )
                for guide in options.guidance
            }
        )
        skips = dict(zip(STRIDES[: self.scale], options.widths, strict=False))
        decoders: dict[str, nn.Module] = {
            "depth": DepthDecoder(options.width, options.attention_stride, skips),
            "semantics": SegmentationDecoder(options.width, options.attention_stride, options.num_classes),
            "edges": EdgeDecoder(options.width, options.attention_stride),
        }
        self.decoders = nn.ModuleDict({task: decoders[task] for task in options.tasks})

    def forward(self, image: Tensor) -> MTINetOutput:
        """Predict every task.

        Args:
            image: (B, 3, H, W), H and W multiples of 32, normalised with the backbone's statistics.

        Raises:
            ValueError: if the size is no multiple of 32.
        """
        maps = [reduce(map_) for reduce, map_ in zip(self.reduce, self.backbone(image), strict=True)]
        by_scale, initial = self.interaction(maps)
        size = maps[self.scale].shape[-2:]
        features = {task: branch(by_scale[task], size) for task, branch in self.branches.items()}
        predicted = {task: self.decoders[task](features[task]) for task in self.decoders if task != "depth"}
        for guide, attention in self.guidance.items():
            by_map = guide in self.guided_by_map
            source = aligned(predicted[guide].sigmoid(), size) if by_map else features[guide]
            features["depth"] = attention(
                features["depth"], source.detach() if self.options.detach_guidance else source
            )

        depth = None
        if "depth" in self.decoders:
            depth = self._metric(self.decoders["depth"](features["depth"], maps[: self.scale][::-1]))
            initial["depth"] = [self._metric(prediction) for prediction in initial["depth"]]
        return MTINetOutput(depth, predicted.get("semantics"), predicted.get("edges"), initial)

    def _metric(self, unbounded: Tensor) -> Tensor:
        return to_depth(unbounded, self.options.depth_param, self.max_depth)
