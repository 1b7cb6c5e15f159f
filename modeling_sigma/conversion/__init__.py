"""Converts checkpoints: from the released weights of other projects, to a smaller vocabulary, and to ONNX.

Not here: saving and publishing (`hub`).
"""
