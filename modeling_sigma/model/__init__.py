"""The model: exactly the files that travel with a checkpoint, from joints to answers.

Configuration, feature extractor and processor, pose encoder, text backbone, fusion, objectives, heads and pipelines.
The folder is flat, and its files import each other, the standard library, numpy, torch, transformers and
huggingface_hub alone: a saved bundle is a copy of them, which loads where this package is not installed.

Not here: reading files (`io`), training (`training`), saving and publishing (`hub`).
"""
