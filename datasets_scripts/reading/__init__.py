"""From labels and files to the clips of a corpus: its builder, tables and their cells, times, files on disk, splits.

A corpus is a file beside this folder that subclasses `CorpusBuilder` or `PoseFileCorpus`. Not here: formats of
skeleton files (`modeling_sigma.io`), and writing data sets (`building`).
"""
