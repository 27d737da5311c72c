"""Faces that are drawn, with masks of all classes."""
