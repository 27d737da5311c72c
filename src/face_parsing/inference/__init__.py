"""Photo to mask: in torch and in ONNX Runtime, whole folders, exports, the submission."""
