"""PEFT adapters of Sigma: which weights they train, how they are saved, and whose labels they answer with."""
