"""Fits of the editing models' parameters to rendered rooms: `python -m tools.fit.MODEL`. See README.md beside this file."""
