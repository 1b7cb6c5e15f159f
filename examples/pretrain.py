"""Pre-train Sigma on clips and their sentences: alignment, sign-text matching and language modelling.

    python examples/pretrain.py examples/configs/pretrain_synthetic.yaml --output_dir runs/pretrain
    accelerate launch --config_file examples/accelerate/multi_gpu.yaml examples/pretrain.py CONFIG.yaml

The same as `sigma-slu pretrain`, as a file for `accelerate launch`. Every field of the configuration can be given on
the command line; `--help` lists them. `--resume` goes on after a crash. The output folder is a model that
`sigma-slu finetune --model` starts from.
"""

import sys

from modeling_sigma.cli.main import main


if __name__ == "__main__":
    sys.exit(main(["pretrain", *sys.argv[1:]]))
