"""What is learned from: one LightningDataModule per data set, all giving the same samples."""

from datamodules.base import DepthDataModule
from datamodules.nyuv2 import NYUv2DataModule
from datamodules.rooms_datamodule import RoomsDataModule
from datamodules.sample import Sample, collate
from datamodules.superpixels import GridSuperpixels, SeedsSuperpixels, SlicSuperpixels, Superpixels

__all__ = [
    "DepthDataModule",
    "GridSuperpixels",
    "NYUv2DataModule",
    "RoomsDataModule",
    "Sample",
    "SeedsSuperpixels",
    "SlicSuperpixels",
    "Superpixels",
    "collate",
]
