"""What all data sets share: how their frames are shown to networks, in training and in evaluation."""

from copy import copy
from functools import cached_property
from typing import Any, Literal

from torchvision.transforms import v2

from datamodules.frames import FrameDataset
from datamodules.loading.batching import BatchingDataModule
from datamodules.pipeline.frame_maps import FrameMap, FrameSuperpixels
from datamodules.pipeline.preprocess import FrameStep
from datamodules.pipeline.retired import without_retired
from datamodules.pipeline.sample_maps import DerivedMap
from datamodules.pipeline.superpixels import Superpixels
from datamodules.pipeline.transforms import RGB, EvalTransform, Finish, Size, TrainTransform
from datamodules.pipeline.variants import Variant
from datamodules.sample import Sample
from datamodules.storage.fingerprint import fingerprint

#: Options that say how the network is shown a frame in evaluation: those of all test sets of a run.
VIEW_OPTIONS = (
    "resize", "eval_size", "superpixels", "superpixels_of", "derived", "eval_batch_size", "num_workers", "mean", "std",
    "variants",
)  # fmt: skip

IMAGENET_NORMALIZATION: tuple[RGB, RGB] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class DepthDataModule(BatchingDataModule):
    """Frames with depth, for training and for evaluation.

    Training sees random crops, evaluation whole frames with the truth at its native size. A data set says how its files
    are read (:meth:`open_reader`) and who is trained on what (:meth:`read_splits`).

    Args:
        root: folder of the files.
        min_depth: metres; depth below it is invalid.
        max_depth: metres; depth above it is invalid.
        store: folder of a store that `segdepth data convert` made of these files; frames are then read from it, and the
            original files are not needed.
        preprocess: steps that every frame goes through, in training and in evaluation, truth included.
        frame_maps: maps of whole frames to add, made once and cached.
        derived: maps to add that are made of each view.
        val_scenes: share of the training scenes that is held out for validation, at least one if positive, where the
            data set has no validation part of its own; 0 trains on all of them and validates on nothing.
        on_bad_sample: ``stop`` at a training frame that cannot be read, or ``skip`` it: the next frame takes its place,
            a warning names the file, and `train/skipped` counts. In evaluation a bad frame always stops: figures over
            other frames would be other figures.
        resize: height and width that frames are brought to first; None leaves them. In evaluation only the image is.
        crop: height and width of training crops.
        divide_depth_by_zoom: divide depth of training frames by how much larger they are than in evaluation: a network
            that is shown a surface with as many pixels a metre is told the same depth in both.
        hflip: probability of a left-right flip in training.
        color_jitter: of the RGB image in training.
        eval_size: height and width that the whole frame is squashed to in evaluation; None keeps it as it is after
            ``resize``, at its own aspect ratio.
        superpixels: made from the very network input, in the workers; None for methods that need none.
        superpixels_of: ``crop``, the very network input, or ``frame``: of the whole frame before colour jitter, made
            once and cached, of which each crop takes its part; several times faster in training.
        batch_size: frames of one optimizer step, over all processes and accumulated batches: the recipe is the same on
            one GPU and on eight. Each process loads :attr:`process_batch_size` at a time.
        eval_batch_size: per process, in evaluation.
        num_workers: loader processes per process; None takes up to 8, no more than there are free cores.
        seed: of order, augmentation and held-out scenes.
        mean: of RGB in [0, 1], for normalisation; None takes the method's.
        std: likewise; None with ``mean``.
        extra_tests: further data sets whose test parts are tested on in the same run, their frames shown to the network
            as this one's are (:data:`VIEW_OPTIONS`). `tests: [data/...]` in a YAML fills it in.
        variants: further views of all test sets, by name: each is tested on as well, as ``<data set>_<name>``. None in
            place of a variant takes away one that an earlier file has.

    Raises:
        ValueError: unless 0 < min_depth < max_depth, or if a further test set has test sets of its own.
    """

    def __init__(
        self,
        root: str,
        *,
        min_depth: float = 1e-3,
        max_depth: float = 10.0,
        store: str | None = None,
        preprocess: list[FrameStep] | None = None,
        frame_maps: list[FrameMap] | None = None,
        derived: list[DerivedMap] | None = None,
        val_scenes: float = 0.0,
        on_bad_sample: Literal["stop", "skip"] = "stop",
        resize: Size | None = None,
        crop: Size = (384, 384),
        divide_depth_by_zoom: bool = False,
        hflip: float = 0.5,
        color_jitter: v2.ColorJitter | None = None,
        eval_size: Size | None = (384, 384),
        superpixels: Superpixels | None = None,
        superpixels_of: Literal["crop", "frame"] = "crop",
        batch_size: int = 16,
        eval_batch_size: int = 8,
        num_workers: int | None = None,
        seed: int = 0,
        mean: RGB | None = None,
        std: RGB | None = None,
        extra_tests: "list[DepthDataModule] | None" = None,
        variants: dict[str, Variant | None] | None = None,
    ):
        super().__init__()
        if (mean is None) != (std is None):
            raise ValueError("set both `data.init_args.mean` and `std`, or neither to take the method's own")
        if not 0 < min_depth < max_depth:
            raise ValueError(f"need 0 < `min_depth` < `max_depth`, got {min_depth} and {max_depth}")
        self.root = root
        self.min_depth, self.max_depth = min_depth, max_depth
        self.store = store
        self.preprocess, self.derived = without_retired(preprocess), without_retired(derived)
        self.frame_maps = list(frame_maps or [])
        if superpixels is not None and superpixels_of == "frame":
            self.frame_maps.append(FrameSuperpixels(superpixels))
        self.val_scenes = val_scenes
        self.on_bad_sample = on_bad_sample
        self.resize, self.crop, self.eval_size = resize, crop, eval_size
        self.divide_depth_by_zoom = divide_depth_by_zoom
        self.hflip = hflip
        self.color_jitter = color_jitter
        self.superpixels, self.superpixels_of = superpixels, superpixels_of
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.mean, self.std = mean, std
        self.variants = {name: variant for name, variant in (variants or {}).items() if variant is not None}
        self.variant: Variant | None = None
        self.variant_sets: list[DepthDataModule] = []
        self.extra_tests = extra_tests or []
        for data in self.extra_tests:
            if data.extra_tests:
                raise ValueError(
                    f"`data.init_args.extra_tests`: `{data.data_set}` has test sets of its own; list all here"
                )
            for option in VIEW_OPTIONS:
                setattr(data, option, getattr(self, option))

    @property
    def provides(self) -> frozenset[str]:
        """Keys of a :class:`Sample` that this configuration provides."""
        made = {"superpixels"} if self.superpixels is not None else set()
        made |= {map_.key for map_ in self.derived}
        return frozenset(Sample.__required_keys__) | self.reader.provides | made

    def hint(self, key: str) -> str:
        """What to do so that a key of a sample is provided."""
        return "configure it under `data.init_args`, or take another data set"

    def test_sets(self) -> "list[DepthDataModule]":
        """The data set of each test loader: this one, the further ones, then the variants of each, once set up."""
        sets = [self, *self.extra_tests]
        return [*sets, *(shown for data in sets for shown in data.variant_sets)]

    def test_names(self) -> list[str]:
        """Name of each test loader."""
        return [data.name for data in self.test_sets()]

    def prepare_data(self) -> None:
        """Make what has to be made once per machine, of the further test sets."""
        for data in self.extra_tests:
            data.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Check files and sizes, and make the data sets.

        Where the stage is ``test`` or ``predict`` only the test parts are looked at: the others may not be there.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a file is damaged, or a size does not fit; one line that names file, key and fix.
        """
        tests_only = stage in ("test", "predict")
        parts = [self.splits.test]
        if not tests_only:
            self.check_training_part()
            parts += [self.splits.val] + ([self.splits.train] if self.on_bad_sample == "stop" else [])
        self.reader.check_files(position for part in parts for position in part)
        if tests_only:
            self._check_superpixels(self.input_size)
        else:
            self._check_sizes()
        self._check_derived()
        finish = self._finish()
        augment = TrainTransform(
            finish, self.crop, self.resize, self.hflip, self.color_jitter, self.train_window, self.nearer
        )
        view = EvalTransform(finish, self.eval_size or self.resize)
        skip = self.on_bad_sample == "skip"
        self.train_set = FrameDataset(self.reader, self.splits.train, augment, self.seed, skip_bad=skip)
        self.val_set, self.test_set = (
            FrameDataset(self.reader, part, view, self.seed) for part in (self.splits.val, self.splits.test)
        )
        for data in self.extra_tests:
            data.trainer = self.trainer
            data.setup_test()
        self._setup_variants()
        names = self.test_names()
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"two test sets are called `{min(twice)}`, and so would be their figures; leave one out of "
                "`data.init_args.extra_tests`"
            )

    def setup_test(self) -> None:
        """Check and make the test part alone, for a run that trains on another set; raises as :meth:`setup` does."""
        self.reader.check_files(self.splits.test)
        self._check_superpixels(self.input_size)
        self._check_derived()
        corruption = None if self.variant is None else self.variant.corruption
        view = EvalTransform(self._finish(), self.eval_size or self.resize, corruption)
        self.test_set = FrameDataset(self.reader, self.splits.test, view, self.seed)
        self._setup_variants()

    def _setup_variants(self) -> None:
        """Make the test set of each variant: a copy that reads the files which this one has opened."""
        self.variant_sets = []
        for name, variant in self.variants.items():
            shown = copy(self)
            shown.variant, shown.variant_name = variant, name
            shown.eval_size = variant.size(self.eval_size)
            shown.extra_tests, shown.variants = [], {}
            shown.setup_test()
            self.variant_sets.append(shown)

    def _finish(self) -> Finish:
        return Finish(*self.normalization, self.superpixels, self.derived, self.reader.size)

    def _check_derived(self) -> None:
        for map_ in self.derived:
            if map_.needs != "image" and map_.needs not in self.reader.provides:
                raise ValueError(f"{type(map_).__name__} needs {map_.needs}: {self.hint(map_.needs)}")

    @property
    def train_window(self) -> tuple[int, int, int, int] | None:
        """Top, left, bottom and right edge of the area that training crops are drawn from; None for the whole frame."""
        return None

    def _check_sizes(self) -> None:
        height, width = self.resize or self.reader.size
        if self.train_window is not None:
            top, left, bottom, right = self.train_window
            height, width = bottom - top, right - left
        if self.crop[0] > height or self.crop[1] > width:
            raise ValueError(
                f"{self.name}: frames of {height}x{width} pixels are smaller than the training crop of "
                f"{self.crop[0]}x{self.crop[1]}; set a smaller `data.init_args.crop` or a larger `resize`"
            )
        self._check_superpixels(self.crop, self.input_size)
        of_frame = self.superpixels is not None and self.superpixels_of == "frame"
        if of_frame and self.resize not in (None, self.reader.size):
            raise ValueError(
                f"{self.name}: `superpixels_of: frame` makes superpixels at the frames' {self.reader.size}, but "
                f"`resize` is {self.resize}; move the resizing to `preprocess`, or set `superpixels_of: crop`"
            )

    def _check_superpixels(self, *sizes: Size) -> None:
        if self.superpixels is not None:
            for size in sizes:
                self.superpixels.check(*size)

    @property
    def input_size(self) -> Size:
        """Height and width of the network input in evaluation."""
        return self.eval_size or self.resize or self.reader.size

    @property
    def nearer(self) -> float:
        """What depth of training frames is divided by.

        Raises:
            ValueError: if training frames are stretched, or depth is no z coordinate.
        """
        if not self.divide_depth_by_zoom:
            return 1.0
        shown = self.resize or self.reader.size
        zoom = [training / evaluation for training, evaluation in zip(shown, self.input_size, strict=True)]
        if abs(zoom[0] / zoom[1] - 1) > 0.01 or self.radial:
            reason = "depth is the distance to the camera" if self.radial else "the aspect ratios of the two differ"
            raise ValueError(
                f"{self.name}: training frames are {shown[0]}x{shown[1]} and {self.input_size[0]}x{self.input_size[1]} "
                f"in evaluation, but {reason}; set `data.init_args.divide_depth_by_zoom: false`, or another `resize`"
            )
        return (zoom[0] * zoom[1]) ** 0.5

    @property
    def normalization(self) -> tuple[RGB, RGB]:
        """RGB mean and standard deviation: as configured, else the method's, else ImageNet's."""
        if self.mean is not None and self.std is not None:
            return self.mean, self.std
        method = getattr(self.trainer, "lightning_module", None)
        return getattr(method, "normalization", IMAGENET_NORMALIZATION)

    def describe(self) -> dict[str, Any]:
        """What is read and how, as plain JSON, for a run's record."""
        parts = {"train": self.splits.train, "val": self.splits.val, "test": self.splits.test}
        return {
            "name": self.name,
            "frames": {part: len(indices) for part, indices in parts.items()},
            "scenes": {part: len({self.reader.scenes[i] for i in indices}) for part, indices in parts.items()},
            "root": str(self.folder),
            "store": self.store,
            "options": self.all_options,
            "depth_range": [self.min_depth, self.max_depth],
            "remarks": list(self.remarks),
            "synthetic": self.name.startswith("rooms"),
            "frame_size": list(self.reader.size),
            "provides": sorted(self.provides),
            "normalization": [list(values) for values in self.normalization],
            "input_size": list(self.input_size),
            "extra_tests": [data.describe() for data in self.extra_tests],
            "variants": [data.describe_variant() for data in self.variant_sets],
        }

    def describe_variant(self) -> dict[str, Any]:
        """What sets a variant apart from its test set, as plain JSON."""
        shown = {} if self.variant is None else self.variant.describe()
        return {"name": self.name, "variant": self.variant_name, **shown, "input_size": list(self.input_size)}

    @cached_property
    def fingerprint(self) -> str:
        """Stands for frames, parts, options and depth, the same on every machine."""
        return fingerprint(self.describe(), self.splits, self.reader)
