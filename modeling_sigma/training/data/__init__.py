"""What a run is trained and judged on: the clips of its corpora, how they share batches, and new tokenizers.

Not here: what of a clip is the target, and the tensors made of it (`task.py`).
"""
