"""HyperSim: scenes of HDF5 files, their cameras and their tone mapping."""
