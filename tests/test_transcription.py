"""From recordings to annotations: where signs are, the pipeline, many files into a folder, picture and page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import tiny_model, tiny_processor

from modeling_sigma import SigmaFeatureExtractor, SigmaForCTC, SigmaForSequenceClassification, save_bundle
from modeling_sigma.cli.main import main
from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.inference.transcribed_files import Transcription, output_name, transcribe_files
from modeling_sigma.inference.transcription import Transcriber
from modeling_sigma.io import load_clip, save_clip
from modeling_sigma.io.annotations import Annotation, read_annotations
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.sign_windows_sigma import (
    WINDOW_SECONDS,
    best_windows,
    candidate_windows,
    evidence_of,
    runs_of,
    signing_stretches,
)
from modeling_sigma.viz.sign_timeline import clock, draw_sign_timeline
from modeling_sigma.viz.transcript_page import transcript_page


FPS = 10.0


def recording(*seen: tuple[int, bool], seed: int = 0, fps: float | None = FPS) -> PoseClip:
    """Runs of frames with and without hands."""
    flags = np.concatenate([np.full(count, flag) for count, flag in seen])
    rng = np.random.default_rng(seed)
    scores = np.repeat(flags[:, None].astype(float), 42, axis=1)
    return PoseClip(rng.uniform(10, 400, (len(flags), 42, 2)), scores, "hands_42", fps=fps)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A label head, a head with frame scores, and a model that writes; random weights."""
    hands = {"scale_reference": "hands", "fill_wrists": True, "max_frames": 8}
    made = {}
    for name, cls in (("labels", SigmaForSequenceClassification), ("frames", SigmaForCTC)):
        labels = {0: "-", 1: "KA", 2: "GA", 3: "KHA"}
        model = tiny_model(
            cls, use_prompt=False, num_labels=4, id2label=labels, label2id={v: k for k, v in labels.items()}
        )
        made[name] = save_bundle(model, SigmaFeatureExtractor(**hands), tmp_path_factory.mktemp(name))
    made["text"] = save_bundle(tiny_model(), tiny_processor(**hands), tmp_path_factory.mktemp("text"))
    return {name: Path(path) for name, path in made.items()}


# --- where signs are


def test_runs() -> None:
    assert runs_of(np.array([1, 1, 0, 1, 0, 0], bool)) == [(0, 2), (3, 4)]
    assert runs_of(np.array([False])) == runs_of(np.array([], bool)) == []


def test_signing_stretches_bridge_what_the_detector_loses() -> None:
    # Gaps of 2 frames (0.2 s) are bridged, 3 (0.3 s) are not; one frame alone (0.1 s) is no sign.
    clip = recording((5, False), (10, True), (2, False), (4, True), (3, False), (6, True), (9, False), (1, True))
    assert signing_stretches(clip) == [(5, 21), (24, 30)]
    assert signing_stretches(recording((8, False))) == []


def test_stretches_do_not_depend_on_how_much_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = recording((5, False), (10, True), (7, False), (14, True))
    whole = signing_stretches(clip)
    monkeypatch.setattr("modeling_sigma.model.sign_windows_sigma._BLOCK", 7)
    assert signing_stretches(clip) == whole


def test_candidate_windows() -> None:
    windows = candidate_windows(recording((5, False), (20, True), (5, False)))
    assert windows[0] == (5, 10) and (5, 25) in windows and windows[-1] == (20, 25)
    assert all(5 <= start < stop <= 25 for start, stop in windows) and windows == sorted(set(windows))
    sizes = {stop - start for start, stop in windows}
    assert sizes == {round(seconds * FPS) for seconds in WINDOW_SECONDS if seconds < 2} | {20}
    assert {start for start, stop in windows if stop - start == 10} == {5, 7, 9, 11, 13, 15}
    with pytest.raises(ValueError, match="expected a recording with a frame rate"):
        candidate_windows(recording((5, True), fps=None))


