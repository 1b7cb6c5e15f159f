"""How weights move: Muon with AdamW, parameter groups, averages of weights, frozen and gathered statistics.

Not here: the objectives (`model/objectives_sigma.py`), and the loop that calls all of it (`trainers.py`).
"""
