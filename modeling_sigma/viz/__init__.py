"""Pictures: skeletons, what a model sees in a clip, training curves, confusions and search results.

Not here: numbers without a picture (`metrics`), and loading a model (`inference`).
"""
