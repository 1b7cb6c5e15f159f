"""Secrets and paths of this machine, found and taken out of texts, commands and configurations."""

import os
from pathlib import Path

import pytest

from modeling_sigma.hub.bundle import remote_code_files
from modeling_sigma.hub.private_facts import (
    find_secrets,
    is_secret,
    public_command,
    public_fields,
    public_path,
    without_paths,
    without_secrets,
)


@pytest.mark.parametrize(
    "name",
    [
        "hub_token",
        "--hf-token",
        "token",
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "wandb_api_key",
        "apikey",
        "db_password",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name) and is_secret(name, "abcdefgh1234")
    assert not is_secret(name, "yes") and not is_secret(name, 3) and not is_secret(name, None or True)


@pytest.mark.parametrize(
    "name",
    ["pad_token", "eos_token", "max_new_tokens", "num_key_value_heads", "monkey", "keys", "author", "tokenizer"],
)
def test_names_of_other_things(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    "secret",
    [
        "hf_LEAKEDleaked0123456789",
        "ghp_0123456789abcdefghij",
        "sk-proj-0123456789abcdefghij",
        "AKIAIOSFODNN7EXAMPLE",
        "xoxb-012345678901-abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0",
        "Bearer abcdefghij0123456789",
        "https://ada:pass@host/x",
        "https://0123456789abcdefghij0@host/x",
        "https://host/x?access_token=abcdefgh1",
        "password = 'hunter22'",
        '"api_key": "abcd1234"',
        "HF_TOKEN=abcdefg123",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_secrets_are_found_in_texts(secret: str) -> None:
    ((line, start),) = find_secrets(f"first\nsecond {secret} and more")
    assert line == 2 and start.endswith("...") and len(start) == 6
    shown = without_secrets(f"before {secret} after")
    assert "***" in shown and shown.startswith("before ") and shown.endswith(" after")


@pytest.mark.parametrize("path", remote_code_files(), ids=lambda path: path.name)
def test_our_code_holds_none(path: Path) -> None:
    assert list(find_secrets(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "hf_hub_download of huggingface_hub, hf_config, task-specific-long-words-here",
        "token = config.pad_token_id; password = None; api_key=your_key",
        "https://huggingface.co/my-lab/sigma-slu and ada@host.org",
    ],
)
def test_words_are_no_secrets(text: str) -> None:
    assert list(find_secrets(text)) == [] and without_secrets(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see /home/ada/x/y.txt, or (/tmp/q/z.png)", "see y.txt, or (z.png)"),
        ("`/work/data/x` '/root/a'", "`x` 'a'"),
        ("path=/data/q/z", "path=z"),
        (r"C:\Users\ada\m\x.bin", "x.bin"),
        ("~/runs/x and file:///root/x", "x and x"),
        ("/home/ada and /Users/ada/", "~ and ~"),
        (
            "https://host/home/ada/x, and/or, /api, 3 / 4, /b/ph/",
            "https://host/home/ada/x, and/or, /api, 3 / 4, /b/ph/",
        ),
        ("../../up/x and my-lab/sigma-slu", "../../up/x and my-lab/sigma-slu"),
    ],
)
def test_paths_lose_their_folders(text: str, expected: str) -> None:
    assert without_paths(text) == expected


def test_a_path_within_the_working_directory_stays_below_it() -> None:
    assert public_path(os.path.join(os.getcwd(), "runs", "first")) == os.path.join("runs", "first")
    assert public_path("/elsewhere/runs/first") == "first" and public_path("runs/first") == "runs/first"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["/x/finetune.py", "--hub_token", "abc", "--lr", "1"], "finetune.py --hub_token *** --lr 1"),
        (["f", "--hub_token=abc", "--push_to_hub"], "f --hub_token=*** --push_to_hub"),
        (["f", "--token", "--verbose"], "f --token --verbose"),
        (["f", "--data", "https://ada:pw@host/x"], "f --data https://***@host/x"),
        (["f", "--data_dir", "/home/ada lovelace/corpus", "--out=/home/ada/out"], "f --data_dir corpus --out=out"),
        (["f", "--fields", '{"a": "/home/ada/x", "b": "hf_ABCDEF123456"}'], """f --fields '{"a": "x", "b": "***"}'"""),
        (["f", os.path.join(os.getcwd(), "runs/x")], "f runs/x"),
    ],
)
def test_commands_are_recorded_without_secrets(arguments: list[str], expected: str) -> None:
    assert public_command(arguments) == expected


def test_fields_are_recorded_without_secrets() -> None:
    fields = {
        "hub_token": "x", "lr": 1, "pad_token": "<pad>", "deep": [{"password": "y"}], "u": "https://a:b@host",
    }  # fmt: skip
    assert public_fields(fields) == {"lr": 1, "pad_token": "<pad>", "deep": [{}], "u": "https://***@host"}
