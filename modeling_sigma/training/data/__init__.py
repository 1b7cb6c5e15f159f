"""What a run is trained and scored on: the clips of its corpora, how they are batched, and new tokenizers.

Not here: the target of a clip, and the tensors made from it (`task.py`).
"""
