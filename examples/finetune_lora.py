"""Adapt a trained Sigma to other signs, signers or another sign language with LoRA (PEFT).

    python examples/finetune_lora.py examples/configs/lora_synthetic.yaml --model runs/finetune --output_dir runs/lora

The same as `sigma-slu finetune --adapter lora`. The output folder is the merged model; `adapter` in it is the adapter
alone. `--pose_encoder` says whether the pose encoder trains in full, not at all, or by low-rank changes. `sigma-slu
adapt` is a recipe on top, for a folder of your own clips.
"""

import sys

from modeling_sigma.cli.main import main


if __name__ == "__main__":
    sys.exit(main(["finetune", *sys.argv[1:], "--adapter", "lora"]))
