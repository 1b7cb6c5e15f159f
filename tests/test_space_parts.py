"""What the web demo says about models, answers, and signs of one's own: without a page, and without gradio."""

import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modeling_sigma import (
    SigmaFeatureExtractor,
    SigmaForSequenceClassification,
    SigmaModel,
    load_pipeline,
    save_bundle,
)
from modeling_sigma.model.calibration_sigma import Calibration
from modeling_sigma.model.pose_clip import PoseClip
from tests.factories import random_clip, tiny_model, tiny_processor


SPACE = Path(__file__).parents[1] / "examples" / "space"
SHIPPED = Path(__file__).parents[1] / "checkpoints" / "sigma-wlasl-hands"
LABELS = {0: "hello", 1: "rain", 2: "snow"}


@pytest.fixture(scope="module", autouse=True)
def _modules_of_the_space() -> Iterator[None]:
    sys.path.insert(0, str(SPACE))
    yield
    sys.path.remove(str(SPACE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated label head, the same without calibration, and a model that compares."""
    path = tmp_path_factory.mktemp("models")
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=3, id2label=LABELS)
    save_bundle(head, SigmaFeatureExtractor(), path / "plain")
    head.config.calibration = Calibration(1.0, -100.0, 0.0, 0.05, [0.5, 0.9], [0.4, 0.01], "clips", 50).as_dict()
    save_bundle(head, SigmaFeatureExtractor(), path / "calibrated")
    save_bundle(tiny_model(SigmaModel), tiny_processor(), path / "compares")
    return path


def _with_calibration(folder: Path, name: str, **changes: float) -> Path:
    """A copy of the calibrated model with other thresholds."""
    import shutil

    target = folder / name
    shutil.copytree(folder / "calibrated", target)
    config = json.loads((target / "config.json").read_text())
    config["calibration"].update(changes)
    (target / "config.json").write_text(json.dumps(config))
    return target


def test_the_shipped_model_says_what_it_knows() -> None:
    from about_model import about
    from model_profile import profile_of

    profile = profile_of("American signs", str(SHIPPED))
    assert profile.question == "Which sign is this?" and len(profile.labels) == 2000
    assert profile.parts == ("hands",) and 0.9 in profile.coverages
    assert not profile.takes_language and not profile.takes_texts, "only the controls that act on the model"
    said = about(profile)
    assert "2,000 words of American Sign Language" in said and "hands alone" in said
    assert "about 100 people of sign language teaching websites" in said and "cc-by-nc-4.0" in said
    assert "38 of 100" in said and str(SHIPPED) not in said


def test_controls_belong_to_the_model(folder: Path, tmp_path: Path) -> None:
    from about_model import about
    from model_profile import profile_of

    compares = profile_of("compares", str(folder / "compares"))
    assert compares.needs_texts and compares.takes_texts and not compares.coverages
    assert not profile_of("plain", str(folder / "plain")).coverages
    (tmp_path / "empty").mkdir()
    broken = profile_of("broken", str(tmp_path / "empty"))
    assert "no config.json" in broken.problem and str(tmp_path) not in broken.problem
    assert 'role="alert"' in about(broken)


def test_examples_belong_to_the_model(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from model_examples import example_files

    from modeling_sigma.io import save_clip

    (tmp_path / "copies").mkdir()
    assert example_files("American signs", str(SHIPPED), tmp_path / "copies") == [], (
        "none rather than a misleading one"
    )
    (tmp_path / "demo").mkdir()
    save_clip(tmp_path / "demo" / "unseen_clip.npz", random_clip(4))
    (found,) = example_files("Demo", str(tmp_path / "demo"), tmp_path / "copies")
    assert Path(found).parent.parent == tmp_path / "copies"
    monkeypatch.setenv("SIGMA_EXAMPLES", f"American signs={tmp_path / 'demo'}")
    assert len(example_files("American signs", str(SHIPPED), tmp_path / "copies")) == 1


def test_scores_are_shown_only_as_calibrated(folder: Path) -> None:
    from answers import Answerer

    clip = random_clip(12)
    plain = Answerer(str(folder / "plain")).answer(clip, "English")
    assert "%" not in plain.result and "first guess" in plain.result and not plain.plain["is_calibrated"]
    calibrated = Answerer(str(folder / "calibrated")).answer(clip, "English", coverage=0.9)
    assert "%" in calibrated.result and "in 10 answers like this one are right" in calibrated.result
    listed = load_pipeline(folder / "calibrated", device="cpu")(clip, prediction_set=0.9)
    assert calibrated.plain["prediction_set"]["labels"] == [one["label"] for one in listed]


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("knows nothing", {"known_threshold": 100.0}, "Not sure. This looks like no sign that it knows."),
        ("sees all still", {"movement_threshold": 100.0}, "Nobody seems to sign."),
        ("is unsure", {"temperature": 1000.0}, "Not sure. It may be one of these."),
        ("is sure", {"temperature": 0.001}, "Probably: "),
    ],
)
def test_it_says_in_words_how_sure_it_is(name: str, changes: dict[str, float], said: str, folder: Path) -> None:
    from answers import Answerer

    answer = Answerer(str(_with_calibration(folder, name, **changes))).answer(random_clip(12), "English")
    assert said in answer.result
    if name == "is sure":
        assert answer.captions.startswith("Probably: "), "the picture is no surer than the words beside it"
    assert ("Its best guesses" in answer.result) == (name != "sees all still"), "still hands get no words at all"


def test_nobody_is_told_in_words(folder: Path) -> None:
    from answers import Answerer

    nobody = PoseClip(np.zeros((5, 133, 2)), np.zeros((5, 133)))
    with pytest.raises(ValueError, match="Nobody was found in this clip"):
        Answerer(str(folder / "plain")).answer(nobody, "English")


def test_names_of_layouts_are_not_for_visitors() -> None:
    from worker import in_plain_words

    from modeling_sigma.model.extractor_checks import foreign_keypoints

    clip = replace(random_clip(4), estimator="one (1.0)")
    for warning in (foreign_keypoints(clip, "hands_42", None), foreign_keypoints(clip, clip.layout, "another")):
        assert warning and in_plain_words(warning).startswith("this model has learnt from skeletons")
    assert in_plain_words("the clip is short") == "the clip is short"


def test_every_visitor_is_warned() -> None:
    import warnings

    from transformers.utils import logging
    from worker import noted_warnings

    logger = logging.get_logger("modeling_sigma.model.feature_extraction_sigma")
    for _ in range(2):
        with noted_warnings() as said:
            logger.warning_once("this model reads hands")
            warnings.warn("a warning", stacklevel=1)
        assert said == ["this model reads hands", "a warning"]


@pytest.fixture
def pipe(folder: Path) -> Any:
    return load_pipeline(folder / "plain", "sign-feature-extraction", "cpu")


def test_a_sign_is_taught_found_taken_home_and_forgotten(pipe: Any, tmp_path: Path) -> None:
    import session_signs

    signs, visit = tmp_path / "signs", tmp_path / "visit"
    visit.mkdir()
    house, rain = random_clip(12), random_clip(12, seed=5)
    assert session_signs.find(signs, pipe, house) == ""
    assert session_signs.teach(signs, pipe, " my  house ", house) == "Taught “my house”."
    session_signs.teach(signs, pipe, "rain", rain)
    assert session_signs.labels(signs) == [("my house", 1), ("rain", 1)]
    found = session_signs.find(signs, pipe, house)
    assert found.index("my house") < found.index("rain") and "With so few signs" in found
    with pytest.raises(ValueError, match="What does the sign mean"):
        session_signs.teach(signs, pipe, "  ", house)
    archive = session_signs.pack(signs, visit, pipe, "American signs")
    with zipfile.ZipFile(archive) as opened:
        facts = json.loads(opened.read("my-signs/dictionary.json"))
    assert facts["model"] == "American signs" and str(tmp_path) not in json.dumps(facts), "no paths of the server"
    session_signs.forget(signs, pipe, "my house")
    assert session_signs.labels(signs) == [("rain", 1)]
    assert "Loaded 2 signs" in session_signs.unpack(signs, pipe, archive)
    assert session_signs.labels(signs) == [("my house", 1), ("rain", 1)]


def test_what_is_no_dictionary_of_this_model_is_refused(pipe: Any, folder: Path, tmp_path: Path) -> None:
    import session_signs

    signs = tmp_path / "signs"
    (tmp_path / "a.zip").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="expected a dictionary as a .zip file"):
        session_signs.unpack(signs, pipe, str(tmp_path / "a.zip"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("../../dictionary.json", "{}")
    with pytest.raises(ValueError, match="expected dictionary.json and embeddings.safetensors"):
        session_signs.unpack(signs, pipe, str(tmp_path / "b.zip"))
    other = load_pipeline(folder / "compares", "sign-feature-extraction", "cpu")
    session_signs.teach(tmp_path / "other", other, "house", random_clip(12))
    archive = session_signs.pack(tmp_path / "other", tmp_path, other, "other")
    with pytest.raises(ValueError, match="other weights"):
        session_signs.unpack(signs, pipe, archive)
    assert not signs.exists()


@pytest.mark.parametrize(
    ("missing", "failing", "said"),
    [
        (["mediapipe"], False, 'pip install -e ".[video]"'),
        ([], True, "could not be put together here"),
        ([], False, ""),
    ],
)
def test_videos_are_offered_only_where_they_can_be_read(
    missing: list[str], failing: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import video_reading

    from modeling_sigma.extraction import holistic_model

    def assemble() -> Path:
        if failing:
            raise ValueError("pip could not download mediapipe")
        return Path("model")

    monkeypatch.delenv("SIGMA_VIDEOS", raising=False)
    monkeypatch.setattr(video_reading, "find_spec", lambda name: None if name in missing else object())
    monkeypatch.setattr(holistic_model, "holistic_model", assemble)
    found = video_reading.why_no_videos()
    assert said in found and bool(found) == bool(said)
    monkeypatch.setenv("SIGMA_VIDEOS", "0")
    assert "switched off" in video_reading.why_no_videos()
