"""Bundles for the Hub and conversion of released checkpoints."""
