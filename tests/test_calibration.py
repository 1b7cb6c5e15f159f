"""What scores mean: the calibration in a configuration, how it is fitted, and how pipelines and commands use it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig

from datasets_scripts.schema import encode_sample, features
from modeling_sigma import SigmaFeatureExtractor, SigmaForSequenceClassification, load_pipeline, save_bundle
from modeling_sigma.cli import main as cli
from modeling_sigma.hub.card_facts import read_measurements
from modeling_sigma.hub.confidence_pictures import CONFIDENCE_PICTURES
from modeling_sigma.inference.calibration import (
    LabelScores,
    calibrate_model,
    fit_calibration,
    score_clips,
    store_calibration,
)
from modeling_sigma.inference.confidence_report import confidence_of_logits, confidence_of_texts, first_answers
from modeling_sigma.inference.corpus_predictions import CorpusPredictions
from modeling_sigma.io import save_clip
from modeling_sigma.metrics import LabelGroups
from modeling_sigma.model.calibration_sigma import (
    NOT_KNOWN,
    NOT_MOVING,
    Calibration,
    calibrated_answers,
    knownness,
    movement,
    probabilities_of,
)
from modeling_sigma.model.configuration_sigma import SigmaConfig
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.sequence_score_sigma import sequence_scores
from modeling_sigma.training.arguments import DataArguments, ModelArguments
from modeling_sigma.training.model_building import build_model
from modeling_sigma.training.run.training_run import run_training
from modeling_sigma.training.task import choose_task
from tests.factories import random_clips, tiny_model, tiny_processor
from tests.training_factories import tiny_arguments, tiny_rows


SIZES = {
    "text_config": {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4},
    "pose_config": {"joint_hidden_size": 8, "spatial_hidden_sizes": [8], "temporal_hidden_sizes": [16]},
    "fusion_layers": 1,
    "max_frames": 16,
    "use_prompt": False,
}
LABELS = {0: "hello", 1: "rain", 2: "snow"}
CALIBRATION = Calibration(
    temperature=2.0,
    known_threshold=-10.0,
    movement_threshold=0.001,
    false_alarm_rate=0.05,
    set_coverages=[0.8, 0.9],
    set_thresholds=[0.4, 0.1],
    fitted_on="signs, validation",
    num_clips=40,
)


def changed(**fields: Any) -> dict[str, Any]:
    return {**CALIBRATION.as_dict(), **fields}


# --- the configuration


def test_a_calibration_travels_with_the_configuration(tmp_path: Path) -> None:
    config = SigmaConfig(calibration=CALIBRATION.as_dict())
    config.save_pretrained(tmp_path)
    for loaded in (SigmaConfig.from_pretrained(tmp_path), AutoConfig.from_pretrained(tmp_path)):
        assert Calibration.of_config(loaded) == CALIBRATION
    assert SigmaConfig().calibration is None and Calibration.of_config(SigmaConfig()) is None


def test_bundles_without_the_field_load(tmp_path: Path) -> None:
    SigmaConfig().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    fields = json.loads(path.read_text())
    del fields["calibration"]
    path.write_text(json.dumps(fields))
    assert SigmaConfig.from_pretrained(tmp_path).calibration is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": 0}, "expected temperature > 0, received 0"),
        ({"temperature": math.nan}, "temperature as a finite number"),
        ({"temperature": "hot"}, "temperature as a finite number"),
        ({"known_threshold": math.inf}, "known_threshold as a finite number"),
        ({"movement_threshold": None}, "movement_threshold as a finite number"),
        ({"false_alarm_rate": 1}, r"false_alarm_rate in \[0, 1\), received 1"),
        ({"set_coverages": "0.9"}, "set_coverages as a list of numbers"),
        ({"set_coverages": [0.9, 0.8]}, "rising set_coverages"),
        ({"set_coverages": [0.9]}, "rising set_coverages"),
        ({"set_coverages": [0.9, 90]}, "set_coverages between 0 and 1"),
        ({"set_thresholds": [0.1, "x"]}, "set_thresholds as a finite number"),
        ({"num_clips": 0}, "num_clips as an integer of at least 1"),
        ({"fitted_on": 3}, "fitted_on as a text"),
        ({"surprise": 1}, "received or missing: surprise"),
    ],
)
def test_values_are_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Calibration.from_dict(changed(**fields))
    with pytest.raises((ValueError, StrictDataclassError), match=message):
        SigmaConfig(calibration=changed(**fields))


@pytest.mark.parametrize("value", [[], "calibrated", 3, {"temperature": 1.0}, {}])
def test_something_else_is_no_calibration(value: Any) -> None:
    with pytest.raises(ValueError, match="expected calibration with false_alarm_rate"):
        Calibration.from_dict(value)


# --- the formulas


def test_probabilities_by_hand() -> None:
    logits = np.log([[1.0, 9.0]])
    assert probabilities_of(logits, 1.0)[0].tolist() == pytest.approx([0.1, 0.9])
    assert probabilities_of(logits, 2.0)[0].tolist() == pytest.approx([0.25, 0.75])  # square roots: 1 and 3
    assert probabilities_of(np.array([1e4, 0.0]), 1.0).tolist() == [1, 0]


def test_knownness_by_hand() -> None:
    assert knownness(np.log([1.0, 2.0, 5.0])) == pytest.approx(math.log(8))
    assert knownness(np.array([[1e4, 0.0], [0.0, 0.0]])).tolist() == pytest.approx([1e4, math.log(2)])


def test_movement_by_hand() -> None:
    values = np.zeros((1, 2, 69, 3))
    values[0, :, 0, 2] = 1  # a joint of the body that moves by 0.4 to the right: 0.2 from its mean each time
    values[0, 1, 0, 0] = 0.4
    values[0, :, 1, 2] = 1  # another that does not: the body's mean is half of that
    mask = np.ones((1, 2))
    assert movement(values, mask)[0] == pytest.approx(0.1)
    values[0, :, 9, 2] = 1  # a left hand that moves further, downwards
    values[0, 1, 9, 1] = 1.0
    assert movement(values, mask)[0] == pytest.approx(0.5)


def test_movement_sees_neither_padding_nor_hidden_joints_nor_the_mouth() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(1, 6, 69, 3))
    values[..., 2] = 1
    longer = np.concatenate([values, np.full((1, 3, 69, 3), 0.7)], axis=1)
    mask = np.array([[1] * 6 + [0] * 3])
    assert movement(longer, mask) == pytest.approx(movement(values, np.ones((1, 6))))
    hidden = values.copy()
    hidden[..., 2] = 0
    assert movement(hidden, np.ones((1, 6))).tolist() == [0]
    still = np.repeat(values[:, :1], 6, axis=1)
    still[:, :, 51:, :2] = values[:, :, 51:, :2]
    assert movement(still, np.ones((1, 6))) == pytest.approx(0, abs=1e-7)
    assert movement(values[:, :1], np.ones((1, 1))).tolist() == [0]  # one frame shows no movement


def test_answers_by_hand() -> None:
    logits = np.log([1.0, 9.0, 4.0])  # square roots 1, 3, 2: probabilities 1/6, 1/2, 1/3
    names = ["a", "b", "c"]
    answers = calibrated_answers(logits, 1.0, CALIBRATION, names, top_k=2)
    assert [(entry["label"], round(entry["score"], 6), entry["unknown"]) for entry in answers] == [
        ("b", 0.5, False), ("c", 0.333333, False)
    ]  # fmt: skip
    assert "reason" not in answers[0]

    def labels(**options: Any) -> list[str]:
        return [entry["label"] for entry in calibrated_answers(logits, 1.0, CALIBRATION, names, **options)]

    assert labels(top_k=1, prediction_set=0.8) == ["b"]  # 0.4 and more
    assert labels(top_k=1, prediction_set=0.9) == ["b", "c", "a"]  # 0.1 and more
    strict = Calibration.from_dict(changed(set_thresholds=[0.9, 0.8]))
    assert [
        entry["label"] for entry in calibrated_answers(logits, 1.0, strict, names, top_k=3, prediction_set=0.9)
    ] == ["b"]  # never empty
    some = calibrated_answers(logits, 1.0, CALIBRATION, ["c", "a"], [2, 0], top_k=5)
    assert [(entry["label"], round(entry["score"], 6)) for entry in some] == [("c", 0.666667), ("a", 0.333333)]


def test_what_is_unknown_is_said() -> None:
    logits = np.log([1.0, 9.0, 4.0])
    picky = Calibration.from_dict(changed(known_threshold=math.log(14) + 0.01, movement_threshold=0.1))
    assert picky.why_unknown(logits + 0.02, 0.1) is None
    assert picky.why_unknown(logits, 0.1) == NOT_KNOWN
    assert picky.why_unknown(logits + 0.02, 0.09) == NOT_MOVING
    answer = calibrated_answers(logits, 0.0, picky, "abc", top_k=1)[0]
    assert answer == {"label": "b", "score": pytest.approx(0.5), "unknown": True, "reason": NOT_MOVING}


# --- fitting


def scores_of(logits: np.ndarray, movements: np.ndarray | None = None) -> LabelScores:
    moves = np.linspace(0.1, 1, len(logits)) if movements is None else movements
    return LabelScores(logits.astype(np.float32), moves, np.ones(len(logits), bool))


def drawn_clips(num_clips: int, true_temperature: float, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Logits, and labels that were drawn from their softmax at a temperature."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=3.0, size=(num_clips, 10))
    chances = probabilities_of(logits, true_temperature)
    return logits, [f"label {generator.choice(10, p=row)}" for row in chances]


NAMES = [f"label {number}" for number in range(10)]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_again(temperature: float) -> None:
    logits, references = drawn_clips(4000, temperature)
    fitted = fit_calibration(scores_of(logits), references, NAMES, "drawn")
    assert fitted.temperature == pytest.approx(temperature, rel=0.06)
    assert (fitted.num_clips, fitted.fitted_on) == (4000, "drawn")
    before = confidence_of_logits(logits, references, NAMES, 1.0)["ece"]
    after = confidence_of_logits(logits, references, NAMES, fitted.temperature)["ece"]
    assert after < 2.5 and (temperature == 1.0 or after < before / 2)


def test_sets_cover_new_clips_and_thresholds_keep_their_rate() -> None:
    logits, references = drawn_clips(6000, 2.0)
    moves = np.random.default_rng(5).uniform(size=6000)
    fitted = fit_calibration(scores_of(logits[:3000], moves[:3000]), references[:3000], NAMES, "drawn")
    assert fitted.set_thresholds == sorted(fitted.set_thresholds, reverse=True)
    covered = {0.5: 0.0, 0.9: 0.0}
    num_unknown = num_still = 0
    for row in range(3000, 6000):
        for coverage in covered:
            answers = calibrated_answers(logits[row], 1.0, fitted, NAMES, top_k=1, prediction_set=coverage)
            covered[coverage] += (references[row] in {entry["label"] for entry in answers}) / 3000
        reason = fitted.why_unknown(logits[row], moves[row])
        num_unknown, num_still = num_unknown + (reason is not None), num_still + (reason == NOT_MOVING)
    assert covered[0.9] == pytest.approx(0.9, abs=0.02)
    assert covered[0.5] >= 0.48
    assert num_unknown / 3000 == pytest.approx(0.05, abs=0.015) and num_still / 3000 < 0.01
    assert fitted.false_alarm_rate == pytest.approx(0.05, abs=0.001)


def test_thresholds_by_hand() -> None:
    # 40 clips, 2 allowed to be refused (5 %); none for stillness (0.5 % of 40 is less than one clip).
    logits = np.stack([np.log([value, 1.0]) for value in range(40, 80)])
    fitted = fit_calibration(scores_of(logits), ["a"] * 40, ["a", "b"], "hand")
    assert fitted.known_threshold == pytest.approx(math.log(43), abs=1e-5)  # 41 and 42 lie below
    assert fitted.movement_threshold == pytest.approx(0.1)
    assert fitted.false_alarm_rate == pytest.approx(0.05)
    # Of 40 clips 4 may lie outside a set of 90 %: floor(41 * 0.1). It begins at the fourth.
    fourth = np.sort(probabilities_of(logits.astype(np.float32), fitted.temperature)[:, 0])[3]
    assert fitted.set_threshold(0.9) == pytest.approx(fourth)
    nobody = fit_calibration(scores_of(logits), ["a"] * 40, ["a", "b"], "hand", false_alarm_rate=0.0)
    assert nobody.false_alarm_rate == 0


def test_a_model_that_is_always_right_is_not_infinitely_sure() -> None:
    logits = np.eye(10)[np.arange(50) % 10] * 5
    references = [NAMES[row % 10] for row in range(50)]
    fitted = fit_calibration(scores_of(logits), references, NAMES, "easy")
    sure, right = first_answers(logits, references, NAMES, fitted.temperature)
    assert right.all() and 0.9 < sure.min() < 0.999


def test_few_clips_give_the_widest_sets() -> None:
    logits, references = drawn_clips(30, 1.0)
    fitted = fit_calibration(scores_of(logits), references, NAMES, "few", false_alarm_rate=0.9)
    assert fitted.set_threshold(0.95) > 0  # floor(31 * 0.05) = 1 clip
    assert fitted.temperature > 0


def test_clips_that_say_nothing_are_left_out() -> None:
    logits, references = drawn_clips(80, 1.0)
    whole = fit_calibration(scores_of(logits[:40]), references[:40], NAMES, "x")
    foreign = [*references[:40], *["Ünbekannt"] * 20, *references[60:]]
    seen = np.arange(80) < 60
    scores = LabelScores(logits.astype(np.float32), np.linspace(0.1, 1.0789, 80), seen)
    part = fit_calibration(scores, foreign, NAMES, "x")
    assert part.num_clips == 40 and part.temperature == whole.temperature
    assert part.set_thresholds == whole.set_thresholds


def test_labels_that_count_as_one() -> None:
    generator = np.random.default_rng(0)
    logits = np.repeat(generator.normal(scale=2, size=(500, 5)), 2, axis=1)  # labels 0 and 1 look alike, 2 and 3, ...
    references = [NAMES[2 * row.argmax() + generator.integers(2)] for row in logits[:, ::2]]
    logits[:, 1::2] -= 3.0  # although nobody can tell them apart, it is sure of the first
    accepted = {NAMES[number]: {NAMES[number - number % 2], NAMES[number - number % 2 + 1]} for number in range(10)}
    strict = fit_calibration(scores_of(logits), references, NAMES, "x")
    grouped = fit_calibration(scores_of(logits), references, NAMES, "x", accepted=accepted)
    assert grouped.temperature < 0.5 < 1.5 < strict.temperature
    sure, right = first_answers(logits, references, NAMES, grouped.temperature, accepted)
    assert right.all() and sure.mean() > 0.95 and sure.max() <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"references": ["label 0"] * 3}, "one label per clip, received 3 for 40"),
        ({"references": ["fog"] * 40}, "at least 30 clips .*, received 0"),
        ({"false_alarm_rate": 1.5}, "false alarm rate in"),
        ({"false_alarm_rate": -0.1}, "false alarm rate in"),
    ],
)
def test_what_cannot_be_fitted(change: dict[str, Any], message: str) -> None:
    logits, references = drawn_clips(40, 1.0)
    arguments: dict[str, Any] = {"references": references, "labels": NAMES, "fitted_on": "x", **change}
    with pytest.raises(ValueError, match=message):
        fit_calibration(scores_of(logits), **arguments)


# --- models, pipelines and commands


def still_clip() -> PoseClip:
    clip = random_clips((12,))[0]
    return clip.frames(np.zeros(12, int))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head without and with a calibration, clips, and a corpus with a validation split."""
    folder = tmp_path_factory.mktemp("calibration")
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, id2label=LABELS)
    save_bundle(head, SigmaFeatureExtractor(), folder / "plain")
    head.config.calibration = CALIBRATION.as_dict()
    save_bundle(head, SigmaFeatureExtractor(), folder / "calibrated")
    save_bundle(tiny_model(seed=1), tiny_processor(), folder / "writer")
    for row, clip in enumerate(random_clips((12, 7))):
        save_clip(folder / f"clip{row}.npz", clip)
    save_clip(folder / "still.npz", still_clip())
    clips = random_clips([10 + row % 7 for row in range(40)])
    rows = [
        encode_sample(
            clip, sample_id=f"v{row}", text=LABELS[row % 3], split="validation", sign_language="Synthetic",
            spoken_language="English", keep_layout=True,
        )
        for row, clip in enumerate(clips)
    ]  # fmt: skip
    (folder / "signs").mkdir()
    for split in ("validation", "test"):
        table = datasets.Dataset.from_list(rows, features=features())
        table.to_parquet(folder / "signs" / f"{split}-00000.parquet")
    LabelGroups("train", (("rain", "snow"),), {"test": ("v0", "v1")}).save(folder / "groups.json")
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_a_calibrated_pipeline() -> None:
    plain, calibrated = load_pipeline("plain", device="cpu"), load_pipeline("calibrated", device="cpu")
    clips = random_clips((12, 7))
    for before, after in zip(plain(clips, batch_size=2), calibrated(clips, batch_size=2)):
        assert all(set(entry) == {"label", "score"} for entry in before)
        assert [entry["label"] for entry in after] == [entry["label"] for entry in before]
        assert [entry["unknown"] for entry in after] == [False] * 3
        roots = np.sqrt([entry["score"] for entry in before])  # temperature 2
        assert [entry["score"] for entry in after] == pytest.approx((roots / roots.sum()).tolist(), abs=1e-5)
    some = calibrated(clips[0], labels=["snow", "rain"])
    assert sum(entry["score"] for entry in some) == pytest.approx(1) and len(some) == 2


