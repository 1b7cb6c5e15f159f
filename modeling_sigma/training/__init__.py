"""Training of Sigma models with the Trainer: `recipes` are whole runs, the other folders what they are made of.

Not here: corpora (`datasets_scripts`), scores (`metrics`), publishing (`hub`).
"""
