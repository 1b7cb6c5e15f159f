"""Training of Sigma models with transformers' Trainer.

`task.py` says what a run learns and how it is judged, `trainers.py` how a step is taken, `arguments.py` and
`training_arguments.py` what options a run has, `model_building.py` which model it starts from. `recipes` holds whole
runs; `data`, `optimization`, `adapters` and `run` their parts.

Not here: corpora (`datasets_scripts`), scores (`metrics`), using trained models (`inference`), publishing (`hub`).
"""