def test_still_hands_are_not_answered() -> None:
    calibrated = load_pipeline("calibrated", device="cpu")
    assert {entry["reason"] for entry in calibrated(still_clip())} == {NOT_MOVING}
    calibrated.model.config.calibration = changed(known_threshold=1e6)
    assert {entry["reason"] for entry in calibrated(random_clips((12,))[0])} == {NOT_KNOWN}


def test_prediction_sets_of_a_pipeline() -> None:
    calibrated = load_pipeline("calibrated", device="cpu")
    clip = random_clips((12,))[0]
    everything = calibrated(clip)
    expected = [entry for entry in everything if entry["score"] >= 0.4] or everything[:1]
    assert calibrated(clip, prediction_set=0.8, top_k=1) == expected
    for value, message in (
        (0.85, "expected a prediction_set of 0.8, 0.9, received 0.85"),
        (90, "between 0 and 1, such as 0.9, received 90"),
        (True, "between 0 and 1"),
        ("most", "between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            calibrated(clip, prediction_set=value)
    with pytest.raises(ValueError, match="expected labels or prediction_set, received both"):
        calibrated(clip, prediction_set=0.9, labels=["snow", "rain"])
    with pytest.raises(ValueError, match="expected a calibrated model"):
        load_pipeline("plain", device="cpu")(clip, prediction_set=0.9)
    with pytest.raises(ValueError, match="expected a calibrated model"):
        load_pipeline("writer", "isolated-sign-recognition", "cpu")(clip, prediction_set=0.9, labels=["a", "b"])


def test_predict_says_what_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "--model", "calibrated", "clip0.npz", "still.npz"]) == 0
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert lines[0].startswith("clip0.npz\t") and lines[1] == f"still.npz\t({NOT_MOVING})"
    assert "not calibrated" not in output.err
    argv = ["predict", "--model", "calibrated", "clip0.npz", "still.npz", "--json", "--prediction-set", "0.9"]
    assert cli.main(argv) == 0
    known, still = json.loads(capsys.readouterr().out)
    assert known["unknown"] is False and "reason" not in known
    assert all(entry["score"] >= 0.1 and set(entry) == {"label", "score"} for entry in known["predictions"])
    assert (still["unknown"], still["reason"]) == (True, NOT_MOVING)


