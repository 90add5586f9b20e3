"""Rooms, the built-in synthetic data set: procedural indoor scenes, ray cast with torch, in NYUv2's file format."""

from datamodules.rooms.dataset import RoomsParameters, ensure_rooms
from datamodules.rooms.renderer import RenderedScene, render_scene
from datamodules.rooms.scene import build_scene

__all__ = ["RenderedScene", "RoomsParameters", "build_scene", "ensure_rooms", "render_scene"]
