"""Other checkpoints to and from ours: released weights, and models with a smaller vocabulary.

Not here: saving and publishing (`hub`).
"""