def test_evidence_by_hand() -> None:
    assert evidence_of(np.zeros((2, 7))).tolist() == [0, 0]
    assert evidence_of(np.log([[3.0, 1.0]]))[0] == pytest.approx(np.log(2))
    assert np.isfinite(evidence_of(np.array([[1000.0, -1000.0]]))).all()


def test_best_windows_by_hand() -> None:
    # 10 frames per second. Nine tenths of the windows have evidence 10 or less: a sign costs 3.
    windows = [(0, 10), (0, 5), (5, 10), (12, 22), (8, 14)]
    evidence = [10.0, 10.0, 10.0, 4.0, 9.0]
    # 10 - 3 = 7 for the whole, 2 + 2 for the halves; 4 - 3 = 1 for the other; 5.4 - 3 = 2.4 for what overlaps both.
    assert best_windows(windows, evidence, FPS) == [0, 3]
    assert best_windows(windows, [1.0, 10.0, 10.0, 2.0, 1.0], FPS) == [1, 2]
    assert best_windows([], [], FPS) == []
    assert best_windows([(0, 10)], [-1.0], FPS) == [] == best_windows([(0, 10)], [0.0], FPS)


def _best_of_all(windows: list[tuple[int, int]], gains: list[float], after: int = 0) -> float:
    choices = [gain + _best_of_all(windows, gains, b) for gain, (a, b) in zip(gains, windows) if a >= after]
    return max([0.0, *choices])


def test_best_windows_are_the_best_of_all_choices() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        starts = rng.integers(0, 20, 9)
        windows = [(int(a), int(a + n)) for a, n in zip(starts, rng.integers(2, 9, 9))]
        evidence = rng.uniform(-1, 5, 9)
        cost = 0.3 * np.quantile(evidence, 0.9)
        gains = [evidence[i] * (b - a) / FPS - cost for i, (a, b) in enumerate(windows)]

        chosen = best_windows(windows, evidence, FPS)
        assert all(windows[i][1] <= windows[j][0] for i, j in zip(chosen, chosen[1:]))
        assert sum(gains[i] for i in chosen) == pytest.approx(_best_of_all(windows, gains))


# --- the pipeline


def test_pipeline_finds_signs(models: dict[str, Path]) -> None:
    pipe = load_pipeline(models["labels"], "sign-transcription", "cpu")
    clips = [recording((10, False), (30, True), (10, False)), recording((15, True), seed=1)]
    calls: list[tuple[int, int]] = []
    found = pipe(clips[0], progress=lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1] == len(candidate_windows(clips[0]))
    for sign in found:
        assert 1 <= sign["start"] < sign["end"] <= 4 and sign["label"] in ("-", "KA", "GA", "KHA")
        scores = [guess["score"] for guess in sign["candidates"]]
        assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1, abs=1e-5)
        assert (sign["label"], sign["score"]) == tuple(sign["candidates"][0].values())
    both = pipe(clips, batch_size=3)
    assert [[sign["label"] for sign in signs] for signs in both] == [
        [sign["label"] for sign in found],
        [sign["label"] for sign in pipe(clips[1])],
    ]
    assert list(pipe(iter(clips)))[0][: len(found)] == pytest.approx(found) or len(both[0]) == len(found)
    some = pipe(clips[0], labels=["GA", "KHA"], top_k=1)
    assert {sign["label"] for sign in some} <= {"GA", "KHA"} and all(len(sign["candidates"]) == 1 for sign in some)


def test_pipeline_finds_glosses(models: dict[str, Path]) -> None:
    pipe = load_pipeline(models["frames"], "sign-transcription", "cpu")
    clip = recording((200, True))
    found = pipe(clip)
    times = [(sign["start"], sign["end"]) for sign in found]
    assert times == sorted(times) and all(0 <= start < end <= 20 for start, end in times)
    assert {sign["label"] for sign in found} <= {"KA", "GA", "KHA"}
    with pytest.raises(ValueError, match="expected labels of a label head"):
        pipe(clip, labels=["KA"])


