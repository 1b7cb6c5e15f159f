"""Fine-tune Sigma: isolated signs (islr), glosses (cslr) or translation (slt).

    python examples/finetune.py examples/configs/finetune_synthetic.yaml --task slt --output_dir runs/finetune
    python examples/finetune.py CONFIG.yaml --model runs/pretrain --output_dir runs/finetune
    accelerate launch --config_file examples/accelerate/multi_gpu.yaml examples/finetune.py CONFIG.yaml

Every field of the configuration can be given on the command line; `--help` lists them. `--resume` goes on after a
crash. The output folder is a model that `sigma-slu predict --model` reads.
"""

from modeling_sigma.training.recipes.finetune import main
from modeling_sigma.training.run.training_run import run_script


if __name__ == "__main__":
    run_script(main)
