"""Arguments of training: from files and the command line; every configuration that is shipped can be read."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from modeling_sigma.cli.main import main
from modeling_sigma.training.arguments import (
    AdapterArguments,
    ClipTrainingFields,
    DataArguments,
    ModelArguments,
    parse_arguments,
)
from modeling_sigma.training.data.corpus_splits import split_name
from modeling_sigma.training.run.run_folder import RunFolder, changed_fields
from modeling_sigma.training.task import choose_task
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CONFIGS = sorted((EXAMPLES / "configs").glob("*.yaml"))
LAUNCHERS = sorted((EXAMPLES / "accelerate").glob("*.yaml"))
CLASSES = (ModelArguments, DataArguments, SigmaTrainingArguments, AdapterArguments)


def _file(folder: Path, text: str) -> str:
    path = folder / "config.yaml"
    path.write_text(text)
    return str(path)


def test_command_line_wins_over_file_over_default(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "task: islr\ncorpus: wlasl:wlasl100\nlearning_rate: 3e-4\nnum_train_epochs: 5\nfreeze: [pose_encoder]\n"
        "model_config: {max_frames: 64}\nuse_cpu: true\n",
    )
    argv = [path, "--output_dir", str(tmp_path), "--num-train-epochs", "7", "--augmentation", '{"noise": 0.1}']
    model, data, args, _ = parse_arguments(CLASSES, argv)
    assert (data.task, data.corpus, data.augmentation) == ("islr", ["wlasl:wlasl100"], {"noise": 0.1})
    assert (args.learning_rate, args.num_train_epochs, args.freeze) == (3e-4, 7.0, ["pose_encoder"])
    assert (args.adam_epsilon, args.weight_decay, args.lr_scheduler_type.value) == (1e-9, 1e-4, "cosine")
    assert model.model_config == {"max_frames": 64}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learningrate: 1", "unknown field 'learningrate': did you mean learning_rate"),
        ("- a\n- b", "expected fields and values, received list"),
        ("a: [", "expected YAML"),
        ("model_config: 3", "expected model_config as names and values"),
        ("augmentation: '{'", "expected augmentation as names and values"),
        ("data_dir: [a, b, c]", "one data_dir, or one for each of 1 corpora, received 3"),
        ("resume: true\noverwrite: true", "expected resume or overwrite, received both"),
    ],
)
def test_mistakes_in_a_file_are_told(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        parse_arguments(CLASSES, [_file(tmp_path, text), "--output_dir", str(tmp_path), "--use_cpu", "true"])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations(path: Path, tmp_path: Path) -> None:
    """They parse, and those of the paper hold its hyper-parameters."""
    model, data, args, _ = parse_arguments(CLASSES, [str(path), "--output_dir", str(tmp_path), "--use_cpu", "true"])
    # The small recipes for glosses are as fast in float32, also where bfloat16 has no instructions.
    assert args.do_train and (args.bf16 or path.stem.endswith("_ctc"))
    assert path.name.startswith("lora") or model.model is None
    assert choose_task(data.task, model.head).kind.head in ("generation", "classification", "ctc")
    if model.text_model is not None:
        found = (args.learning_rate, args.adam_epsilon, args.weight_decay, args.lr_scheduler_type.value, args.seed)
        assert found == (1e-4, 1e-9, 1e-4, "cosine", 42)
        assert args.per_device_train_batch_size * args.gradient_accumulation_steps == 32
        assert (args.num_train_epochs, args.max_grad_norm, model.text_model) == (10, 1.0, "google/mt5-base")
        assert model.model_config["max_frames"] == (64 if "asl1000" in path.stem or "wlasl" in path.stem else 256)


def test_recorded_configuration_runs_again(tmp_path: Path) -> None:
    argv = [
        str(EXAMPLES / "configs" / "finetune_wlasl_hands.yaml"),
        "--output_dir",
        str(tmp_path),
        "--use_cpu",
        "true",
    ]
    first = parse_arguments(CLASSES, [*argv, "--seed", "3"])
    RunFolder(tmp_path).start(first, _tiny_module(), {"train": {"clips": 3}})
    recorded = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert recorded["seed"] == 3 and recorded["corpus"] == ["wlasl_hands:wlasl100"]
    again = parse_arguments(CLASSES, [str(tmp_path / "config.yaml")])
    assert [changed_fields(one) for one in again] == [changed_fields(one) for one in first]
    run = yaml.safe_load((tmp_path / "run.json").read_text())
    assert run["seed"] == 3 and run["data"] == {"train": {"clips": 3}} and run["versions"]["torch"]
    assert run["model"] == {"class": "Linear", "parameters": 6, "trainable": 6}


@pytest.mark.parametrize("text", ["{}", "none"])
def test_augmentation_can_be_switched_off(text: str, tmp_path: Path) -> None:
    """No augmentation is something else than no word about it, also when the run is repeated from its record."""
    argv = ["--output_dir", str(tmp_path), "--use_cpu", "true"]
    silent, off = parse_arguments(CLASSES, argv), parse_arguments(CLASSES, [*argv, "--augmentation", text])
    assert silent[1].augmentation is None and off[1].augmentation == {}
    for arguments, expected in ((silent, None), (off, {})):
        RunFolder(tmp_path).start(arguments, _tiny_module(), {})
        assert parse_arguments(CLASSES, [str(tmp_path / "config.yaml")])[1].augmentation == expected
    path = _file(tmp_path, f"augmentation: {text}\n")
    assert parse_arguments(CLASSES, [path, *argv])[1].augmentation == {}


def _tiny_module() -> object:
    from torch import nn

    return nn.Linear(2, 2)


def test_heads_serve_tasks(tmp_path: Path) -> None:
    assert choose_task("slt").kind.class_name == "SigmaForConditionalGeneration"
    assert choose_task("islr", "classification").kind.class_name == "SigmaForSequenceClassification"
    with pytest.raises(ValueError, match="expected task islr for the head classification, received slt"):
        choose_task("slt", "classification")
    with pytest.raises(ValueError, match="preset"):
        choose_task("slt", preset="nobody's")


def test_help_shows_our_fields_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, from the dataclasses that are parsed; transformers' own are a pointer."""
    for command, classes in (
        ("finetune", (ModelArguments, DataArguments, AdapterArguments, ClipTrainingFields)),
        ("pretrain", (ModelArguments, DataArguments, ClipTrainingFields)),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([command, "--help"])
        shown = capsys.readouterr().out
        assert stopped.value.code == 0 and "--help-all" in shown and "CONFIG.yaml" in shown
        assert set(re.findall(r"^  --(\w+)(?!-)", shown, flags=re.MULTILINE)) >= {
            field.name for cls in classes for field in fields(cls)
        }


def test_commands_pass_everything_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fields of transformers are fields; mistakes take one line."""
    assert main(["finetune", _file(tmp_path, "tusk: islr"), "--learning_rate", "1e-3"]) == 1
    assert "sigma-slu finetune: error:" in (shown := capsys.readouterr().err) and "did you mean task?" in shown
    words = ["--adapter", "lora", "--output_dir", str(tmp_path), "--use_cpu", "true", "--learning_rate", "1e-3"]
    assert main(["finetune", *words]) == 1
    assert "expected --model, the trained Sigma that the adapter changes" in capsys.readouterr().err


def test_names_of_corpora(tmp_path: Path) -> None:
    assert split_name("wlasl_hands:wlasl300") == ("wlasl_hands", "wlasl300")
    assert split_name("org/name") == ("org/name", None)
    assert split_name("org/name:small") == ("org/name", "small")
    assert split_name(str(tmp_path)) == (str(tmp_path), None)
    assert split_name("C:\\data\\signs") == ("C:\\data\\signs", None)


@pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: path.stem)
def test_launchers_are_what_they_say(path: Path) -> None:
    """`accelerate launch` reads each file, knows every field of it, and would start what its name says."""
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    config = load_config_from_file(str(path))  # refuses unknown fields
    parser = launch_command_parser()
    args, _, _ = _validate_launch_command(parser.parse_args(["--config_file", str(path), "examples/finetune.py"]))
    kinds = {"single_gpu_bf16": "", "two_cpu_processes": "multi_gpu", "multi_gpu": "multi_gpu",
             "fsdp": "use_fsdp", "deepspeed_zero2": "use_deepspeed"}  # fmt: skip
    chosen = [kind for kind in ("multi_gpu", "use_fsdp", "use_deepspeed") if getattr(args, kind)]
    assert chosen == ([kinds[path.stem]] if kinds[path.stem] else [])
    assert args.num_processes == {"single_gpu_bf16": 1, "two_cpu_processes": 2}.get(path.stem, 8)
    assert args.mixed_precision == ("no" if path.stem == "two_cpu_processes" else "bf16")
    assert bool(config.use_cpu) == (path.stem == "two_cpu_processes")


def test_fsdp_wraps_blocks_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin that accelerate makes of the file finds the blocks of the text backbone in our models."""
    import factories
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils import FullyShardedDataParallelPlugin
    from accelerate.utils.launch import prepare_multi_gpu_env

    argv = ["--config_file", str(EXAMPLES / "accelerate" / "fsdp.yaml"), "examples/finetune.py"]
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args(argv))
    for name, value in prepare_multi_gpu_env(args).items():
        if name.startswith(("FSDP_", "ACCELERATE_")):
            monkeypatch.setenv(name, str(value))
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    plugin.set_auto_wrap_policy(factories.tiny_model())
    assert plugin.auto_wrap_policy is not None
    assert plugin.transformer_cls_names_to_wrap == ["MT5Block"]