def test_pipeline_refuses(models: dict[str, Path]) -> None:
    pipe = load_pipeline(models["labels"], "sign-transcription", "cpu")
    with pytest.raises(ValueError, match="somebody is seen"):
        pipe(recording((20, False)))
    assert pipe(recording((20, False)), allow_unseen=True) == []
    with pytest.raises(ValueError, match="frame rate"):
        pipe(recording((20, True), fps=None))
    with pytest.raises(ValueError, match="1 others, first 'GHA'"):
        pipe(recording((20, True)), labels=["GHA"])
    with pytest.raises(TypeError, match="num_beams"):
        pipe(recording((20, True)), num_beams=3)
    with pytest.raises(ValueError, match="expected a model for sign-transcription"):
        load_pipeline(models["text"], "sign-transcription", "cpu")


def test_transcriber_writes_sentences_where_a_model_writes(models: dict[str, Path]) -> None:
    model = Transcriber(models["text"], device="cpu")
    assert model.tier == "sentences" and model.vocabulary == ()
    found = model(recording((30, True)))
    assert all(row.tier == "sentences" and 0 <= row.start < row.end <= 3 for row in found)
    with pytest.raises(ValueError, match="expected labels with a model that names signs"):
        Transcriber(models["text"], labels=["KA"], device="cpu")
    assert Transcriber(models["frames"], device="cpu").vocabulary == ("KA", "GA", "KHA")


# --- many files


@pytest.fixture
def talks(tmp_path: Path) -> list[str]:
    paths = []
    for seed, name in enumerate(("one", "two")):
        paths.append(str(tmp_path / f"{name}.npz"))
        save_clip(paths[-1], recording((10, False), (25, True), (10, False), seed=seed))
    return paths


def transcribe(*args: str) -> int:
    return main(["transcribe", *args])


