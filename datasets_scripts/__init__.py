"""Data sets: one file per corpus, the features they share, and a synthetic sign language that needs no download."""
