"""`examples/finetune.py` for tests, with CPU processes that pass for GPUs: accelerate shards weights on GPUs alone.

accelerate launch --config_file examples/accelerate/fsdp.yaml --num_processes 2 tests/fsdp_on_cpu.py CONFIG ...
"""

import sys
from typing import Any

from accelerate import state

from modeling_sigma.cli.main import main


_make = state.PartialState.__init__


def _make_with_gpus(self: Any, *args: Any, **kwargs: Any) -> None:
    _make(self, *args, **kwargs)
    if self.distributed_type == state.DistributedType.MULTI_CPU:
        self.distributed_type = state.DistributedType.MULTI_GPU


if __name__ == "__main__":
    state.PartialState.__init__ = _make_with_gpus  # type: ignore[method-assign]
    sys.exit(main(["finetune", *sys.argv[1:]]))