def test_command(
    models: dict[str, Path], talks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    formats = "eaf,srt,vtt,json,tsv,png,html"
    assert transcribe(*talks, "--model", str(models["labels"]), "--to", formats, "--out", str(out), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    names = {f"{name}.{kind}" for name in ("one", "two") for kind in formats.split(",")}
    assert {path.name for path in out.iterdir()} == {*names, "transcription.json"}
    assert [Path(row["recording"]).name for row in report["recordings"]] == ["one.npz", "two.npz"]
    found = read_annotations(out / "one.eaf")
    assert len(found.annotations) == report["recordings"][0]["num_annotations"]
    assert found.media == ("../one.npz",) and found.model == models["labels"].name
    assert found.vocabulary == ("-", "KA", "GA", "KHA")
    assert found.annotations == read_annotations(out / "one.json").annotations
    # Nothing to do: nothing is written.
    times = {path: path.stat().st_mtime_ns for path in out.iterdir() if path.name != "transcription.json"}
    assert transcribe(*talks, "--model", str(models["labels"]), "--to", "srt", "--out", str(out)) == 0
    assert times == {path: path.stat().st_mtime_ns for path in out.iterdir() if path.name != "transcription.json"}
    assert "one.npz: " in capsys.readouterr().out


def test_each_of_several_people_has_a_tier(
    models: dict[str, Path], talks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = load_clip(talks[0]), load_clip(talks[1])
    both = {
        "keypoints": np.stack([one.keypoints, other.keypoints + (900, 0) * (other.scores[..., None] > 0)], axis=1),
        "scores": np.stack([one.scores, other.scores], axis=1),
    }
    np.savez(tmp_path / "both.npz", **both, layout="hands_42", fps=FPS)
    options = [str(tmp_path / "both.npz"), "--model", str(models["frames"]), "--to", "eaf,json"]
    assert transcribe(*options, "--out", str(tmp_path / "out"), "--people", "4") == 0
    found = read_annotations(tmp_path / "out" / "both.eaf")
    tiers = {tier.name: tier.participant for tier in found.all_tiers()}
    assert {"signs, person 1": "person 1", "signs, person 2": "person 2"}.items() <= tiers.items()
    for number, person in enumerate("01", 1):
        assert transcribe(*options, "--out", str(tmp_path / f"one{person}"), "--person", person) == 0
        alone = read_annotations(tmp_path / f"one{person}" / "both.json").annotations
        named = replace_all(alone, tier=f"signs, person {number}", participant=f"person {number}")
        assert [one for one in found.annotations if one.participant == f"person {number}"] == named and named
    assert transcribe(*options, "--out", str(tmp_path / "no"), "--people", "2", "--person", "1") == 1
    (tmp_path / "film.mp4").write_bytes(b"")
    film = ["--model", str(models["frames"]), "--out", str(tmp_path / "film"), "--people", "2"]
    assert transcribe(str(tmp_path / "film.mp4"), *film) == 1
    assert "to tell several people apart, received a video" in capsys.readouterr().err


def replace_all(annotations: Any, **changes: Any) -> list[Annotation]:
    return [replace(one, **changes) for one in annotations]


def test_a_frame_rate_that_is_not_stated(
    models: dict[str, Path], talks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.npz"
    save_clip(bare, replace(load_clip(talks[0]), fps=None))
    arguments = [str(bare), "--model", str(models["frames"]), "--to", "json", "--out", str(tmp_path / "out")]
    assert transcribe(*arguments) == 1
    assert "set fps (--fps)" in capsys.readouterr().err
    fps = load_clip(talks[0]).fps
    assert transcribe(*arguments[:-1], str(tmp_path / "told"), "--fps", str(fps)) == 0
    assert transcribe(talks[0], *arguments[1:-1], str(tmp_path / "states")) == 0
    told, states = (read_annotations(tmp_path / name).annotations for name in ("told/bare.json", "states/one.json"))
    assert told == states and told


def test_corrected_transcripts_are_never_replaced(
    models: dict[str, Path], talks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = (*talks, "--model", str(models["labels"]), "--out", str(out))
    assert transcribe(*command) == 0
    (out / "one.eaf").write_text("corrected", encoding="utf-8")
    assert transcribe(*command) == 1
    assert (out / "one.eaf").read_text(encoding="utf-8") == "corrected"
    assert "one.eaf: somebody has changed this file" in capsys.readouterr().err
    # Nor is a file that was there before.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "two.eaf").write_text("mine", encoding="utf-8")
    assert transcribe(*talks, "--model", str(models["labels"]), "--out", str(elsewhere)) == 1
    assert (elsewhere / "two.eaf").read_text(encoding="utf-8") == "mine" and (elsewhere / "one.eaf").is_file()


class _Stopped(BaseException):  # as a keyboard interrupt
    pass


class _Model:
    """Names a sign of each recording, and is killed at the second of them."""

    tier, vocabulary = "signs", ("KA",)

    def __init__(self, calls: list[int], stop_at: int | None = None) -> None:
        self.calls, self.stop_at = calls, stop_at

    def __call__(self, clip: PoseClip, progress: Any) -> tuple[Annotation, ...]:
        self.calls.append(len(clip))
        if len(self.calls) == self.stop_at:
            raise _Stopped
        return (Annotation(1.0, 2.0, "KA", "signs"),)


def test_a_killed_run_is_resumed(talks: list[str], tmp_path: Path) -> None:
    job = Transcription(tuple(talks), tmp_path / "out", ("json", "srt"), "a-model", {"top_k": 5})
    calls: list[int] = []
    with pytest.raises(_Stopped):
        transcribe_files(job, lambda: _Model(calls, stop_at=2))
    assert (job.out_dir / "one.json").is_file() and not (job.out_dir / "two.json").exists()
    summary = transcribe_files(job, lambda: _Model(calls))
    assert len(calls) == 3, "the first recording was done"
    assert [row["num_annotations"] for row in summary["recordings"]] == [1, 1]
    assert not (job.out_dir / ".transcription").exists()
    # A recording that has changed is transcribed again, the other is not.
    save_clip(talks[0], recording((30, True)))
    transcribe_files(job, lambda: _Model(calls))
    assert calls == [45, 45, 45, 30]
    other = Transcription(tuple(talks), job.out_dir, ("json",), "another-model", {"top_k": 5})
    with pytest.raises(ValueError, match="now .*another-model.* are asked for: choose another folder"):
        transcribe_files(other, lambda: _Model(calls))


def test_one_bad_recording_does_not_stop_the_others(
    models: dict[str, Path], talks: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    save_clip(tmp_path / "nobody.npz", recording((20, False)))
    files = [str(tmp_path / "bad.npz"), str(tmp_path / "nobody.npz"), talks[0]]
    assert transcribe(*files, "--model", str(models["labels"]), "--out", str(tmp_path / "out")) == 1
    printed = capsys.readouterr()
    assert "2 of 3 recordings gave no transcript" in printed.err and "one.npz: " in printed.out
    assert "nobody.npz: expected a clip in which somebody is seen" in printed.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "docx"], "expected formats among eaf, srt"),
        (["--to", ","], "expected formats among eaf, srt"),
        (["--top-k", "0"], "expected --top-k of at least 1"),
        (["--fps", "0"], "expected --fps as frames per second"),
    ],
)
def test_options_are_checked(
    options: list[str], message: str, talks: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert transcribe(*talks, "--model", "no-model", *options) == 1
    assert message in capsys.readouterr().err


def test_names_of_output_files() -> None:
    assert output_name("a/talk.one.npz") == "talk.one" and output_name("a/many.pkl::clip/01") == "many-clip-01"
    with pytest.raises(ValueError, match="a/x.npz, b/x.npz would all become x.srt"):
        Transcription(("a/x.npz", "b/x.npz"), Path("out"), ("srt",), "m", {})


# --- picture and page


ROWS = (
    Annotation(0.0, 1.0, "KA", "signs", scores=(("KA", 0.9), ("GA", 0.1))),
    Annotation(1.0, 61.5, "</script><b>", "signs"),
    Annotation(3.0, 9.0, "今天", "sentences"),
)


def test_timeline_shows_each_sign_in_its_place() -> None:
    image = np.asarray(draw_sign_timeline(ROWS[:1], 10.0, width=428))
    panel, bar = image[20, 300], image[20, 15 + 10]
    assert (panel != bar).any(), "20 pixels a second: the first second differs from the rest"
    assert draw_sign_timeline(ROWS, 62.0, title="A talk", dark=True).height > draw_sign_timeline(ROWS, 19.0).height
    assert draw_sign_timeline((), 5.0).mode == "RGB"
    assert draw_sign_timeline(ROWS, 86_400.0).height < 20_000
    for seconds, text in ((0, "0:00"), (62.5, "1:02.5"), (86_399.96, "24:00:00")):
        assert clock(seconds) == text
    for duration, width in ((0.0, 400), (float("nan"), 400), (5.0, 100)):
        with pytest.raises(ValueError, match="expected"):
            draw_sign_timeline(ROWS, duration, width=width)


def test_page_holds_everything_and_loads_nothing() -> None:
    page = transcript_page(recording((30, True), (10, False)), ROWS, "A <talk> & more")
    assert "<h1>A &lt;talk&gt; &amp; more</h1>" in page and "{{" not in page
    assert "default-src 'none'" in page and not re.search(r"(src|href)=|https?://|url\(", page)
    assert page.count("</script>") == 2, "no sign can end the element that holds it"
    content = json.loads(page.split('id="content">')[1].split("</script>")[0])
    assert [row["value"] for row in content["annotations"]] == ["KA", "</script><b>", "今天"]
    assert content["duration"] == 4.0 and content["joints"] == 69
    assert "prefers-color-scheme: dark" in page and 'aria-live="polite"' in page
    with pytest.raises(ValueError, match="frame rate"):
        transcript_page(recording((30, True), fps=None), ROWS, "A talk")


def test_script_of_the_page_is_javascript(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    page = transcript_page(recording((30, True)), ROWS, "A talk")
    script = tmp_path / "page.js"
    script.write_text(page.split("<script>")[1].split("</script>")[0], encoding="utf-8")
    subprocess.run([node, "--check", str(script)], check=True)
