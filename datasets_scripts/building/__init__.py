"""A corpus as a folder that `load_dataset` opens: Parquet shards, statistics, the report and the data card.

Not here: how clips and labels are read (`datasets_scripts.reading`), and how work survives a kill
(`modeling_sigma.jobs`).
"""
