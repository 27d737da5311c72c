"""Faces in a photo: where they are, how they stand, and their crops; needs NumPy, Pillow and ONNX Runtime."""