def test_predict_says_once_that_scores_are_not_calibrated(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "--model", "plain", "clip0.npz", "clip1.npz"]) == 0
    assert capsys.readouterr().err.count("not calibrated") == 1
    assert cli.main(["predict", "--model", "plain", "clip0.npz", "--prediction-set", "0.9"]) == 1
    assert "expected a calibrated model" in capsys.readouterr().err
    assert cli.main(["predict", "--model", "writer", "clip0.npz", "--prediction-set", "0.9"]) == 1
    assert "expected a model that ranks labels for a prediction set" in capsys.readouterr().err


def copied_model(target: Path) -> Path:
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, id2label=LABELS)
    return save_bundle(head, SigmaFeatureExtractor(), target, include_code=False)


def run_json(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert cli.main(["evaluate", "--task", "islr", *argv, "--json"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_one_command_calibrates_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(copied_model(tmp_path / "model"))
    argv = ("--model", model, "--dataset", "signs", "--calibrate", "--false-alarm-rate", "0.1")
    report = run_json(capsys, *argv)
    stored = load_pipeline(model, device="cpu").calibration
    assert stored == Calibration.from_dict(report["calibration"])
    assert (stored.fitted_on, stored.num_clips) == ("signs, validation", 40)
    assert stored.false_alarm_rate == pytest.approx(0.1)
    assert report["confidence"]["num_samples"] == report["num_samples"] == 40
    assert report["confidence"]["ece"] < report["confidence_before"]["ece"]
    grouped = run_json(capsys, *argv, "--label-groups", "groups.json")
    assert (
        "match:label-groups" in grouped["signature"]
        and grouped["confidence"]["accuracy"] > report["confidence"]["accuracy"]
    )
    evaluated = run_json(capsys, "--model", model, "--dataset", "signs", "--label-groups", "groups.json")
    assert evaluated["confidence"]["called_unknown"] == pytest.approx(10)
    assert evaluated["confidence_by_label_groups"]["accuracy"] == pytest.approx(grouped["confidence"]["accuracy"])
    assert evaluated["confidence_by_label_groups_without_twins"]["num_samples"] == 38
    (tmp_path / "model" / "results.json").unlink(missing_ok=True)
    added = run_json(capsys, "--model", model, "--dataset", "signs", "--add-to-card")
    stored_scores = read_measurements(tmp_path / "model" / "results.json")[0].scores
    assert stored_scores["ece"] == added["confidence"]["ece"] and "surest_half" in stored_scores
    for name in CONFIDENCE_PICTURES:
        assert (tmp_path / "model" / name).read_bytes().startswith(b"\x89PNG")
    assert cli.main(["evaluate", "--task", "islr", *argv]) == 0
    printed = capsys.readouterr().out
    assert "calibration (fitted on 40 clips of signs, validation)" in printed and "temperature" in printed


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--split", "test"], "--calibrate on test would deceive"),
        (["--split", "train"], "--calibrate on train would deceive"),
        (["--bootstrap", "10"], "does not take --bootstrap"),
        (["--add-to-card"], "does not take --add-to-card"),
        (["--task", "slt"], "--calibrate needs --task islr"),
    ],
)
def test_what_calibrate_refuses(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--task", "islr", "--model", "plain", "--dataset", "signs", "--calibrate", *argv])
    assert message in capsys.readouterr().err


def test_false_alarms_belong_to_calibrate(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--task", "islr", "--model", "plain", "--dataset", "signs", "--false-alarm-rate", "0.1"])
    assert "--false-alarm-rate belongs to --calibrate" in capsys.readouterr().err


def test_models_that_cannot_be_calibrated(tmp_path: Path) -> None:
    table = datasets.load_dataset("parquet", data_files="signs/validation-00000.parquet", split="train")
    with pytest.raises(ValueError, match="expected a model with a head for isolated signs, found SigmaForConditional"):
        calibrate_model("writer", table, "x")
    with pytest.raises(ValueError, match="expected the folder of a model"):
        calibrate_model("org/name", table, "x")
    with pytest.raises(ValueError, match="which writes text"):
        score_clips(load_pipeline("writer", device="cpu"), iter(random_clips()))
    with pytest.raises(ValueError, match="expected clips to run the model on"):
        score_clips(load_pipeline("plain", device="cpu"), iter(()))
    with pytest.raises(ValueError, match="at least 30 clips"):
        calibrate_model(copied_model(tmp_path / "model"), table.select(range(12)), "x")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["calibration"] is None


def test_storing_changes_nothing_else(tmp_path: Path) -> None:
    folder = copied_model(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    store_calibration(folder, CALIBRATION)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {"config.json"} and set(after) == set(before)
    fields, old = json.loads(after["config.json"]), json.loads(before["config.json"])
    assert fields.pop("calibration") == CALIBRATION.as_dict() and old.pop("calibration") is None and fields == old
    with pytest.raises(ValueError, match="found no config.json"):
        store_calibration(tmp_path / "empty", CALIBRATION)


def test_scores_do_not_depend_on_the_batch() -> None:
    predictor = load_pipeline("plain", device="cpu")
    clips = random_clips((12, 7, 9))
    single, together = (score_clips(predictor, iter(clips), size) for size in (1, 3))
    assert single.logits == pytest.approx(together.logits, abs=1e-5)
    assert single.movements == pytest.approx(together.movements)
    assert together.is_seen.all() and len(together.logits) == 3
    with torch.no_grad():
        expected = predictor.model(**predictor.extractor(clips[0])).logits
    assert single.logits[0] == pytest.approx(expected[0].numpy(), abs=1e-6)


@pytest.mark.parametrize("num_validation", [32, 8])
def test_a_training_run_ends_with_a_calibration(num_validation: int, tmp_path: Path, caplog: Any) -> None:
    args = tiny_arguments(tmp_path / "run", do_train=True, max_steps=2, per_device_eval_batch_size=16)
    splits = {"train": tiny_rows(8), "validation": tiny_rows(num_validation, "validation", 1)}
    task = choose_task("islr", "classification")
    with caplog.at_level("INFO"):
        run_training(task, splits, ModelArguments(model_config=dict(SIZES)), DataArguments(corpus=["my/signs"]), args)
    fitted = load_pipeline(tmp_path / "run", device="cpu").calibration
    if num_validation < 30:
        assert fitted is None and "scores are not calibrated: 8 validation clips, at least 30" in caplog.text
        return
    assert (fitted.num_clips, fitted.fitted_on) == (32, "signs, validation")
    assert "scores are calibrated on 32 validation clips" in caplog.text
    # Other weights have other scores: what is trained on is not calibrated any more.
    again = ModelArguments(model=str(tmp_path / "run"))
    assert build_model(again, task, splits["train"])[0].config.calibration is None


# --- texts


def test_sequence_scores_by_hand() -> None:
    model = tiny_model(seed=1)
    inputs = tiny_processor()(poses=random_clips((8, 5)), return_tensors="pt")
    inputs = {name: value for name, value in inputs.items() if not name.startswith("text")}
    end, start = model.config.text_config.eos_token_id, model.config.text_config.decoder_start_token_id
    texts = torch.tensor([[[start, 7, end, 0], [start, 9, 4, 5]], [[start, end, 0, 0], [start, 3, 3, end]]])
    with torch.no_grad():
        encoded = model.encode_poses(**inputs)
        scores = sequence_scores(model, encoded, texts)
        assert scores.shape == (2, 2)
        for clip, number, length in ((0, 0, 2), (0, 1, 3), (1, 0, 1), (1, 1, 3)):
            one = {name: value[clip : clip + 1] for name, value in inputs.items()}
            ids = texts[clip, number : number + 1]
            chances = model(**one, decoder_input_ids=ids[:, :-1]).logits.softmax(dim=-1)[0]
            product = math.prod(float(chances[place, ids[0, place + 1]]) for place in range(length))
            assert float(scores[clip, number]) == pytest.approx(product ** (1 / length), rel=1e-4)


def test_a_pipeline_scores_what_it_writes() -> None:
    translate = load_pipeline("writer", device="cpu")
    clips = random_clips((12, 7))
    options = {"max_new_tokens": 5, "num_beams": 2}
    plain, scored = translate(clips, **options), translate(clips, batch_size=2, return_scores=True, **options)
    assert [set(entry) for entry in plain] == [{"text"}] * 2 and [set(entry) for entry in scored] == [
        {"text", "score"}
    ] * 2
    assert [entry["text"] for entry in plain] == [entry["text"] for entry in scored]
    assert all(0 < entry["score"] < 1 for entry in scored)
    several = translate(clips[0], return_scores=True, num_return_sequences=2, **options)
    assert len(several) == 2 and several[0]["score"] == pytest.approx(scored[0]["score"], rel=1e-4)
    with pytest.raises(ValueError, match="expected return_scores as True or False, received 'yes'"):
        translate(clips[0], return_scores="yes")
    with pytest.raises(ValueError, match="expected return_scores or window_seconds, received both"):
        translate(clips[0], return_scores=True, window_seconds=1.0)


def test_confidence_of_texts_by_hand() -> None:
    texts = ["hello world", "good morning", "xx", ""]
    references = ["hello world", "good evening", "the weather", "rain"]
    found = CorpusPredictions(list("abcd"), texts, references, text_scores=[0.9, 0.5, 0.4, 0.1])
    report = confidence_of_texts(found)
    # chrF: 100, something between, and twice 0: scores rank the sentences as well as ties allow.
    assert report["chrf_rank_correlation"] == pytest.approx(94.868, abs=0.01)
    assert report["chrf_other_half"] == 0 and 50 < report["chrf_surest_half"] < 100
    turned = CorpusPredictions(list("abcd"), texts, references, text_scores=[0.1, 0.2, 0.3, 0.4])
    assert confidence_of_texts(turned)["chrf_rank_correlation"] == pytest.approx(-94.868, abs=0.01)
    one = confidence_of_texts(CorpusPredictions(["a"], ["x"], ["y"], text_scores=[0.1]))
    assert math.isnan(one["chrf_rank_correlation"]) and one["num_samples"] == 1
