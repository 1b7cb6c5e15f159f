"""The corpora, one file each.

`corpora` is the table of all of them and loads any; `schema` is the row that they share. `reading` is what they have
in common, `building` makes data sets of them, `auditing` looks for faults in these, and `synthetic_language` is behind
the corpus that needs no files. Not here: file formats of skeletons (`modeling_sigma.io`), and batches for training.
"""
