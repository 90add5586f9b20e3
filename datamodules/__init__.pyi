from .base import DepthDataModule
from .folder.folder_datamodule import FolderDataModule
from .frames import Frame, FrameReader, clean_depth
from .hypersim.hypersim_datamodule import HyperSimDataModule
from .ibims.ibims_datamodule import IBimsDataModule
from .nyuv2.nyu_fused import NYUFusedDataModule
from .nyuv2.nyuv2_datamodule import NYUv2DataModule
from .nyuv2.nyuv2_oc import NYUv2OCDataModule
from .nyuv2.nyuv2_raw import NYUv2RawDataModule
from .pipeline.corruptions import JPEG, Corruption, Darkness, GaussianBlur, GaussianNoise
from .pipeline.frame_maps import FrameSuperpixels, RegionSupportTarget
from .pipeline.preprocess import CLAHE, CenterCrop, ClampDepth, ResizeFrame
from .pipeline.sample_maps import EdgeTarget
from .pipeline.superpixels import GridSuperpixels, SeedsSuperpixels, SlicSuperpixels, Superpixels
from .pipeline.variants import Variant
from .rooms.rooms_datamodule import RoomsDataModule, RoomsHyperSimDataModule
from .rooms.rooms_fused import RoomsFusedDataModule
from .sample import Sample, collate
from .splits import Splits
from .storage.images import read_depth_png, read_rgb

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
