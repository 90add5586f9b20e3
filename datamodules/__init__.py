"""What is learned from: one LightningDataModule per data set, all giving the same samples."""

from datamodules.base import DepthDataModule
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
from datamodules.sample import Sample, collate
from datamodules.superpixels import GridSuperpixels, SeedsSuperpixels, SlicSuperpixels, Superpixels

__all__ = [
    "CLAHE",
    "CenterCrop",
    "ClampDepth",
    "ClassMaps",
    "DepthDataModule",
    "EdgeTarget",
    "FrameSuperpixels",
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
    "RoomsHyperSimDataModule",
    "Sample",
    "SeedsSuperpixels",
    "SemanticContours",
    "SlicSuperpixels",
    "Superpixels",
    "UnitDepth",
    "collate",
]
