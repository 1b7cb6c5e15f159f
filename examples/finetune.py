"""Fine-tune Sigma: isolated signs (islr), glosses (cslr) or translation (slt).

    python examples/finetune.py examples/configs/finetune_synthetic.yaml --task slt --output_dir runs/finetune
    python examples/finetune.py CONFIG.yaml --model runs/pretrain --output_dir runs/finetune
    accelerate launch --config_file examples/accelerate/multi_gpu.yaml examples/finetune.py CONFIG.yaml

The same as `sigma-slu finetune`, as a file for `accelerate launch`. Every field of the configuration can be given on
the command line; `--help` lists them. `--resume` goes on after a crash. The output folder is a model that
`sigma-slu predict --model` reads.
"""

import sys

from modeling_sigma.cli.main import main


if __name__ == "__main__":
    sys.exit(main(["finetune", *sys.argv[1:]]))
