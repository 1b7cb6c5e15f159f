"""One run from start to end, and what it leaves behind: its folder, checkpoints, callbacks and records.

Not here: what is learnt (`task.py`), and from where to start (`model_building.py`).
"""
