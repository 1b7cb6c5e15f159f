"""A corpus as a folder that `load_dataset` opens: shards, statistics and the data card."""
