"""Exchange of features between tasks at every scale.

Vandenhende, Georgoulis, Van Gool, "MTI-Net: Multi-Scale Task Interaction Networks for Multi-Task Learning", ECCV 2020,
section 3.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from timm.layers import SqueezeExcite
from timm.models.resnet import BasicBlock
from torch import Tensor, nn

from lightning_modules.networks.mti_net.options import MTINetOptions

Features = dict[str, Tensor]


def residual_block(inputs: int, outputs: int) -> BasicBlock:
    """Build a residual block of two 3x3 convolutions, from (B, inputs, h, w) to (B, outputs, h, w)."""
    change = None
    if inputs != outputs:
        change = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, downsample=change)


class InitialPredictions(nn.Module):
    """Features of each task at one scale, and a first prediction from them (MTI-Net, section 3.2).

    Args:
        inputs: channels of the map that each task reads.
        channels: of each task's features.
        outputs: task to channels of its prediction; the prediction is left out if ``predict`` is false.
        predict: make predictions, for deep supervision.
    """

    def __init__(self, inputs: int, channels: int, outputs: Mapping[str, int], *, predict: bool = True):
        super().__init__()
        self.stems = nn.ModuleDict(
            {task: nn.Sequential(residual_block(inputs, channels), residual_block(channels, channels))
             for task in outputs}
        )  # fmt: skip
        self.heads = nn.ModuleDict({task: nn.Conv2d(channels, n, 1) for task, n in outputs.items()} if predict else {})

    def forward(self, inputs: Features) -> tuple[Features, Features]:
        """Return features (B, channels, h, w) and predictions (B, outputs, h, w) by task, of maps (B, inputs, h, w)."""
        features = {task: stem(inputs[task]) for task, stem in self.stems.items()}
        return features, {task: head(features[task]) for task, head in self.heads.items()}


class FeaturePropagation(nn.Module):
    """Features that the tasks pass on to the next finer scale (MTI-Net, section 3.3, "feature propagation module").

    All tasks' features together choose, by a softmax over tasks at every position and channel, what is shared; the
    shared features are reduced to one task's width, and each task adds them, re-weighted by squeeze and excitation, to
    its own. A single task has nothing to choose.

    Args:
        tasks: names.
        channels: of each task's features.
    """

    def __init__(self, tasks: Sequence[str], channels: int):
        super().__init__()
        everything = len(tasks) * channels
        self.choose = (
            nn.Sequential(
                residual_block(everything, everything // 4),
                residual_block(everything // 4, everything // 4),
                nn.Conv2d(everything // 4, everything, 1),
            )
            if len(tasks) > 1
            else None
        )
        self.reduce = residual_block(everything, channels)
        self.refine = nn.ModuleDict({task: SqueezeExcite(channels) for task in tasks})

    def forward(self, features: Features) -> Features:
        """Return features of each task, (B, channels, h, w) as they came in."""
        everything = torch.cat([features[task] for task in self.refine], dim=1)
        if self.choose is not None:
            by_task = self.choose(everything).unflatten(1, (len(self.refine), -1))
            everything = everything * by_task.softmax(dim=1).flatten(1, 2)
        shared = self.reduce(everything)
        return {task: features[task] + refine(shared) for task, refine in self.refine.items()}


class MultiModalDistillation(nn.Module):
    r"""Messages between the tasks at one scale (MTI-Net, section 3.1, after PAD-Net).

    .. math:: F'_t = F_t + \sum_{a \ne t} (W_{ta} F_a) \odot \sigma(V_{ta} F_a)

    with 3x3 convolutions W and V without bias: a spatial gate, not yet an attention between positions.

    Args:
        tasks: names.
        channels: of each task's features.
    """

    def __init__(self, tasks: Sequence[str], channels: int):
        super().__init__()
        self.messages = nn.ModuleDict(
            {
                task: nn.ModuleDict(
                    {other: nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False)
                     for other in tasks if other != task}
                )
                for task in tasks
            }
        )  # fmt: skip

    def forward(self, features: Features) -> Features:
        """Return features of each task, (B, channels, h, w) as they came in."""
        distilled = dict(features)
        for task, messages in self.messages.items():
            assert isinstance(messages, nn.ModuleDict)
            for other, message in messages.items():
                # content and gate side by side, which is what F.glu takes
                distilled[task] = distilled[task] + F.glu(message(features[other]), dim=1)
        return distilled


class MultiScaleInteraction(nn.Module):
    """Features of each task at every scale, made from coarse to fine, then distilled at each scale (MTI-Net, Fig. 3).

    Args:
        options: of which this part reads ``tasks``, ``num_classes``, ``widths``, ``propagation``, ``distillation`` and
            ``deep_supervision``.
    """

    def __init__(self, options: MTINetOptions):
        super().__init__()
        widths = options.widths
        coarser = [*widths[1:], 0] if options.propagation else [0] * len(widths)
        outputs: dict[str, int] = {task: options.num_classes if task == "semantics" else 1 for task in options.tasks}
        self.tasks: tuple[str, ...] = tuple(options.tasks)
        self.initial = nn.ModuleList(
            InitialPredictions(width + above, width, outputs, predict=options.deep_supervision > 0)
            for width, above in zip(widths, coarser, strict=True)
        )
        self.propagation = nn.ModuleList(
            FeaturePropagation(self.tasks, width) for width in (widths[1:] if options.propagation else ())
        )
        self.distillation = nn.ModuleList(
            MultiModalDistillation(self.tasks, width) for width in (widths if options.distillation else ())
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[dict[str, list[Tensor]], dict[str, list[Tensor]]]:
        """Return task features and initial predictions.

        Args:
            maps: (B, width, h, w) of the backbone, fine to coarse.

        Returns:
            Two dictionaries, task to a list over scales, fine to coarse: features (B, width, h, w), and initial
            predictions (B, outputs, h, w), of which there are none without ``deep_supervision``.
        """
        features: dict[str, list[Tensor]] = {task: [] for task in self.tasks}
        predictions: dict[str, list[Tensor]] = {task: [] for task in self.tasks}
        passed_on: Features | None = None
        for scale in reversed(range(len(maps))):
            inputs = dict.fromkeys(self.tasks, maps[scale])
            if passed_on is not None:
                size = maps[scale].shape[-2:]
                inputs = {
                    task: torch.cat([maps[scale], F.interpolate(coarse, size, mode="bilinear")], dim=1)
                    for task, coarse in passed_on.items()
                }
            own, initial = self.initial[scale](inputs)
            if len(self.propagation) and scale:
                passed_on = self.propagation[scale - 1](own)
            if len(self.distillation):
                own = self.distillation[scale](own)
            for task in self.tasks:
                features[task].insert(0, own[task])
            for task, prediction in initial.items():
                predictions[task].insert(0, prediction)
        return features, predictions
