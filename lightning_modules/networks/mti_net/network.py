"""Guided MTI-Net: three tasks on one backbone, where segmentation and edges guide depth by attention."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from timm.layers import ConvNormAct
from torch import Tensor, nn

from lightning_modules.backbones import Backbone
from lightning_modules.networks.depth_head import DepthParametrisation, to_depth
from lightning_modules.networks.mti_net.attention import GuidedAttention
from lightning_modules.networks.mti_net.decoders import DepthDecoder, EdgeDecoder, SegmentationDecoder
from lightning_modules.networks.mti_net.interaction import MultiScaleInteraction

Task = Literal["depth", "semantics", "edges"]
Guide = Literal["semantics", "edges"]
EdgeGuide = Literal["features", "map"]

TASKS: tuple[Task, ...] = ("depth", "semantics", "edges")


class MTINetOutput(NamedTuple):
    """What the tasks predict; None for a task that the network does not have.

    Attributes:
        depth: (B, 1, H, W) metres, float32.
        semantics: (B, classes, H, W) logits.
        edges: (B, 1, H, W) logits.
        initial: task to its initial predictions (B, channels, h, w) at strides 4 to 32, fine to coarse, depth in
            metres; empty lists without them.
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
        """Maps (B, widths[i], h_i, w_i) -> (B, width, *size)."""
        return self.fuse(torch.cat([aligned(map_, size) for map_ in features], dim=1))


def aligned(map_: Tensor, size: torch.Size) -> Tensor:
    """A map at another size: averaged where it shrinks, bilinear where it grows."""
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
        tasks: what is predicted, one to three of ``depth``, ``semantics``, ``edges``.
        classes: channels of ``semantics``.
        guidance: tasks that guide depth, in this order; none without depth.
        widths: channels that the maps at strides 4, 8, 16 and 32 are reduced to, and of each task's features there.
        width: channels of each task's aligned features.
        propagation: see :class:`~lightning_modules.networks.mti_net.interaction.MultiScaleInteraction`.
        distillation: likewise.
        initial_predictions: make them; without them there is nothing to supervise but the end.
        attention_stride: where attention takes place: 4, 8, 16 or 32.
        attention_dim: see :class:`GuidedAttention`.
        attention_heads: likewise.
        key_pool: likewise.
        detach_guidance: keep the depth loss out of the guides' features: they guide but do not learn to.
        edge_guide: keys and values of edges are made of the task's ``features``, as those of segmentation, or of the
            predicted edge ``map`` of probabilities ("integrates edge maps with depth features").
        max_depth: metres, see :func:`~lightning_modules.networks.depth_head.to_depth`.
        depth_param: likewise.

    Raises:
        ValueError: if the backbone has other strides, or a task or guide is unknown, repeated or missing.
    """

    max_depth: Tensor

    def __init__(
        self,
        backbone: Backbone,
        *,
        tasks: Sequence[Task] = TASKS,
        classes: int = 40,
        guidance: Sequence[Guide] = ("semantics", "edges"),
        widths: Sequence[int] = (32, 64, 128, 256),
        width: int = 256,
        propagation: bool = True,
        distillation: bool = True,
        initial_predictions: bool = True,
        attention_stride: int = 8,
        attention_dim: int = 64,
        attention_heads: int = 1,
        key_pool: int = 1,
        detach_guidance: bool = False,
        edge_guide: EdgeGuide = "features",
        max_depth: float = 10.0,
        depth_param: DepthParametrisation = "sigmoid_max",
    ):
        super().__init__()
        strides = [info.stride for info in backbone.feature_info]
        _check(strides, tasks, guidance, widths, attention_stride)
        if edge_guide not in get_args(EdgeGuide):
            raise ValueError(f"`edge_guide` must be features or map, got {edge_guide!r}")
        self.backbone = backbone
        self.register_buffer("max_depth", torch.tensor(float(max_depth)))
        self.depth_param: DepthParametrisation = depth_param
        self.detach_guidance = detach_guidance
        self.guided_by_map = {"edges"} if edge_guide == "map" else set()
        self.scale = strides.index(attention_stride)
        self.reduce = nn.ModuleList(
            ConvNormAct(info.channels, reduced, 1) for info, reduced in zip(backbone.feature_info, widths, strict=True)
        )
        outputs: dict[str, int] = {task: classes if task == "semantics" else 1 for task in tasks}
        self.interaction = MultiScaleInteraction(
            widths, outputs, propagation=propagation, distillation=distillation, predict=initial_predictions
        )
        self.branches = nn.ModuleDict({task: AlignedBranch(widths, width) for task in tasks})
        channels = {guide: 1 if guide in self.guided_by_map else width for guide in guidance}
        self.guidance = nn.ModuleDict(
            {guide: GuidedAttention(width, channels[guide], dim=attention_dim, heads=attention_heads, key_pool=key_pool)
             for guide in guidance}
        )  # fmt: skip
        skips = dict(zip(strides[: self.scale], widths, strict=False))
        decoders: dict[str, nn.Module] = {
            "depth": DepthDecoder(width, attention_stride, skips),
            "semantics": SegmentationDecoder(width, attention_stride, classes),
            "edges": EdgeDecoder(width, attention_stride),
        }
        self.decoders = nn.ModuleDict({task: decoders[task] for task in tasks})

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
            features["depth"] = attention(features["depth"], source.detach() if self.detach_guidance else source)

        depth = None
        if "depth" in self.decoders:
            depth = self._metric(self.decoders["depth"](features["depth"], maps[: self.scale][::-1]))
            initial["depth"] = [self._metric(prediction) for prediction in initial["depth"]]
        return MTINetOutput(depth, predicted.get("semantics"), predicted.get("edges"), initial)

    def _metric(self, unbounded: Tensor) -> Tensor:
        return to_depth(unbounded, self.depth_param, self.max_depth)


def _check(
    strides: Sequence[int], tasks: Sequence[str], guidance: Sequence[str], widths: Sequence[int], attention_stride: int
) -> None:
    if strides != [4, 8, 16, 32]:
        raise ValueError(f"guided MTI-Net reads maps of strides 4, 8, 16 and 32, the backbone gives {strides}")
    if len(widths) != len(strides):
        raise ValueError(f"`widths`: need one for each stride of {strides}, got {list(widths)}")
    if attention_stride not in strides:
        raise ValueError(f"`attention_stride` must be one of {strides}, got {attention_stride}")
    for key, chosen, known in (("tasks", tasks, TASKS), ("guidance", guidance, TASKS[1:])):
        if len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
            raise ValueError(f"`{key}`: choose of {', '.join(known)}, each at most once, got {list(chosen)}")
    if not tasks:
        raise ValueError(f"`tasks`: need at least one of {', '.join(TASKS)}")
    if missing := {*guidance, *(["depth"] if guidance else [])} - set(tasks):
        raise ValueError(
            f"`guidance` {list(guidance)} needs the task {min(missing)}, but `tasks` are {list(tasks)}; "
            "leave the guide out, or add the task"
        )
