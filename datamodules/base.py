"""What all data sets share: splits, transforms, samplers, loaders and the statistics of their depth."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import torch
from lightning.fabric.utilities import suggested_max_num_workers
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Sampler
from torchvision.transforms import v2

from datamodules.frames import Frame, FrameDataset, FrameReader
from datamodules.sample import Sample, collate
from datamodules.samplers import EvalSampler, TrainSampler
from datamodules.superpixels import Superpixels
from datamodules.transforms import RGB, EvalTransform, Finish, Size, TrainTransform

IMAGENET_NORMALIZATION: tuple[RGB, RGB] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Splits:
    """Frames by use, as positions in the reader.

    Attributes:
        train: frames to learn from.
        val: frames to choose a checkpoint by; may be none.
        test: frames to report.
    """

    train: Sequence[int]
    val: Sequence[int]
    test: Sequence[int]


class DepthDataModule(LightningDataModule, ABC):
    """Frames with depth, for training and for evaluation.

    Training sees random crops, evaluation whole frames with the truth at its native size. A data set says how its files
    are read (:attr:`reader`) and who is trained on what (:attr:`splits`).

    Args:
        resize: height and width that frames are brought to first; None leaves them. In evaluation only the image is.
        crop: height and width of training crops.
        hflip: probability of a left-right flip in training.
        color_jitter: of the RGB image in training.
        eval_size: height and width that the whole frame is squashed to in evaluation; None keeps it as it is after
            ``resize``, at its own aspect ratio.
        superpixels: made from the very network input, in the workers; None for methods that need none.
        batch_size: per process, in training.
        eval_batch_size: per process, in evaluation.
        num_workers: loader processes per process; None takes up to 8, no more than there are free cores.
        seed: of order, augmentation and held-out scenes.
        mean: of RGB in [0, 1], for normalisation; None takes the method's.
        std: likewise; None with ``mean``.
    """

    #: Names the data set in metric keys, run names and tables.
    name: str

    def __init__(
        self,
        *,
        resize: Size | None = None,
        crop: Size = (384, 384),
        hflip: float = 0.5,
        color_jitter: v2.ColorJitter | None = None,
        eval_size: Size | None = (384, 384),
        superpixels: Superpixels | None = None,
        batch_size: int = 16,
        eval_batch_size: int = 8,
        num_workers: int | None = None,
        seed: int = 0,
        mean: RGB | None = None,
        std: RGB | None = None,
    ):
        super().__init__()
        if (mean is None) != (std is None):
            raise ValueError("set both `data.init_args.mean` and `std`, or neither to take the method's own")
        self.resize, self.crop, self.eval_size = resize, crop, eval_size
        self.hflip = hflip
        self.color_jitter = color_jitter
        self.superpixels = superpixels
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.mean, self.std = mean, std

    @cached_property
    @abstractmethod
    def reader(self) -> FrameReader:
        """The files, checked and opened on first use."""

    @cached_property
    @abstractmethod
    def splits(self) -> Splits:
        """Who is trained, validated and tested on what, checked on first use."""

    @property
    def provides(self) -> frozenset[str]:
        """Keys of a :class:`Sample` that this configuration provides."""
        made = {"superpixels"} if self.superpixels is not None else set()
        return frozenset(Sample.__required_keys__) | self.reader.provides | made

    def test_names(self) -> list[str]:
        """Name of each test loader."""
        return [self.name]

    def setup(self, stage: str | None = None) -> None:
        """Check files and sizes, and make the data sets.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a file is damaged, or a size does not fit; one line that names file, key and mend.
        """
        self._check_sizes()
        finish = Finish(*self.normalization, superpixels=self.superpixels)
        augment = TrainTransform(finish, self.crop, self.resize, self.hflip, self.color_jitter)
        view = EvalTransform(finish, self.eval_size or self.resize)
        self.train_set = self._frames(self.splits.train, augment)
        self.val_set = self._frames(self.splits.val, view)
        self.test_set = self._frames(self.splits.test, view)

    def _frames(self, indices: Sequence[int], transform: Callable[[Frame], Sample]) -> FrameDataset:
        return FrameDataset(self.reader, indices, transform, self.seed)

    def _check_sizes(self) -> None:
        height, width = self.resize or self.reader.size
        if self.crop[0] > height or self.crop[1] > width:
            raise ValueError(
                f"{self.name}: frames of {height}x{width} pixels are smaller than the training crop of "
                f"{self.crop[0]}x{self.crop[1]}; set a smaller `data.init_args.crop` or a larger `resize`"
            )
        if self.superpixels is not None:
            for size in (self.crop, self.eval_size or (height, width)):
                self.superpixels.check(*size)

    @property
    def normalization(self) -> tuple[RGB, RGB]:
        """RGB mean and standard deviation: as configured, else the method's, else ImageNet's."""
        if self.mean is not None and self.std is not None:
            return self.mean, self.std
        method = getattr(self.trainer, "lightning_module", None)
        return getattr(method, "normalization", IMAGENET_NORMALIZATION)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Shuffled batches of crops, all full, unless that would leave none."""
        sampler = TrainSampler(self.train_set, seed=self.seed, **self._process())
        return self._loader(self.train_set, sampler, self.batch_size, drop_last=len(sampler) >= self.batch_size)

    def val_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Whole frames of the held-out scenes; no loader where none are held out."""
        return self._eval_loader(self.val_set) if len(self.val_set) else []

    def test_dataloader(self) -> DataLoader[Sample]:
        """Whole test frames, each exactly once over all processes."""
        return self._eval_loader(self.test_set)

    def predict_dataloader(self) -> DataLoader[Sample]:
        """The test frames."""
        return self._eval_loader(self.test_set)

    def _eval_loader(self, dataset: FrameDataset) -> DataLoader[Sample]:
        process = self._process()
        if len(dataset) < process["num_replicas"]:
            # A process without a batch would skip the metrics' reduction, for which the others wait forever.
            raise ValueError(
                f"{self.name}: {process['num_replicas']} processes cannot share {len(dataset)} frames to evaluate; "
                "lower `trainer.devices`, or hold out more scenes (`data.init_args.val_scenes`)"
            )
        return self._loader(dataset, EvalSampler(dataset, **process), self.eval_batch_size, drop_last=False)

    def _loader(
        self, dataset: FrameDataset, sampler: Sampler[Any], batch_size: int, *, drop_last: bool
    ) -> DataLoader[Sample]:
        workers = self.num_workers
        if workers is None:
            workers = min(8, suggested_max_num_workers(getattr(self.trainer, "num_devices", 1)))
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            drop_last=drop_last,
            worker_init_fn=use_one_thread,
            persistent_workers=workers > 0,
        )

    def _process(self) -> dict[str, int]:
        """World size and rank, as samplers name them."""
        if self.trainer is None:
            return {"num_replicas": 1, "rank": 0}
        return {"num_replicas": self.trainer.world_size, "rank": self.trainer.global_rank}

    def train_depth_median(self) -> float:
        """Median of all valid depths of the training frames, at native size, in metres, exact to 1 mm.

        Reads every training frame's depth once and keeps a histogram in millimetres.
        """
        counts = np.zeros(0, dtype=np.int64)
        for index in self.splits.train:
            depth = self.reader.read_depth(index)
            millimetres = (depth[depth > 0].double() * 1000).round().long().numpy()
            added = np.bincount(millimetres, minlength=len(counts))
            added[: len(counts)] += counts
            counts = added
        cumulative = np.cumsum(counts)
        middle = [(cumulative[-1] - 1) // 2, cumulative[-1] // 2]
        return float(np.searchsorted(cumulative, middle, side="right").mean() / 1000)

    def describe(self) -> dict[str, Any]:
        """What is read and how, as plain JSON, for a run's record."""
        parts = {"train": self.splits.train, "val": self.splits.val, "test": self.splits.test}
        return {
            "name": self.name,
            "frames": {part: len(indices) for part, indices in parts.items()},
            "scenes": {part: len({self.reader.scenes[i] for i in indices}) for part, indices in parts.items()},
            "frame_size": list(self.reader.size),
            "provides": sorted(self.provides),
            "normalization": [list(values) for values in self.normalization],
        }


def use_one_thread(worker: int) -> None:
    """Keep OpenCV from starting a thread per core in every worker; torch does so by itself."""
    cv2.setNumThreads(0)


def hold_out_scenes(
    train: Sequence[int], scenes: Sequence[str], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Take a share of the training scenes, at least one where the share is positive, out for validation.

    Args:
        train: training frames.
        scenes: scene of every frame of the data set.
        share: of the scenes, in [0, 1).
        seed: of the choice.

    Returns:
        The frames that remain for training, and those for validation, both in their old order.

    Raises:
        ValueError: if the share is out of range, or nothing would remain.
    """
    names = sorted({scenes[index] for index in train})
    count = 0 if share == 0 else max(1, round(share * len(names)))
    if not 0 <= share < 1 or count >= len(names):
        raise ValueError(
            f"`data.init_args.val_scenes` is {share}: of {len(names)} training scenes none is left to train on; "
            "set a share in [0, 1), or 0 to validate on nothing"
        )
    held_out = set(np.random.default_rng(seed).permutation(names)[:count].tolist())
    remaining = [index for index in train if scenes[index] not in held_out]
    return remaining, [index for index in train if scenes[index] in held_out]
