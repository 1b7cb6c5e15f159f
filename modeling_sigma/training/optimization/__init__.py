"""How weights change: Muon with AdamW, parameter groups, averaged weights, frozen or synchronised statistics.

Not here: the objectives (`model/objectives_sigma.py`), and the training loop (`trainers.py`).
"""
