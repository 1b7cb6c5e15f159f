"""One run from start to end, and what it writes: its folder, checkpoints and records.

Not here: what is learnt (`task.py`), and which model a run starts from (`model_building.py`).
"""
