"""What all data sets share: how their frames are shown to networks, in training and in evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, Literal

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from datamodules.classes import NAMES40, class_names
from datamodules.files import ROOMS_MARKER
from datamodules.frames import FrameDataset, FrameReader
from datamodules.loading.loaders import Loaders
from datamodules.loading.processes import Processes
from datamodules.pipeline.class_counts import COUNTED_FRAMES, SEMANTIC_MD_ORDER, class_pixels
from datamodules.pipeline.frame_maps import FrameMap, FrameSuperpixels
from datamodules.pipeline.prepared import PreparedReader, describe
from datamodules.pipeline.preprocess import FrameStep
from datamodules.pipeline.sample_maps import DerivedMap
from datamodules.pipeline.statistics import by_frequency, coarse_levels, depth_median, focal_lengths
from datamodules.pipeline.superpixels import Superpixels
from datamodules.pipeline.transforms import RGB, EvalTransform, Finish, Size, TrainTransform
from datamodules.pipeline.variants import Variant
from datamodules.pipeline.view_sizes import check_crop, check_superpixels, check_whole_frames, depth_divisor
from datamodules.sample import Sample
from datamodules.splits import Splits, hold_out_scenes
from datamodules.storage.cache import cache_folder
from datamodules.storage.fingerprint import fingerprint
from datamodules.storage.store import StoreReader
from datamodules.storage.stored_options import open_store

ClassOrder = Literal["overall", "counted", "semantic_md"]

#: Options that say how the network is shown a frame in evaluation: those of all test sets of a run.
VIEW_OPTIONS = (
    "resize", "eval_size", "superpixels", "superpixels_of", "derived", "eval_batch_size", "num_workers", "mean", "std",
    "variants",
)  # fmt: skip

IMAGENET_NORMALIZATION: tuple[RGB, RGB] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class DepthDataModule(LightningDataModule, ABC):
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
            a warning names the file, and `train/skipped` counts. In evaluation a bad frame always stops: metrics of
            other frames could not be compared.
        resize: height and width that frames are brought to first; None leaves them. In evaluation only the image is.
        crop: height and width of training crops.
        divide_depth_by_zoom: divide depth of training frames by how much larger they are than in evaluation: a network
            that is shown a surface with as many pixels a metre is told the same depth in both.
        hflip: probability of a left-right flip in training.
        color_jitter: of the RGB image in training.
        eval_size: height and width that the whole frame is squashed to in evaluation; None keeps it as it is after
            ``resize``, at its own aspect ratio.
        superpixels: made from the very network input, in the workers; None for methods that need none.
        superpixels_of: ``crop``, the very network input, or ``frame``: of the whole frame, after ``resize`` and before
            colour jitter, made once and cached, of which each crop takes its part; several times faster in training.
        batch_size: frames of one optimizer step, over all processes and accumulated batches: the recipe is the same on
            one GPU and on eight. Each process loads :attr:`process_batch_size` at a time.
        eval_batch_size: per process, in evaluation.
        num_workers: loader processes per process; None takes up to 8, no more than there are free cores.
        seed: of order, augmentation and held-out scenes.
        mean: of RGB in [0, 1], for normalisation; None takes the method's.
        std: of RGB in [0, 1], for normalisation; set both or neither.
        extra_tests: further data sets whose test parts are tested on in the same run, their frames shown to the network
            as this one's are (:data:`VIEW_OPTIONS`). `tests: [data/...]` in a YAML fills it in.
        variants: further views of all test sets, by name: each is tested on as well, as ``<data set>_<name>``. None in
            place of a variant takes away one that an earlier file has.

    Attributes:
        train_set, val_set, test_set: frames of each part, as samples; there once it is set up.
        variant: what this view of another set's frames shows; None for a data set itself.

    Raises:
        ValueError: unless 0 < min_depth < max_depth, or if a further test set has test sets of its own.
    """

    #: What the data set is called.
    data_set: str

    #: Number of classes of ``semantics``, whose ids are 1 to that.
    classes: int = len(NAMES40)

    #: Name of the variant, where this is one.
    variant_name: str = ""

    #: How many frames of a test set this process has tested before, by the set's name: a stopped test is resumed.
    tested_before: Callable[[str], int] | None = None

    train_set: FrameDataset
    val_set: FrameDataset
    test_set: FrameDataset

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
        self.preprocess, self.derived = preprocess or [], derived or []
        self.frame_maps = list(frame_maps or [])
        if superpixels is not None and superpixels_of == "frame":
            self.frame_maps.append(FrameSuperpixels(superpixels, resize))
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

    # --- what a data set says of itself

    @abstractmethod
    def open_reader(self) -> FrameReader:
        """Open the files, checked."""

    @abstractmethod
    def read_splits(self, reader: FrameReader) -> Splits:
        """Return who is trained, validated and tested on what, positions in the reader, before scenes are held out."""

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Return the arguments that shape frames and splits, as plain JSON: those that a converted store must share."""

    def check_training_part(self) -> None:
        """Check that it is known who is trained on.

        Raises:
            FileNotFoundError: if the file that says so is missing.
        """

    @property
    def has_validation_part(self) -> bool:
        """Return whether the data set has a validation part of its own, as configured."""
        return False

    @property
    def radial(self) -> bool:
        """Return whether depth is the distance to the optical centre instead of planar z."""
        return False

    @property
    def truth(self) -> str:
        """Return what depth is known up to: ``metric``, or a ``scale``, or ``scale_and_shift``, a frame."""
        return "metric"

    @property
    def train_window(self) -> tuple[int, int, int, int] | None:
        """Return top, left, bottom and right edge of where training crops are drawn from; None for the whole frame."""
        return None

    def hint(self, key: str) -> str:
        """Return advice, for messages, on how to have this data set provide a key of a sample."""
        for map_ in self.derived:
            if map_.key == key != map_.needs:
                return f"{type(map_).__name__} makes it of {map_.needs}: {self.hint(map_.needs)}"
        return "configure it under `data.init_args`, or take another data set"

    # --- names

    @cached_property
    def folder(self) -> Path:
        """Return where the files are."""
        return Path(self.root).expanduser()

    @property
    def name(self) -> str:  # type: ignore[override]  # Lightning has an attribute, which it never sets
        """Return what metric keys, run names and tables call the data set, its variant too."""
        return "_".join(filter(None, (self.set_name, self.variant_name)))

    @property
    def set_name(self) -> str:
        """Return the name of the data set, whatever the variant."""
        return self.claimed_name

    @property
    def claimed_name(self) -> str:
        """Return the name before frames are looked at: of the format, or Rooms in this format."""
        if self.store is not None:
            return str(self._stored.index["name"])
        return f"rooms_{self.data_set}" if (self.folder / ROOMS_MARKER).is_file() else self.data_set

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the name of each class of ``semantics``, id ``i`` at ``i - 1``; numbers where they are not NYU40's."""
        return class_names(self.classes)

    def recorded_class_names(self, options: dict[str, Any]) -> tuple[str, ...]:
        """Return :attr:`class_names` as they were when a run was trained, without a look at the files of the set.

        Args:
            options: :attr:`options` that the run recorded.
        """
        return self.class_names

    # --- frames

    @cached_property
    def reader(self) -> FrameReader:
        """Return the frames, checked and opened on first use."""
        if self.store is not None:
            return self._stored
        reader = self.open_reader()
        if not self.preprocess and not self.frame_maps:
            return reader
        return PreparedReader(reader, self.preprocess, self.frame_maps, cache_folder())

    @cached_property
    def _stored(self) -> StoreReader:
        return open_store(str(self.store), self.all_options)

    @cached_property
    def splits(self) -> Splits:
        """Return who is trained, validated and tested on what, part of the training scenes held out as configured."""
        splits = self.read_splits(self.reader) if self.store is None else Splits(**self._stored.index["splits"])
        if len(splits.val) or not len(splits.train):
            return splits
        train, val = hold_out_scenes(splits.train, self.reader.scenes, self.val_scenes, self.seed)
        return Splits(train, val, splits.test)

    @property
    def validates(self) -> bool:
        """Return whether there are frames to validate on; told without the files, but for a converted store."""
        return self.val_scenes > 0 or (self.has_validation_part if self.store is None else len(self.splits.val) > 0)

    @property
    def all_options(self) -> dict[str, Any]:
        """Return everything that shapes frames and splits, as plain JSON."""
        return {
            "data_set": self.data_set,
            **self.options,
            "preprocess": [repr(step) for step in self.preprocess],
            "frame_maps": [describe(map_) for map_ in self.frame_maps],
        }

    @property
    def provides(self) -> frozenset[str]:
        """Return the keys of a :class:`Sample` that this configuration provides."""
        made = {"superpixels"} if self.superpixels is not None else set()
        made |= {map_.key for map_ in self._made_maps}
        return frozenset(Sample.__required_keys__) | self.reader.provides | made

    @property
    def frame_size(self) -> Size:
        """Return height and width of every frame, and of its truth; where they differ, the smallest of each."""
        return self.reader.size

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """Return what must be said beside all metrics of these frames: where they come from, how coarse depth is."""
        levels = coarse_levels(self.reader, self.splits.test or self.splits.train)
        coarse = f"depth of {levels} levels, 8 bits or fewer" if levels else ""
        return tuple(filter(None, (self.reader.provenance, coarse, *self.reader.depth_remarks)))

    # --- statistics of the frames

    def train_depth_median(self) -> float:
        """Return the median depth of the training frames in metres, see :func:`depth_median`.

        Raises:
            ValueError: if there are no training frames.
        """
        if not len(self.splits.train):
            raise ValueError(f"{self.name}: has no training frames, hence no median; take another data set to train on")
        return depth_median(self.reader, self.splits.train)

    def training_camera(self) -> dict[str, float] | None:
        """Return the focal length in pixels that training frames have at the size the network sees them at.

        A network learns metres with it: of a thing seen with twice as many pixels it says half the depth. Resizing
        changes it, a crop does not, and ``divide_depth_by_zoom`` divides it as it divides depth. Along rows and columns
        it may differ; what counts here is the geometric mean.

        Returns:
            Median, lowest and highest over training frames, as ``focal``, ``lowest`` and ``highest``; None where no
            training frame's camera is known.
        """
        height, width = self.resize or self.frame_size
        shares = focal_lengths(self.reader, self.splits.train)
        focal = sorted((x * width * y * height) ** 0.5 / self.nearer for x, y in shares)
        if not focal:
            return None
        return {"focal": median(focal), "lowest": focal[0], "highest": focal[-1]}

    def class_pixels(self, order: ClassOrder = "counted", frames: int | None = COUNTED_FRAMES) -> list[int]:
        """Count the pixels of each class, id ``i`` at ``i``, once for all runs over the frames that an order looks at.

        Args:
            order: ``counted`` over the training frames, else over those of all parts.
            frames: that are counted, at most, evenly spread; None counts all.
        """
        parts = self.splits
        everywhere = sorted({*parts.train, *parts.val, *parts.test})
        return class_pixels(self.reader, parts.train if order == "counted" else everywhere, frames)

    def class_order(self, order: ClassOrder = "counted", frames: int | None = COUNTED_FRAMES) -> list[int]:
        """Return all ids of ``semantics``, the most frequent first, ties and classes that never occur by their ids.

        Args:
            order: ``counted`` over the training frames, ``overall``, over those of all parts, or Semantic-MD's own for
                NYU40.
            frames: that are counted, at most, evenly spread; None counts all.
        """
        if order == "semantic_md":
            return list(SEMANTIC_MD_ORDER)
        return by_frequency(self.class_pixels(order, frames), self.classes)

    # --- test sets

    def test_sets(self) -> "list[DepthDataModule]":
        """Return the set of each test loader: this one, the further ones, then the variants of each, once set up."""
        sets = [self, *self.extra_tests]
        return [*sets, *(shown for data in sets for shown in data.variant_sets)]

    def test_names(self) -> list[str]:
        """Return the name of each test loader."""
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
            ValueError: if a file is damaged, a size does not fit, or two test sets have one name; one line that says
                which file and key, and what to do.
        """
        tests_only = stage in ("test", "predict")
        parts = [self.splits.test]
        if not tests_only:
            self.check_training_part()
            parts += [self.splits.val] + ([self.splits.train] if self.on_bad_sample == "stop" else [])
        self.reader.check_files(position for part in parts for position in part)
        if not tests_only:
            check_crop(self.name, self.crop_source, self.crop)
            check_superpixels(self.superpixels, self.crop)
        self._check_shown_superpixels()
        if not tests_only and self.superpixels is not None and self.superpixels_of == "frame":
            check_whole_frames(self.name, self.frame_size, self.resize)
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
                f"two test sets are called `{min(twice)}`, and so would be their metrics; leave one out of "
                "`data.init_args.extra_tests`"
            )

    def setup_test(self) -> None:
        """Check and make the test part alone, for a run that trains on another set; raises as :meth:`setup` does."""
        self.reader.check_files(self.splits.test)
        self._check_shown_superpixels()
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
        whole_size = self.resize if self.superpixels_of == "frame" else None
        return Finish(*self.normalization, self.superpixels, self._made_maps, whole_size)

    def _check_shown_superpixels(self) -> None:
        if self.superpixels is not None:  # only then is each frame's size worth a look
            for size in self.input_sizes:
                check_superpixels(self.superpixels, size)

    @property
    def _made_maps(self) -> list[DerivedMap]:
        """The maps of ``derived`` that frames have what is needed for; a method that reads others says so."""
        return [map_ for map_ in self.derived if map_.needs in {"image", *self.reader.provides}]

    # --- sizes and normalisation

    @property
    def crop_source(self) -> Size:
        """Return height and width of what training crops are drawn from."""
        if self.train_window is None:
            return self.resize or self.frame_size
        top, left, bottom, right = self.train_window
        return bottom - top, right - left

    @property
    def input_size(self) -> Size:
        """Return height and width of the network input in evaluation; see :attr:`frame_size` where frames differ."""
        return self.eval_size or self.resize or self.frame_size

    @property
    def input_sizes(self) -> frozenset[Size]:
        """Return height and width of all network inputs in evaluation: one, unless frames keep several sizes."""
        shown = self.eval_size or self.resize
        if shown is not None:
            return frozenset({(shown[0], shown[1])})
        seen = frozenset(self.reader.size_of(position) for position in (*self.splits.test, *self.splits.val))
        return seen or frozenset({self.input_size})

    @property
    def nearer(self) -> float:
        """Return what depth of training frames is divided by, see :func:`depth_divisor`, which raises ValueError."""
        if not self.divide_depth_by_zoom:
            return 1.0
        several = len({self.reader.size_of(position) for position in self.splits.train}) > 1
        if several and self.resize is None and self.eval_size is not None:
            raise ValueError(
                f"{self.name}: frames of several sizes have no zoom in common; set `data.init_args.resize`, or "
                "`divide_depth_by_zoom: false`"
            )
        return depth_divisor(self.name, self.resize or self.frame_size, self.input_size, radial=self.radial)

    @property
    def normalization(self) -> tuple[RGB, RGB]:
        """Return RGB mean and standard deviation: as configured, else as the method declares them.

        Without a method, as in a preview of the data, they are ImageNet's.
        """
        if self.mean is not None and self.std is not None:
            return self.mean, self.std
        method: Any = None if self.trainer is None else self.trainer.lightning_module
        return IMAGENET_NORMALIZATION if method is None else method.normalization

    # --- loaders

    @property
    def _processes(self) -> Processes:
        return Processes.of(self.trainer)

    @property
    def _loaders(self) -> Loaders:
        return Loaders(self.name, self._processes, self.num_workers)

    @property
    def process_batch_size(self) -> int:
        """Return the frames that one process loads at a time in training.

        Raises:
            ValueError: if processes and accumulated batches do not divide ``batch_size``.
        """
        return self._processes.share_of(self.batch_size)

    def describe_batch(self) -> str:
        """Return in words how processes share an optimizer step's frames; raises as :attr:`process_batch_size` does."""
        return self._processes.describe(self.batch_size)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return batches of crops, shuffled, but under `trainer.overfit_batches`; raises ValueError without any."""
        overfits = self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]
        return self._loaders.train(self.train_set, self.process_batch_size, seed=self.seed, shuffle=not overfits)

    def val_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Return whole frames of the held-out scenes; no loader where none are held out."""
        if not len(self.val_set):
            return []
        return self._loaders.evaluation(self.val_set, self.eval_batch_size, keep_workers=True)

    def test_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Return whole test frames, each exactly once over all processes; a loader for each of several test sets."""
        sets = self.test_sets()
        before = self.tested_before or (lambda name: 0)
        keep = len(sets) == 1
        loaders = [
            data._loaders.evaluation(data.test_set, data.eval_batch_size, keep_workers=keep, start=before(data.name))
            for data in sets
        ]
        return loaders if len(loaders) > 1 else loaders[0]

    def predict_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Return the test frames."""
        return self.test_dataloader()

    # --- records

    def describe(self) -> dict[str, Any]:
        """Return what is read and how, as plain JSON, for a run's record."""
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
            "frame_size": list(self.frame_size),
            **({} if self.truth == "metric" else {"truth": self.truth}),
            "provides": sorted(self.provides),
            "normalization": [list(values) for values in self.normalization],
            "input_size": list(self.input_size),
            "extra_tests": [further.describe() for further in self.extra_tests],
            "variants": [shown.describe_variant() for shown in self.variant_sets],
        }

    def describe_variant(self) -> dict[str, Any]:
        """Return what sets a variant apart from its test set, as plain JSON."""
        shown = {} if self.variant is None else self.variant.describe()
        return {"name": self.name, "variant": self.variant_name, **shown, "input_size": list(self.input_size)}

    @cached_property
    def fingerprint(self) -> str:
        """Return what stands for frames, parts, options and depth, the same on every machine."""
        return fingerprint(self.describe(), self.splits, self.reader)
