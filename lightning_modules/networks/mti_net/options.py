"""All that a configuration can choose in the network of guided MTI-Net."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lightning_modules.networks.depth_head import DepthParametrisation
from lightning_modules.networks.named_options import check_names

Task = Literal["depth", "semantics", "edges"]
Guide = Literal["semantics", "edges"]
EdgeGuide = Literal["features", "map"]

TASKS: tuple[Task, ...] = ("depth", "semantics", "edges")

#: Strides of the backbone's maps.
STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True)
class MTINetOptions:
    """Tasks, sizes and readings of guided MTI-Net.

    The paper leaves most sizes open; ``docs/methods/mti_net.md`` says which reading is the default and why.

    Attributes:
        tasks: what is predicted, one to three of ``depth``, ``semantics``, ``edges``. A method needs ``depth``; without
            it only the network's cost can be measured.
        num_classes: channels of ``semantics``, for ids 1 to that. The paper prints 256 outputs for data of 40 classes;
            channels beyond the data's classes are trained to be never right, and left out of what is evaluated.
        guidance: tasks that guide depth, in this order (section 5.2); they and ``depth`` have to be among ``tasks``.
        propagation: pass features of all tasks from each scale to the next finer one (MTI-Net, section 3.3); without,
            every scale reads the backbone alone.
        distillation: let each task take of the others' features at every scale (MTI-Net, section 3.1).
        widths: channels that the backbone's maps at strides 4, 8, 16 and 32 are reduced to, and of each task's features
            there.
        width: channels of each task's features once its scales are brought to one size.
        attention_stride: stride of that size, at which depth attends to its guides: 4, 8, 16 or 32.
        attention_dim: channels of an attention head, d_k.
        attention_heads: number of attention heads.
        key_pool: edge of the window, in positions, that keys and values are averaged over; 1 averages nothing.
        detach_guidance: keep the depth loss out of the guides' features: they guide but do not learn to.
        edge_guide: edges guide by their task's ``features``, as segmentation does, or by the predicted edge ``map`` of
            probabilities ("integrates edge maps with depth features").
        max_depth: metres, upper bound of ``depth_param: sigmoid_max``.
        depth_param: how the network's output becomes metres, see
            :func:`lightning_modules.networks.depth_head.to_depth`.
        deep_supervision: weight of the losses of the initial predictions of every scale, summed over scales (MTI-Net,
            section 3.2); 0 makes no initial predictions.

    Raises:
        ValueError: if a value is unknown, repeated or missing, or two values contradict each other, with the names of
            the options.
    """

    tasks: Sequence[Task] = TASKS
    num_classes: int = 40
    guidance: Sequence[Guide] = ("semantics", "edges")
    propagation: bool = True
    distillation: bool = True
    widths: Sequence[int] = (32, 64, 128, 256)
    width: int = 256
    attention_stride: int = 8
    attention_dim: int = 64
    attention_heads: int = 1
    key_pool: int = 1
    detach_guidance: bool = False
    edge_guide: EdgeGuide = "features"
    max_depth: float = 10.0
    depth_param: DepthParametrisation = "sigmoid_max"
    deep_supervision: float = 1.0

    def __post_init__(self) -> None:
        check_names(self)
        if len(self.widths) != len(STRIDES):
            raise ValueError(f"`widths`: need one for each stride of {list(STRIDES)}, got {list(self.widths)}")
        if self.attention_stride not in STRIDES:
            raise ValueError(f"`attention_stride` must be one of {list(STRIDES)}, got {self.attention_stride}")
        if self.deep_supervision < 0:
            raise ValueError(f"`deep_supervision` must not be negative, got {self.deep_supervision}")
        self._check_tasks()

    def _check_tasks(self) -> None:
        choices: tuple[tuple[str, Sequence[str], Sequence[str]], ...] = (
            ("tasks", self.tasks, TASKS), ("guidance", self.guidance, TASKS[1:])
        )  # fmt: skip
        for key, chosen, known in choices:
            if len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
                raise ValueError(f"`{key}`: choose of {', '.join(known)}, each at most once, got {list(chosen)}")
        if not self.tasks:
            raise ValueError(f"`tasks`: need at least one of {', '.join(TASKS)}")
        needed = {*self.guidance, "depth"} if self.guidance else set()
        if missing := needed - set(self.tasks):
            raise ValueError(
                f"`guidance` {list(self.guidance)} needs the task {min(missing)}, but `tasks` are {list(self.tasks)}; "
                "leave the guide out, or add the task"
            )
