"""What is learned from: one LightningDataModule per data set, all giving the same samples."""

from datamodules.base import DepthDataModule
from datamodules.folder.folder_datamodule import FolderDataModule
from datamodules.frames import Frame, FrameReader, clean_depth
from datamodules.hypersim.hypersim_datamodule import HyperSimDataModule
from datamodules.ibims.ibims_datamodule import IBimsDataModule
from datamodules.nyuv2.nyu_fused import NYUFusedDataModule
from datamodules.nyuv2.nyuv2_datamodule import NYUv2DataModule
from datamodules.nyuv2.nyuv2_oc import NYUv2OCDataModule
from datamodules.nyuv2.nyuv2_raw import NYUv2RawDataModule
from datamodules.pipeline.corruptions import JPEG, Corruption, Darkness, GaussianBlur, GaussianNoise
from datamodules.pipeline.frame_maps import FrameSuperpixels, RegionSupportTarget
from datamodules.pipeline.preprocess import CLAHE, CenterCrop, ClampDepth, ResizeFrame
from datamodules.pipeline.sample_maps import EdgeTarget
from datamodules.pipeline.superpixels import GridSuperpixels, SeedsSuperpixels, SlicSuperpixels, Superpixels
from datamodules.pipeline.variants import Variant
from datamodules.rooms.rooms_datamodule import RoomsDataModule, RoomsHyperSimDataModule
from datamodules.rooms.rooms_fused import RoomsFusedDataModule
from datamodules.sample import Sample, collate
from datamodules.splits import Splits
from datamodules.storage.images import read_depth_png, read_rgb

__all__ = [
    "CLAHE",
    "JPEG",
    "CenterCrop",
    "ClampDepth",
    "Corruption",
    "Darkness",
    "DepthDataModule",
    "EdgeTarget",
    "FolderDataModule",
    "Frame",
    "FrameReader",
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
    "SlicSuperpixels",
    "Splits",
    "Superpixels",
    "Variant",
    "clean_depth",
    "collate",
    "read_depth_png",
    "read_rgb",
]
