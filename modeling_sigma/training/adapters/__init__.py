"""PEFT adapters for Sigma: which weights they train, how they are saved, and which labels they answer with.

Not here: the recipe for few clips (`recipes/adapt.py`), the card of an adapter (`hub`).
"""
