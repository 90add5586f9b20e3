"""Configurations, command lines and checkpoints of earlier versions."""

from importlib import import_module
from pathlib import Path

import pytest
import yaml

from experiments.__main__ import run
from experiments.config import old_names
from experiments.config.compose import compose
from experiments.config.old_names import MOVED, drop_removed, first_names, rename, rename_arguments, rename_text
from experiments.grid.jobs import make_job
from experiments.results.run_files import read_yaml
from lightning_modules.networks.semantic_md.semantic_inputs import RawLabels

#: Classes that a configuration could name, by the modules that they were in.
CLASSES = {
    "callbacks.checkpoint_io": "AtomicCheckpointIO",
    "callbacks.checkpoints": "BestCheckpoint",
    "callbacks.cloud_pictures": "CloudPictures",
    "callbacks.confusion_matrix": "ConfusionMatrix",
    "callbacks.constant_baseline": "ConstantBaseline",
    "callbacks.exact_resume": "ExactResume",
    "callbacks.history": "History",
    "callbacks.last_checkpoint": "LastCheckpoint",
    "callbacks.nonfinite_report": "NonFiniteReport",
    "callbacks.other_processes": "OtherProcesses",
    "callbacks.panels": "Panels",
    "callbacks.parameter_table": "ParameterTable",
    "callbacks.per_image_table": "PerImageTable",
    "callbacks.prediction_writer": "PredictionWriter",
    "callbacks.property_check": "PropertyCheck",
    "callbacks.resumable_test": "ResumableTest",
    "callbacks.retrieval_picture": "RetrievalPicture",
    "callbacks.run_logger": "RunLogger",
    "callbacks.run_recorder": "RunRecorder",
    "callbacks.run_summary": "RunSummary",
    "callbacks.staged_training": "StagedTraining",
    "callbacks.thumbnails": "Thumbnails",
    "callbacks.training_monitor": "TrainingMonitor",
    "callbacks.validation_panels": "ValidationPanels",
    "callbacks.worst_cases": "WorstCases",
    "datamodules.corruptions": "GaussianNoise GaussianBlur JPEG Darkness",
    "datamodules.derived.frame_maps": "FrameSuperpixels RegionSupportTarget",
    "datamodules.derived.sample_maps": "EdgeTarget",
    "datamodules.hypersim": "HyperSimDataModule",
    "datamodules.ibims": "IBimsDataModule",
    "datamodules.nyu_fused": "NYUFusedDataModule",
    "datamodules.nyuv2": "NYUv2DataModule",
    "datamodules.nyuv2_oc": "NYUv2OCDataModule",
    "datamodules.nyuv2_raw": "NYUv2RawDataModule",
    "datamodules.preprocess": "ResizeFrame CenterCrop ClampDepth CLAHE",
    "datamodules.rooms_datamodule": "RoomsDataModule RoomsHyperSimDataModule",
    "datamodules.rooms_fused": "RoomsFusedDataModule",
    "datamodules.superpixels": "SeedsSuperpixels SlicSuperpixels GridSuperpixels",
    "datamodules.variants": "Variant",
    "experiments.predicted_semantics": "PredictedSemantics",
    "experiments.sync_batch_norm": "TimmSyncBatchNorm",
    "lightning_modules.losses.image_classes": "ImageClassLoss",
    "lightning_modules.losses.segmentation": "SegmentationLoss",
    "lightning_modules.networks.semantic_inputs": "RawLabels OneHotClasses SemanticConvolution LabelContours",
    "lightning_modules.nonfinite": "NonFiniteGuard",
    "lightning_modules.schedules": "Schedule",
}


@pytest.mark.parametrize("module", MOVED)
def test_every_class_that_moved_is_found(module):
    for name in CLASSES[module].split():
        new_module, _, new_name = rename_text(f"{module}.{name}").rpartition(".")
        assert new_name == name
        assert isinstance(getattr(import_module(new_module), name), type)


def test_nothing_else_is_renamed():
    for text in (
        "callbacks.checkpoints.best_checkpoint.BestCheckpoint",
        "datamodules.NYUv2DataModule",
        "my_callbacks.panels.Panels",
        "mine.callbacks.panels.Panels",
        "callbacks.panels",
        "out/callbacks.panels.py",
    ):
        assert rename(text) == text


