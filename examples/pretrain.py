"""Pre-train Sigma on clips and their sentences: alignment, sign-text matching and language modelling.

    python examples/pretrain.py examples/configs/pretrain_synthetic.yaml --output_dir runs/pretrain
    accelerate launch --config_file examples/accelerate/multi_gpu.yaml examples/pretrain.py CONFIG.yaml

Every field of the configuration can be given on the command line; `--help` lists them. `--resume` goes on after a
crash. The output folder is a model that `examples/finetune.py --model` starts from.
"""

from modeling_sigma.training.recipes.pretrain import main
from modeling_sigma.training.run.training_run import run_script


if __name__ == "__main__":
    run_script(main)
