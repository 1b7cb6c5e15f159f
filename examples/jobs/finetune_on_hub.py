# /// script
# requires-python = ">=3.11"
# dependencies = ["peft>=0.17", "trackio>=0.10"]
# ///
"""Teaches the shipped checkpoint the signs of a data set, on a machine of the Hub, and publishes the model, private.

The package is not on PyPI: put its wheel (`python -m build`) where the job can fetch it, and name it.

    hf upload my-lab/wheels dist/sigma_slu-0.1.0-py3-none-any.whl --repo-type dataset
    hf jobs uv run --flavor a10g-small --secrets HF_TOKEN --with "sigma-slu @ URL_OF_THE_WHEEL" \\
        examples/jobs/finetune_on_hub.py my-lab/my-dataset my-lab/my-model

More fields of `sigma-slu finetune` may follow the two names.
"""

import sys

from modeling_sigma.cli.main import main


FIELDS = {
    "task": "islr",
    "head": "classification",
    "model": "sigma-wlasl-hands",
    "adapter": "lora",
    "do_train": "true",
    "do_eval": "true",
    "num_train_epochs": "40",
    "learning_rate": "3e-3",
    "output_dir": "runs/job",
    "report_to": "trackio",
    "push_to_hub": "true",
}


def run(dataset: str, name: str, *more: str) -> int:
    """Trains and publishes; returns the exit code."""
    fields = {**FIELDS, "corpus": dataset, "hub_model_id": name}
    return main(["finetune", *(word for field, value in fields.items() for word in (f"--{field}", value)), *more])


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))
