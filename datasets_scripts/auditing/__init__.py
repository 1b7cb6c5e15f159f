"""Finds faults of a data set: duplicates, odd lengths, signers in two splits, labels that contradict each other.

It reads rows of the schema, wherever they come from. Not here: repairing them.
"""
