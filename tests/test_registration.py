"""Importing the package is cheap, and Sigma is known to transformers whatever is imported first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parents[1]
HEAVY = "{name for name in ('torch', 'transformers', 'numpy', 'datasets') if name in sys.modules}"
KNOWN = (
    "from transformers import AutoConfig, AutoModelForCTC; from transformers.pipelines import PIPELINE_REGISTRY as R; "
    "assert AutoConfig.for_model('sigma').model_type == 'sigma'; "
    "assert 'isolated-sign-recognition' in R.get_supported_tasks(); print('known')"
)


def run(code: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["sigma-slu", "python"])
def test_importing_the_package_imports_nothing_heavy(name: str) -> None:
    assert run(f"import sys; sys.argv[0] = {name!r}; import modeling_sigma; print({HEAVY})") == "set()"


@pytest.mark.parametrize(
    "first",
    [
        "import modeling_sigma",
        "from transformers import AutoModel; import modeling_sigma",
        # Half of transformers is under way when these reach the Auto classes.
        "import modeling_sigma; from transformers import Seq2SeqTrainer",
        "import modeling_sigma, peft",
        pytest.param("from modeling_sigma import SigmaForCTC", marks=pytest.mark.slow),
        pytest.param("import modeling_sigma.model.pipeline_sigma", marks=pytest.mark.slow),
        pytest.param("import modeling_sigma; from transformers import pipeline", marks=pytest.mark.slow),
        pytest.param("import sys; sys.argv[0] = 'sigma-slu'; import modeling_sigma", marks=pytest.mark.slow),
    ],
)
def test_transformers_knows_sigma(first: str) -> None:
    assert run(f"{first}; {KNOWN}") == "known"


def test_a_module_that_was_watched_keeps_its_loader() -> None:
    code = (
        "import inspect, sys, modeling_sigma, transformers.modeling_utils as module; "
        "print(type(module.__loader__).__name__, inspect.getsource(module.PreTrainedModel)[:21], "
        "any(type(f).__name__ == '_Watcher' for f in sys.meta_path))"
    )
    assert run(code) == "SourceFileLoader class PreTrainedModel False"
