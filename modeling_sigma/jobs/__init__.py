"""Long work on many files that survives a kill, a crash and a hang.

`result_folder` keeps what a job has done so far. `worker_processes` does the work on one
machine, `datatrove_engine` on many (with Ray, or with Slurm: `slurm_jobs`). `atomic_files` makes
files appear whole or not at all. `progress` is the one progress bar. `torch_devices` finds a device by its name.

Not here: what is done with each file (`extraction`, `datasets_scripts.building`).
"""
