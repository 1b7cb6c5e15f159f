"""The audit finds every planted fault and nothing else, and says so to people and to programs."""

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from factories import tiny_tokenizer

from datasets_scripts.auditing.audit import AuditLimits, audit_dataset, format_audit
from datasets_scripts.building.build import build_dataset
from datasets_scripts.schema import encode_sample, features
from modeling_sigma.cli import main as cli
from modeling_sigma.model.pose_clip import PoseClip


def moving(seed: int, num_frames: int = 50) -> PoseClip:
    """A person whose hands move along a path of their own."""
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.normal(0, 10, (num_frames, 2, 1, 2)), axis=0)  # of either hand
    keypoints = rng.uniform(100, 300, (1, 133, 2)).repeat(num_frames, axis=0)
    for hand, start in enumerate((91, 112)):
        keypoints[:, start : start + 21] += steps[:, hand]
    return PoseClip(keypoints, np.ones((num_frames, 133)), fps=25, width=640, height=480)


def row(number: int, split: str = "train", clip: PoseClip | None = None, **fields) -> dict:
    values = {
        "sample_id": f"clip{number}",
        "text": f"sentence number {'abcdefghijklmnopqrstuvwxyz'[number % 26]} is about something",
        "gloss": ("SENTENCE", "NUMBER"),
        "signer_id": f"{split} signer",
        "sign_language": "Test Sign Language",
        "spoken_language": "English",
        **fields,
    }
    return encode_sample(clip or moving(number), split=split, **values)


def sound_rows() -> dict[str, list[dict]]:
    return {
        "train": [row(number) for number in range(20)],
        "test": [row(number, "test") for number in range(20, 26)],
    }


def found(report: dict) -> dict[str, int]:
    return {name: check["num_findings"] for name, check in report["checks"].items() if check["num_findings"]}


def test_a_sound_data_set_has_no_findings():
    report = audit_dataset(sound_rows(), tokenizer=None)
    assert found(report) == {} and report["num_findings"] == 0
    assert report["task"] == "slt" and report["num_clips"] == {"train": 20, "test": 6}
    assert report["checks"]["tokens"]["num_findings"] is None


def planted(name: str) -> tuple[dict[str, list[dict]], int]:
    rows = sound_rows()
    train, test = rows["train"], rows["test"]
    if name == "damaged_clips":
        train[3]["scores"] = train[3]["scores"][:-5]
    elif name == "repeated_ids":
        test[2]["sample_id"] = "clip7"
    elif name == "shared_texts":
        test[1]["text"] = train[4]["text"].upper() + " "
    elif name == "near_identical_motion":
        clip = moving(5)
        test[0] = row(20, "test", PoseClip(clip.keypoints * 0.5 + 30, clip.scores, width=320, height=240, fps=25))
    elif name == "shared_signers":
        test[0]["signer_id"] = "train signer"
    elif name == "empty_hands":
        clip = moving(50)
        scores = clip.scores.copy()
        scores[4:, 91:] = 0
        train[1] = row(1, clip=PoseClip(clip.keypoints, scores, fps=25))
    elif name == "no_body":
        clip = moving(51)
        scores = clip.scores.copy()
        scores[:, :91] = 0
        train[1] = row(1, clip=PoseClip(clip.keypoints, scores, fps=25))
    elif name == "lengths":
        train[1] = row(1, clip=moving(52, num_frames=7), text="short")
        train[2] = row(2, clip=moving(53, num_frames=300), text="a long sentence, " * 11 + "the end")
        return rows, 2
    elif name == "labels_longer_than_clips":
        train[1] = row(1, gloss=("A",) * 25)
    elif name == "pace":
        train[1] = row(1, text="I")
    elif name == "spellings":
        train[1] = row(1, gloss=("Sentence", "NUMBR"))
        return rows, 2
    elif name == "damaged_texts":
        train[1] = row(1, text="sentence donâ€™t be about something")
    return rows, 1


@pytest.mark.parametrize(
    "name",
    [
        *("damaged_clips", "repeated_ids", "shared_texts", "near_identical_motion", "shared_signers", "empty_hands"),
        *("no_body", "lengths", "labels_longer_than_clips", "pace", "spellings", "damaged_texts"),
    ],
)
def test_every_fault_is_found_and_nothing_else(name):
    rows, number = planted(name)
    report = audit_dataset(rows)
    side_effects = {"shared_texts": ["damaged_texts"]}  # upper case has spaces at its end
    expected = {name: number, **dict.fromkeys(side_effects.get(name, []), 1)}
    assert found(report) == expected
    check = report["checks"][name]
    assert len(check["examples"]) == number and check["advice"] and json.dumps(check)
    text = format_audit(report)
    assert check["title"] in text and check["advice"] in text
    if name not in ("spellings", "shared_texts", "shared_signers"):
        assert "clip" in str(check["examples"][0])


