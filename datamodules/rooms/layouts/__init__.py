"""Rooms in the on-disk layouts of the data sets that it stands in for; every root says so in ``ROOMS.txt``."""

from datamodules.rooms.layouts.bts_tree import write_bts
from datamodules.rooms.layouts.film import FilmedScene, film_scene
from datamodules.rooms.layouts.hypersim_scenes import write_hypersim
from datamodules.rooms.layouts.ibims_files import write_ibims
from datamodules.rooms.layouts.kinect_dump import write_kinect_dump
from datamodules.rooms.layouts.marigold_tree import write_marigold
from datamodules.rooms.layouts.oc_files import write_occlusion

__all__ = [
    "FilmedScene",
    "film_scene",
    "write_bts",
    "write_hypersim",
    "write_ibims",
    "write_kinect_dump",
    "write_marigold",
    "write_occlusion",
]
