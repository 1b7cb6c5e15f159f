"""Converts checkpoints: from the released weights of other projects, and to a smaller vocabulary.

Not here: saving and publishing (`hub`).
"""
