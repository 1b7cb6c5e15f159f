"""Settings and fixtures of all tests: offline, on the CPU, with shared data only where it is present."""

import multiprocessing
import os
from pathlib import Path

import pytest


# Before anything imports the libraries that read them; subprocesses inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run side by side
os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


# Marks of the suites that `peer_suites` brings.
PEER_MARKS = ("accelerate_tests", "flash_attn_test", "flash_attn_3_test", "flash_attn_4_test", "torch_compile_test")


def pytest_configure(config: pytest.Config) -> None:
    for mark in PEER_MARKS:
        config.addinivalue_line("markers", f"{mark}: set by the common tests of transformers")
    # `-m gpu` keeps the devices; every other run takes the CPU, also on a machine that has one.
    if "not gpu" in config.getoption("markexpr") or "gpu" not in config.getoption("markexpr"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Collecting them brings whole suites, which a run without slow tests does not need.
    chosen = config.getoption("markexpr")
    is_slow_run = "slow" in chosen and "not slow" not in chosen
    return True if collection_path.name.startswith("test_peer_") and not is_slow_run else None


def _shared_folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs ../shared/{name}, which is not part of the project")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data for development (mark such tests with `data`)."""
    return _shared_folder("data")


@pytest.fixture(scope="session")
def goldens() -> Path:
    """The folder of reference numbers."""
    return _shared_folder("goldens")


def pytest_sessionfinish() -> None:
    # The interpreter waits for its child processes; one that hangs has failed a test already.
    for process in multiprocessing.active_children():
        process.kill()