def test_what_is_far_apart_says_which_clips():
    rows, _ = planted("near_identical_motion")
    pair = audit_dataset(rows)["checks"]["near_identical_motion"]["examples"][0]
    assert pair["splits"] == "train, test" and pair["clips"] == "clip5, clip20" and pair["distance"] < 0.01


def test_isolated_signs_share_labels_between_splits():
    rows = {
        split: [row(number, split, text=("hello", "world")[number % 2], gloss=()) for number in numbers]
        for split, numbers in (("train", range(12)), ("test", range(12, 18)))
    }
    report = audit_dataset(rows)
    assert report["task"] == "islr" and report["checks"]["shared_texts"]["num_findings"] is None
    assert found(report) == {}
    rows["train"][0]["text"] = "Hello"
    spellings = audit_dataset(rows)["checks"]["spellings"]
    assert spellings["num_findings"] == 1 and "'hello'" in str(spellings["examples"])
    assert audit_dataset(rows, task="slt")["checks"]["shared_texts"]["num_findings"] == 2


def test_tokens():
    tokenizer = tiny_tokenizer()
    rows = {
        "train": [
            row(1, text="hello world"),
            row(2, text="hello Ж world"),
            row(3, text="the weather is nice today " * 30),
        ]
    }
    check = audit_dataset(rows, tokenizer=tokenizer)["checks"]["tokens"]
    examples = {example["clip"]: example for example in check["examples"]}
    assert set(examples) == {"clip2", "clip3"} and check["num_findings"] == 2
    assert examples["clip2"]["unknown"] == 1 and examples["clip2"]["characters"] == "Ж"
    assert examples["clip3"]["tokens"] > 50 and "characters" not in examples["clip3"]


def test_limits_and_arguments():
    rows = sound_rows()
    limits = AuditLimits(min_frames=60, num_examples=3)
    check = audit_dataset(rows, limits=limits)["checks"]["lengths"]
    assert check["num_findings"] == 26 and len(check["examples"]) == 3
    with pytest.raises(ValueError, match="expected task to be one of islr, cslr, slt, received 'dance'"):
        audit_dataset(rows, task="dance")
    with pytest.raises(ValueError, match="expected clips to audit, received none"):
        audit_dataset({"train": []})


def test_rows_as_datasets_gives_them(tmp_path):
    rows, _ = planted("near_identical_motion")
    loaded = DatasetDict({split: Dataset.from_list(part, features=features()) for split, part in rows.items()})
    assert audit_dataset(loaded) == audit_dataset(rows)
    assert audit_dataset(loaded.with_format("numpy")) == audit_dataset(rows)


def test_command_line(tmp_path, capsys):
    built = tmp_path / "built"
    build_dataset("synthetic", built, config_name="sentences", num_train=8, num_validation=2, num_test=2)
    out = tmp_path / "audit.json"
    assert cli.main(["audit-dataset", str(built), "--out", str(out)]) == 0
    assert "12 clips (train 8, validation 2, test 2), audited as slt" in capsys.readouterr().out
    tokenizer = tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    assert tokenizer
    arguments = ["--tokenizer", str(tmp_path / "tokenizer"), "--min-frames", "2000", "--strict", "--json"]
    assert cli.main(["audit-dataset", str(built), *arguments]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["checks"]["lengths"]["num_findings"] == 12 and report["checks"]["tokens"]["num_findings"] is not None
    assert json.loads(out.read_text())["num_clips"] == report["num_clips"]
    assert cli.main(["audit-dataset", "wlsal", "--data-dir", str(tmp_path)]) == 1
    assert "wlsal: no such folder, and no corpus has this name: did you mean wlasl?" in capsys.readouterr().err
    assert cli.main(["audit-dataset", str(built), "--data-dir", str(tmp_path)]) == 1
    assert "data_dir belongs to the corpora wlasl" in capsys.readouterr().err
    assert cli.main(["audit-dataset", str(Path(tmp_path, "nowhere"))]) == 1
    assert "nowhere: no such folder" in capsys.readouterr().err
