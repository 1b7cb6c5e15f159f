"""Faults of a data set: duplicates, odd lengths, labels that contradict each other."""
