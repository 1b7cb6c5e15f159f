"""Training of Sigma models with transformers' Trainer.

`task.py` says what a run learns and how it is judged, `trainers.py` how a step is taken, `arguments.py` and
`training_arguments.py` what a run can be told, `model_building.py` where it starts. `recipes` are whole runs; `data`,
`optimization`, `adapters` and `run` are what they are made of.

Not here: corpora (`datasets_scripts`), scores (`metrics`), trained models at work (`inference`), publishing (`hub`).
"""
