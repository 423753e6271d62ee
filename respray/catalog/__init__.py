"""What a job may name by id: presets, palettes and textures. Each is a data file here; adding one is adding a file. No NumPy, no OpenCV."""
