"""The arrays in HDF5 files of Keras, read as data."""
