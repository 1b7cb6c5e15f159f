"""Long work on many files: worker processes, devices, and files that appear whole or not at all.

Not here: what is done with each file (`extraction`, `datasets_scripts.building`).
"""
