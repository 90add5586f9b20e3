"""What is learned from: one LightningDataModule per data set, all giving the same samples."""

from datamodules.base import DepthDataModule
from datamodules.corruptions import JPEG, Corruption, Darkness, GaussianBlur, GaussianNoise
from datamodules.derived.frame_maps import FrameSuperpixels, RegionSupportTarget
from datamodules.derived.sample_maps import ClassMaps, EdgeTarget, SemanticContours
from datamodules.hypersim import HyperSimDataModule
from datamodules.ibims import IBimsDataModule
from datamodules.nyu_fused import NYUFusedDataModule
from datamodules.nyuv2 import NYUv2DataModule
from datamodules.nyuv2_oc import NYUv2OCDataModule
from datamodules.nyuv2_raw import NYUv2RawDataModule
from datamodules.preprocess import CLAHE, CenterCrop, ClampDepth, ResizeFrame, UnitDepth
from datamodules.rooms_datamodule import RoomsDataModule, RoomsHyperSimDataModule
from datamodules.rooms_fused import RoomsFusedDataModule
from datamodules.sample import Sample, collate
from datamodules.superpixels import GridSuperpixels, SeedsSuperpixels, SlicSuperpixels, Superpixels
from datamodules.variants import Variant

__all__ = [
    "CLAHE",
    "JPEG",
    "CenterCrop",
    "ClampDepth",
    "ClassMaps",
    "Corruption",
    "Darkness",
    "DepthDataModule",
    "EdgeTarget",
    "FrameSuperpixels",
    "GaussianBlur",
    "GaussianNoise",
    "GridSuperpixels",
    "HyperSimDataModule",
    "IBimsDataModule",
    "NYUFusedDataModule",
    "NYUv2DataModule",
    "NYUv2OCDataModule",
    "NYUv2RawDataModule",
    "RegionSupportTarget",
    "ResizeFrame",
    "RoomsDataModule",
    "RoomsFusedDataModule",
    "RoomsHyperSimDataModule",
    "Sample",
    "SeedsSuperpixels",
    "SemanticContours",
    "SlicSuperpixels",
    "Superpixels",
    "UnitDepth",
    "Variant",
    "collate",
]