def test_zero2_fields_fit_deepspeed() -> None:
    """DeepSpeed itself is not needed: accelerate turns the fields into the sections that ZeRO-2 has."""
    config = yaml.safe_load((EXAMPLES / "accelerate" / "deepspeed_zero2.yaml").read_text())["deepspeed_config"]
    assert config["zero_stage"] == 2 and config["gradient_accumulation_steps"] == "auto"
    from accelerate.commands.launch import launch_command_parser

    known = {action.dest for action in launch_command_parser()._actions}
    assert set(config) <= known


def _documented_commands() -> list[list[str]]:
    pages = [EXAMPLES.parent / "README.md", *sorted((EXAMPLES.parent / "docs").glob("*.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    starts = ("python examples/", "accelerate launch", "sigma-slu pretrain", "sigma-slu finetune")
    return [shlex.split(line, comments=True) for line in lines if line.startswith(starts)]


@pytest.mark.parametrize("command", _documented_commands(), ids=lambda command: " ".join(command)[:60])
def test_documented_commands(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Files exist, launchers start as many processes as the text says, and scripts know every field."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    monkeypatch.chdir(EXAMPLES.parent)
    if command[0] == "accelerate":
        args, _, _ = _validate_launch_command(launch_command_parser().parse_args(command[2:]))
        processes = {"single_gpu_bf16": 1, "two_cpu_processes": 2}.get(Path(args.config_file).stem, 8)
        assert args.num_processes == processes * args.num_machines
        script, arguments = args.training_script, args.training_script_args
    elif command[0] == "sigma-slu":
        script, arguments = f"examples/{command[1]}.py", command[2:]
    else:
        assert command[0] == "python"
        script, arguments = command[1], command[2:]
    assert Path(script).is_file()
    if "quickstart" not in script:
        parse_arguments(CLASSES, [*arguments, "--use_cpu", "true"])


@pytest.mark.parametrize("command", ["pretrain", "finetune"])
def test_a_command_without_words_trains_nothing(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command])
    assert f"{command}: error: expected a CONFIG.yaml or --field value, received neither: " in capsys.readouterr().err


@pytest.mark.parametrize(("instructions", "warns"), [({"avx2": True}, True), ({"avx512_bf16": True}, False)])
def test_bf16_on_a_cpu_that_is_slow_at_it_is_said(
    instructions: dict[str, bool], warns: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: instructions, raising=False)
    monkeypatch.setattr("modeling_sigma.training.training_arguments.logger.warning_once", said.append)
    SigmaTrainingArguments(output_dir=str(tmp_path), bf16=True, use_cpu=True)
    assert ["float32" in line for line in said] == [True] * warns