def test_files_and_flags_are_read_in_the_names_of_today(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old = {
        "trainer": {
            "callbacks": [{"class_path": "callbacks.panels.Panels", "init_args": {"frames": 2}}],
            "plugins": [{"class_path": "experiments.sync_batch_norm.TimmSyncBatchNorm"}],
        },
        "data": {"class_path": "datamodules.nyuv2.NYUv2DataModule"},
    }
    Path("old.yaml").write_text(yaml.safe_dump(old))
    new = compose(["old.yaml"]).config
    assert new["trainer"]["callbacks"] == [{"class_path": "callbacks.Panels", "init_args": {"frames": 2}}]
    assert new["trainer"]["plugins"] == [{"class_path": "experiments.train.sync_batch_norm.TimmSyncBatchNorm"}]
    assert new == read_yaml(Path("old.yaml"))  # as records of runs are read

    flags = ["--trainer.callbacks+=callbacks.history.History", "--data.superpixels",
             "{class_path: datamodules.superpixels.GridSuperpixels, init_args: {size: 8}}"]  # fmt: skip
    assert rename_arguments(flags) == (
        ["--trainer.callbacks+=callbacks.History", "--data.superpixels",
         "{class_path: datamodules.GridSuperpixels, init_args: {size: 8}}"], [],
    )  # fmt: skip


def test_runs_keep_the_names_that_they_had_before_modules_moved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, plugin in (("old", "experiments.sync_batch_norm"), ("new", "experiments.train.sync_batch_norm")):
        Path(f"{name}.yaml").write_text(f"trainer: {{plugins: [{{class_path: {plugin}.TimmSyncBatchNorm}}]}}")
    digits = {make_job("g", {}, [], ["exp", "--config", f"{n}.yaml"], Path("runs")).name for n in ("old", "new")}
    assert digits == {"eb26b18a"}  # as the version before the move made it
    assert first_names("a lightning_modules.networks.semantic_md.semantic_inputs.RawLabels b") == (
        "a lightning_modules.networks.semantic_inputs.RawLabels b"
    )


def test_checkpoints_name_inputs_by_their_old_module():
    assert import_module("lightning_modules.networks.semantic_inputs").RawLabels is RawLabels


def test_inputs_that_no_method_read_are_left_out():
    old = {
        "preprocess": [
            {"class_path": "datamodules.CLAHE"},
            {"class_path": "datamodules.preprocess.UnitDepth", "init_args": {"divisor": 10.0}},
        ],
        "derived": [
            {"class_path": "datamodules.SemanticContours", "init_args": {"mode": "gradient", "size": 3}},
            {"class_path": "datamodules.derived.sample_maps.ClassMaps", "init_args": {"classes": 20}},
        ],
    }
    kept, gone = drop_removed(rename({"data": {"init_args": old}}))
    assert kept == {"data": {"init_args": {"preprocess": [{"class_path": "datamodules.CLAHE"}], "derived": []}}}
    assert [text.split("`")[1] for text in gone] == [
        "datamodules.UnitDepth",
        "datamodules.SemanticContours",
        "datamodules.ClassMaps",
    ]


class TestRemoved:
    """One warning, no effect."""

    @pytest.fixture(autouse=True)
    def gone(self, monkeypatch, tmp_path):
        monkeypatch.setitem(old_names.REMOVED_CLASSES, "datamodules.Gone", "no method read it")
        monkeypatch.setitem(old_names.REMOVED_OPTIONS, "data.init_args.gone", "nothing read it")
        monkeypatch.chdir(tmp_path)

    def test_in_files(self):
        arguments = {"gone": {"a": 1}, "derived": [{"class_path": "datamodules.Gone"}, "datamodules.EdgeTarget"]}
        content = {"data": {"init_args": arguments}, "profiles": {"quick": {"data": {"init_args": {"gone": 2}}}}}
        Path("old.yaml").write_text(
            yaml.safe_dump({**content, "profile": "quick", "x": {"class_path": "datamodules.Gone"}})
        )
        with pytest.warns(UserWarning, match="accepted without effect") as caught:
            composition = compose(["old.yaml"])
        assert len(caught) == 1
        for gone in ("`data.init_args.gone` (nothing read it)", "`datamodules.Gone` (no method read it)"):
            assert str(caught[0].message).count(gone) == 1
        assert composition.config["data"]["init_args"] == {"derived": ["datamodules.EdgeTarget"]}
        assert composition.config["x"] is None

    def test_on_the_command_line(self):
        flags = ["--data.init_args.gone.a", "1", "--a", "1", "--data.init_args.derived+=datamodules.Gone", "b"]
        assert rename_arguments(flags) == (
            ["--a", "1", "b"],
            ["`data.init_args.gone` (nothing read it)", "`datamodules.Gone` (no method read it)"],
        )
        with pytest.warns(UserWarning, match="accepted without effect") as caught:  # noqa: SIM117
            with pytest.raises(ValueError, match="no command `x`"):
                run("x", flags)
        assert len(caught) == 1
