"""Label groups: made of twins in train, written by the audit, and scored by; the figures of WLASL-hands."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_audit_dataset import moving, row

from datasets_scripts.auditing.audit import audit_dataset
from datasets_scripts.auditing.label_groups import recording_key
from datasets_scripts.schema import decode_clip
from modeling_sigma.cli import main as cli
from modeling_sigma.metrics import LabelGroups, label_group_scores
from modeling_sigma.model.pose_clip import PoseClip


def isolated(number: int, text: str, split: str = "train", motion: int | None = None) -> dict[str, Any]:
    return row(number, split, moving(number if motion is None else motion), text=text, gloss=())


def rows_with_twins() -> dict[str, list[dict[str, Any]]]:
    """One train recording under a and b, another under b and c, a third twice under a; two twins in test."""
    return {
        "train": [
            isolated(0, "angel"),
            isolated(1, "fairy", motion=0),
            isolated(2, "fairy"),
            isolated(3, "ghost", motion=2),
            isolated(4, "angel"),
            isolated(5, "angel", motion=4),
            isolated(6, "book"),
        ],
        "test": [
            isolated(7, "book", "test", motion=6),
            isolated(8, "ghost", "test", motion=0),
            isolated(9, "book", "test"),
            isolated(10, "angel", "test"),
        ],
    }


def test_the_audit_makes_groups_from_train_alone() -> None:
    report = audit_dataset(rows_with_twins(), task="islr", name="train of angels")
    assert report["label_groups"] == {
        "source": "train of angels",
        "groups": [["angel", "fairy"], ["fairy", "ghost"]],  # angel is no ghost
        "twins": {"test": ["clip7", "clip8"]},
    }
    checks = report["checks"]
    assert [example["clips"] for example in checks["one_recording_two_labels"]["examples"]] == [
        "clip0, clip1", "clip2, clip3"
    ]  # fmt: skip
    assert [example["clip"] for example in checks["train_twins"]["examples"]] == ["clip7", "clip8"]
    assert checks["train_twins"]["examples"][1]["in train"] == "clip0 'angel', clip1 'fairy'"
    sentences = audit_dataset(rows_with_twins(), task="slt")
    assert "label_groups" not in sentences and sentences["checks"]["one_recording_two_labels"]["num_findings"] is None
    assert sentences["checks"]["train_twins"]["num_findings"] == 2


def test_only_identical_clips_that_show_something_are_twins() -> None:
    clip = decode_clip(isolated(1, "a"))
    moved = clip.keypoints.copy()
    moved[3, 20] += 1
    assert recording_key(clip) == recording_key(decode_clip(isolated(1, "b", "test")))
    assert recording_key(clip) != recording_key(PoseClip(moved, clip.scores, clip.layout))
    assert recording_key(clip) != recording_key(clip.frames(slice(1, None)))
    assert recording_key(PoseClip(np.zeros((4, 69, 2)), np.zeros((4, 69)), "sigma_69")) is None


GROUPS = LabelGroups("train of angels", (("angel", "fairy"), ("fairy", "ghost")), {"test": ("2", "5")})


def test_scores_by_hand() -> None:
    predictions = [["fairy", "book"], ["ghost", "angel"], ["ghost", "fairy"], ["book", "ghost"], ["book", "angel"]]
    references = ["angel", "angel", "fairy", "fairy", "book"]
    scores = label_group_scores(predictions, references, GROUPS, ["1", "2", "3", "4", "5"])
    # Right by groups: 1 (fairy for angel), 3 (ghost for fairy), 5; not 2: a ghost is no angel.
    assert scores["label_groups"]["top1_per_instance"] == pytest.approx(60)
    assert scores["label_groups"]["top5_per_instance"] == pytest.approx(100)
    assert scores["label_groups"]["top1_per_class"] == pytest.approx((50 + 50 + 100) / 3)
    assert scores["label_groups"]["num_samples"] == 5
    assert scores["without_twins"]["top1_per_instance"] == 0 and scores["without_twins"]["num_samples"] == 3
    assert scores["without_twins"]["top5_per_instance"] == pytest.approx(100 / 3)
    assert scores["label_groups_without_twins"]["top1_per_instance"] == pytest.approx(200 / 3)
    assert set(label_group_scores(predictions, references, GROUPS)) == {"label_groups"}


def test_signatures_say_where_the_groups_come_from() -> None:
    scores = label_group_scores(["fairy"], ["angel"], GROUPS, ["1"], num_bootstrap=20)
    signature = scores["label_groups"]["signature"]
    assert f"match:label-groups|groups:train of angels@{GROUPS.digest}|bootstrap:20@12345" in signature
    assert "match:exact" in scores["without_twins"]["signature"]
    assert "twins:left-out" in scores["label_groups_without_twins"]["signature"]
    assert scores["label_groups"]["intervals"]["top1_per_instance"] == (100.0, 100.0)
    assert LabelGroups("", (("angel", "fairy"),), GROUPS.twins).digest != GROUPS.digest


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected samples that are not in train too, received none"):
        label_group_scores(["a", "b"], ["a", "b"], GROUPS, ["2", "5"])
    with pytest.raises(ValueError, match="expected one prediction for each of 2 references, received 1"):
        label_group_scores(["a"], ["a", "b"], GROUPS)
    path = tmp_path / "groups.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="expected label groups with source, groups, twins: make them with"):
        LabelGroups.load(path)
    path.write_text("no")
    with pytest.raises(ValueError, match="groups.json: expected JSON"):
        LabelGroups.load(path)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from datasets import Dataset

    from datasets_scripts.schema import features

    folder = tmp_path / "signs"
    folder.mkdir()
    for split, part in rows_with_twins().items():
        Dataset.from_list(part, features=features()).to_parquet(str(folder / f"{split}.parquet"))
    groups, entries = tmp_path / "groups.json", tmp_path / "predictions.json"
    assert cli.main(["audit-dataset", str(folder), "--task", "islr", "--label-groups", str(groups)]) == 0
    loaded = LabelGroups.load(groups)
    assert loaded.source == "train of signs" and loaded.twins == {"test": ("clip7", "clip8")}
    assert cli.main(["audit-dataset", str(folder), "--task", "slt", "--label-groups", str(groups)]) == 1
    capsys.readouterr()
    answers = [("clip7", "fairy", "book"), ("clip8", "fairy", "ghost"), ("clip9", "book", "book")]
    answers.append(("clip10", "fairy", "angel"))
    entries.write_text(json.dumps([{"sample_id": i, "prediction": p, "reference": r} for i, p, r in answers]))
    files = ["--predictions", str(entries), "--references", str(entries), "--label-groups", str(groups)]
    assert cli.main(["evaluate", "--task", "islr", *files, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["top1_per_instance"] == 25
    scores = {name: part["top1_per_instance"] for name, part in report["by_label_groups"].items()}
    assert scores == {"label_groups": 75, "without_twins": 50, "label_groups_without_twins": 100}
    assert cli.main(["evaluate", "--task", "islr", *files, "--bootstrap", "10"]) == 0
    text = capsys.readouterr().out
    assert "label groups without twins (2 samples)" in text and "groups:train of signs@" in text
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--task", "slt", *files])
    assert "--label-groups belongs to --task islr" in capsys.readouterr().err


@pytest.mark.data
def test_the_protocols_figures_of_wlasl_hands(shared_data: Path, tmp_path: Path) -> None:
    """By the detector's own arrays; the audit's way over built clips gives the same groups."""
    from datasets_scripts.wlasl_hands import WlaslHands, read_detections

    folder = shared_data / "wlasl_hands"
    keys: dict[str, list[bytes | None]] = {}
    for split in ("train", "validation", "test"):
        detections = read_detections(folder, "wlasl2000", split)
        keys[split] = [clip.tobytes() if np.isfinite(clip).any() else None for clip in detections]
    train = set(keys["train"]) - {None}
    assert [len(found) for found in keys.values()] == [8313, 2253, 1414]
    assert sum(key in train for key in keys["validation"]) == 237
    assert sum(key in train for key in keys["test"]) == 125
    words: dict[bytes | None, set[str]] = {}
    entries = WlaslHands(data_dir=folder, cache_dir=tmp_path).list_clips("train")
    for key, entry in zip(keys["train"], entries, strict=True):
        words.setdefault(key, set()).add(entry.text)
    assert sum(len(words[key]) > 1 for key in keys["train"]) == 909
    assert len(set().union(*(group for group in words.values() if len(group) > 1))) == 617
