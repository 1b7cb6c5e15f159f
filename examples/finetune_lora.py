"""Adapt a trained Sigma to other signs, signers or another sign language with LoRA (PEFT).

    python examples/finetune_lora.py examples/configs/lora_synthetic.yaml --model runs/finetune --output_dir runs/lora

The output folder is the merged model; `adapter` in it is the adapter alone. `--pose_encoder` says whether the pose
encoder trains in full, not at all, or by low-rank changes. `sigma-slu adapt` is the same for a folder of your own
clips.
"""

from modeling_sigma.training.recipes.adapt import main
from modeling_sigma.training.run.training_run import run_script


if __name__ == "__main__":
    run_script(main)
