"""Pickles of strangers, read without running anything in them.

`reader` is the door; the other files are the small machine behind it: the instructions of a pickle, the few functions
that they may call, and the machine that follows them.
"""
