"""`pipeline(...)`: paths, clips, arrays and dicts, alone, in lists and generators, and batched."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, pipeline

from datasets_scripts.schema import decode_clip
from modeling_sigma import (
    IsolatedSignRecognitionPipeline,
    SigmaFeatureExtractor,
    SigmaForPreTraining,
    SigmaForSequenceClassification,
    SigmaModel,
    SignLanguageTranslationPipeline,
    save_bundle,
)
from modeling_sigma.io import save_clip
from modeling_sigma.model.pose_clip import PoseClip
from tests.factories import random_clip, random_clips, tiny_model, tiny_processor
from tests.training_factories import tiny_rows


LENGTHS = (12, 7, 1, 9)
LABELS = {0: "hello", 1: "rain", 2: "snow", 3: "world", 4: "north", 5: "south"}
SHORT = {"max_new_tokens": 6}


def _float32(clip: PoseClip) -> PoseClip:
    """As files store it."""
    return PoseClip(clip.keypoints.astype(np.float32), clip.scores.astype(np.float32), clip.layout)


def _as_array(clip: PoseClip) -> np.ndarray:
    return np.concatenate([clip.keypoints, clip.scores[..., None]], axis=-1)


@pytest.fixture(scope="module")
def clips() -> list[PoseClip]:
    return [_float32(clip) for clip in random_clips(LENGTHS)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, clips: list[PoseClip]) -> Path:
    file = tmp_path_factory.mktemp("clips") / "clip.npz"
    save_clip(file, clips[0])
    return file


@pytest.fixture(scope="module")
def translate() -> Any:
    return pipeline("sign-language-translation", model=tiny_model(seed=2), processor=tiny_processor())


@pytest.fixture(scope="module")
def recognize() -> Any:
    model = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=6, id2label=LABELS)
    return pipeline("isolated-sign-recognition", model=model, feature_extractor=SigmaFeatureExtractor())


def test_tasks_have_their_classes(translate: Any, recognize: Any) -> None:
    assert type(translate) is SignLanguageTranslationPipeline and translate.task == "sign-language-translation"
    assert type(recognize) is IsolatedSignRecognitionPipeline and recognize.task == "isolated-sign-recognition"


# --- what goes in


@pytest.mark.parametrize("kind", ["translate", "recognize"])
def test_tensors_frames_and_rows_agree(kind: str, request: pytest.FixtureRequest, clips: list[PoseClip]) -> None:
    pipe, options = request.getfixturevalue(kind), SHORT if kind == "translate" else {}
    array = _as_array(clips[0])
    expected = pipe(clips[0], **options)
    for one in (torch.tensor(array), list(array), array.tolist(), [*array, None][:-1], array[:, None]):
        assert pipe(one, **options) == expected
    for several in (np.stack([array, array]), torch.tensor(np.stack([array, array])), [list(array), clips[0]]):
        assert pipe(several, **options) == [expected, expected]


@pytest.mark.parametrize("kind", [None, "numpy", "torch"])
def test_rows_of_a_data_set(translate: Any, kind: str | None) -> None:
    rows = tiny_rows(3)
    expected = [translate(decode_clip(row), **SHORT) for row in rows]
    formatted = rows.with_format(kind)
    for inputs in (formatted, list(formatted), formatted[:3], (row for row in formatted)):
        assert list(translate(inputs, **SHORT)) == expected
    assert translate(formatted[0], **SHORT) == expected[0]
    assert translate(list(formatted), batch_size=2, **SHORT) == expected


def test_units_of_a_call(recognize: Any, clips: list[PoseClip]) -> None:
    shares = {"keypoints": clips[0].keypoints / np.array([640, 480]), "scores": clips[0].scores}
    pixels = recognize({"keypoints": clips[0].keypoints, "scores": clips[0].scores}, coordinates="pixels")
    stated = recognize(shares, coordinates="shares", aspect_ratio=640 / 480)
    assert [one["label"] for one in stated] == [one["label"] for one in pixels]
    assert [one["score"] for one in stated] == pytest.approx([one["score"] for one in pixels], abs=1e-6)
    squeezed = recognize(shares, coordinates="pixels")
    assert [one["score"] for one in squeezed] != pytest.approx([one["score"] for one in pixels], abs=1e-6)


def test_hands_alone_for_a_model_of_bodies(translate: Any) -> None:
    with pytest.raises(ValueError, match="body points .* found left hand and right hand .*scale_reference='body'"):
        translate(random_clip(5, "hands_42"), **SHORT)


@pytest.mark.parametrize("kind", ["translate", "recognize"])
def test_paths_arrays_dicts_and_clips_agree(
    kind: str, request: pytest.FixtureRequest, clips: list[PoseClip], path: Path
) -> None:
    pipe = request.getfixturevalue(kind)
    options = SHORT if kind == "translate" else {}
    clip = clips[0]
    expected = pipe(clip, **options)
    same = [str(path), path, _as_array(clip), {"keypoints": clip.keypoints, "scores": clip.scores}]
    assert [pipe(one, **options) for one in same] == [expected] * 4
    assert pipe([*same, clip], **options) == [expected] * 5, "lists of anything"


@pytest.mark.parametrize("kind", ["translate", "recognize"])
def test_lists_generators_and_batches_agree(kind: str, request: pytest.FixtureRequest, clips: list[PoseClip]) -> None:
    pipe = request.getfixturevalue(kind)
    options = SHORT if kind == "translate" else {}
    singles = [pipe(clip, **options) for clip in clips]
    assert len({str(result) for result in singles}) > 1

    def generate() -> Iterator[PoseClip]:
        yield from clips

    for batch_size in (1, 3, 8):
        assert _rounded(pipe(clips, batch_size=batch_size, **options)) == _rounded(singles)
    assert _rounded(list(pipe(generate(), **options))) == _rounded(singles)
    assert _rounded(list(pipe(generate(), batch_size=3, **options))) == _rounded(singles)
    assert pipe([clips[0]], **options) == [singles[0]], "a list of one gives a list of one"


def _rounded(results: Any) -> Any:
    if isinstance(results, list):
        return [_rounded(result) for result in results]
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in results.items()}


# --- translation


def test_translation_is_what_the_model_writes(translate: Any, clips: list[PoseClip]) -> None:
    inputs = tiny_processor()(poses=clips[0], language="Chinese")
    ids = translate.model.generate(**inputs, **SHORT)
    expected = tiny_processor().batch_decode(ids, skip_special_tokens=True)[0].strip()
    assert translate(clips[0], language="Chinese", **SHORT) == {"text": expected}
    assert "</s>" not in expected and "<pad>" not in expected


def test_language_of_a_pipeline(translate: Any, clips: list[PoseClip]) -> None:
    chinese = pipeline(
        "sign-language-translation", model=translate.model, processor=translate.processor, language="Chinese"
    )
    prepared = chinese.preprocess(clips[0], **chinese._preprocess_params)
    assert (
        prepared["prompt_input_ids"].tolist()
        == tiny_processor()(clips[0], language="Chinese")["prompt_input_ids"].tolist()
    )
    assert chinese(clips[0], **SHORT) == translate(clips[0], language="Chinese", **SHORT)


def test_max_frames(translate: Any, clips: list[PoseClip]) -> None:
    assert translate.preprocess(clips[0], max_frames=4)["pose_values"].shape[1] == 4
    assert translate(clips[0], max_frames=4, **SHORT) == translate(clips[0].frames([1, 4, 7, 10]), **SHORT)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_several_sequences_best_first(translate: Any, clips: list[PoseClip], batch_size: int) -> None:
    results = translate(clips, num_beams=4, num_return_sequences=3, batch_size=batch_size, **SHORT)
    assert [len(result) for result in results] == [3] * len(clips)
    best = translate(clips, num_beams=4, **SHORT)
    assert [result[0] for result in results] == best
    assert all(set(entry) == {"text"} for result in results for entry in result)


def test_generation_options(translate: Any, clips: list[PoseClip]) -> None:
    torch.manual_seed(0)
    sampled = {translate(clips[0], do_sample=True, num_beams=1, temperature=3.0, **SHORT)["text"] for _ in range(5)}
    assert len(sampled) > 1
    config = GenerationConfig(num_beams=1, max_new_tokens=3, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)
    short = translate(clips[0], generation_config=config)
    assert short == translate(clips[0], num_beams=1, max_new_tokens=3)


def test_what_the_checkpoint_says_about_decoding_comes_first(clips: list[PoseClip], tmp_path: Path) -> None:
    model = tiny_model(seed=2)
    model.generation_config.max_new_tokens, model.generation_config.num_beams = 3, 2
    save_bundle(model, tiny_processor(), tmp_path)
    pipe = pipeline("sign-language-translation", model=str(tmp_path), pipeline_class=SignLanguageTranslationPipeline)
    assert (pipe.model.generation_config.max_new_tokens, pipe.model.generation_config.num_beams) == (3, 2)
    expected = model.generate(**tiny_processor()(poses=clips[0]))
    assert expected.shape[1] <= 4
    assert pipe(clips[0])["text"] == tiny_processor().batch_decode(expected, skip_special_tokens=True)[0].strip()


def test_model_without_prompt(clips: list[PoseClip]) -> None:
    pipe = pipeline("sign-language-translation", model=tiny_model(use_prompt=False), processor=tiny_processor())
    assert isinstance(pipe(clips[0], **SHORT)["text"], str)
    assert len(pipe(clips, batch_size=2, **SHORT)) == len(clips)


def test_saved_folder_with_the_package_imported(
    translate: Any, clips: list[PoseClip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_bundle(translate.model, tiny_processor(), tmp_path / "sigma-slu")
    monkeypatch.chdir(tmp_path)
    pipe = pipeline("sign-language-translation", model="sigma-slu", pipeline_class=SignLanguageTranslationPipeline)
    assert pipe(clips, batch_size=2, **SHORT) == translate(clips, **SHORT)
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        pipeline("sign-language-translation", model="sigma-slu")


# --- recognition


def test_recognition_names_labels_best_first(recognize: Any, clips: list[PoseClip]) -> None:
    results = recognize(clips[0])
    assert len(results) == 5, "top_k is 5"
    scores = [result["score"] for result in results]
    assert scores == sorted(scores, reverse=True) and all(0 < score < 1 for score in scores)
    logits = recognize.model(**SigmaFeatureExtractor()(clips[0])).logits[0]
    probabilities = logits.softmax(dim=-1)
    assert results[0]["label"] == LABELS[int(logits.argmax())]
    assert {result["label"]: pytest.approx(result["score"], abs=1e-6) for result in recognize(clips[0], top_k=6)} == {
        LABELS[index]: probability for index, probability in enumerate(probabilities.tolist())
    }


def test_some_labels_of_a_head(recognize: Any, clips: list[PoseClip]) -> None:
    """Among a few of its labels, in any order: probabilities of these alone."""
    labels = ["south", "rain", "hello"]
    logits = recognize.model(**SigmaFeatureExtractor()(clips[0])).logits[0]
    expected = dict(zip(labels, logits[[5, 1, 0]].softmax(dim=-1).tolist()))
    for results in (recognize(clips[0], labels=labels), recognize(clips, labels=labels, batch_size=2)[0]):
        assert {one["label"]: one["score"] for one in results} == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ValueError, match="some of the model's 6 labels, received 1 others, first 'fog'"):
        recognize(clips[0], labels=["fog", "rain"])
    with pytest.raises(ValueError, match="some of the model's 6 labels, received none"):
        recognize(clips[0], labels=[])


@pytest.mark.parametrize(("top_k", "expected"), [(1, 1), (3, 3), (100, 6)])
def test_top_k(recognize: Any, clips: list[PoseClip], top_k: int, expected: int) -> None:
    assert len(recognize(clips[0], top_k=top_k)) == expected
    assert [len(result) for result in recognize(clips, top_k=top_k, batch_size=3)] == [expected] * len(clips)


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k_must_be_positive(recognize: Any, clips: list[PoseClip], top_k: int) -> None:
    with pytest.raises(ValueError, match=f"expected top_k as an integer >= 1, received {top_k}"):
        recognize(clips[0], top_k=top_k)


def test_recognition_max_frames(recognize: Any, clips: list[PoseClip]) -> None:
    assert recognize.preprocess(clips[0], max_frames=5)["pose_values"].shape[1] == 5


def test_recognition_with_a_processor_folder(clips: list[PoseClip], tmp_path: Path) -> None:
    """A label head with a prompt, saved with a processor: the pipeline reads its feature extractor alone."""
    model = tiny_model(SigmaForSequenceClassification, num_labels=6, id2label=LABELS)
    save_bundle(model, tiny_processor(), tmp_path)
    pipe = pipeline("isolated-sign-recognition", model=str(tmp_path), pipeline_class=IsolatedSignRecognitionPipeline)
    assert len(pipe(clips[0], top_k=2)) == 2


def test_half_precision(clips: list[PoseClip]) -> None:
    model = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=6, id2label=LABELS)
    pipe = pipeline("isolated-sign-recognition", model=model.bfloat16(), feature_extractor=SigmaFeatureExtractor())
    assert sum(result["score"] for result in pipe(clips[0], top_k=6)) == pytest.approx(1.0, abs=1e-3)


# --- mistakes


@pytest.mark.parametrize("kind", ["translate", "recognize"])
def test_mistakes_are_told(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    pipe = request.getfixturevalue(kind)
    with pytest.raises(FileNotFoundError, match="nothing.npz"):
        pipe(str(tmp_path / "nothing.npz"))
    with pytest.raises(ValueError, match=r"received \(133, 3\): add a frame axis"):
        pipe(np.zeros((133, 3)))
    with pytest.raises(TypeError):
        pipe([3])
    with pytest.raises(ValueError, match="unknown keypoint layout"):
        pipe({"keypoints": np.zeros((2, 133, 2)), "scores": np.zeros((2, 133)), "layout": "kinect"})


WRONG = {
    "a count": ([0, -1, 1.5, "abc", True, [3], {}, float("nan")], "as an integer >= 1"),
    "a number": ([0, -1, "abc", True, [3], float("nan"), float("inf")], "as a positive number"),
    "a switch": ([0, 1, "no", [True]], "as True or False"),
    "a name": ([3, b"English", ["English"], {}], "expected strings for"),
    "half a character": (["\ud800"], "expected whole characters in"),
    "a long name": (["x" * 101], "as a name of at most 100 characters"),
    "texts": (["abc", "", b"abc", 3, {"a": "b"}, {"a"}, lambda: 0], "as a list of strings"),
    "texts of something else": ([["a", None], [3], [["a"]]], "expected strings for"),
    "half a text": ([["a", "b\udfff"]], "expected whole characters in"),
}


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (("max_frames", "top_k", "num_beams", "num_return_sequences", "max_new_tokens", "batch_size"), ["a count"]),
        (("aspect_ratio", "window_seconds"), ["a number"]),
        (("allow_unseen",), ["a switch"]),
        (("language", "coordinates"), ["a name", "half a character", "a long name"]),
        (("labels", "texts"), ["texts", "texts of something else", "half a text"]),
    ],
)
def test_wrong_arguments_are_told(names: tuple[str, ...], kinds: list[str], translate: Any) -> None:
    """In every pipeline that takes them, in a call as when it is made, before anything is read."""
    recognize = pipeline("isolated-sign-recognition", model=tiny_model(id2label=LABELS), processor=tiny_processor())
    rank = pipeline("sign-text-retrieval", model=tiny_model(SigmaModel), processor=tiny_processor())
    takes = {"top_k": [recognize, rank], "labels": [recognize], "texts": [rank], "num_beams": [translate, recognize]}
    for only in ("num_return_sequences", "max_new_tokens", "window_seconds"):
        takes[only] = [translate]
    for name in names:
        for pipe in takes.get(name, [translate, recognize, rank]):
            for value, message in ((value, WRONG[kind][1]) for kind in kinds for value in WRONG[kind][0]):
                with pytest.raises(ValueError, match=f"{name}|{message}") as caught:
                    pipe("nothing.npz", **{name: value})
                assert message in str(caught.value) and name in str(caught.value)
                if name not in ("texts", "window_seconds"):
                    with pytest.raises(ValueError, match=message):
                        type(pipe)(model=pipe.model, processor=pipe.processor, **{name: value})


def test_a_model_reads_no_more_frames_than_it_was_made_for(translate: Any, recognize: Any) -> None:
    for pipe, most in ((translate, 32), (recognize, 256)):
        with pytest.raises(ValueError, match=f"at most {most}, which this model was made for, received 20000"):
            pipe("nothing.npz", max_frames=20_000)
        with pytest.raises(ValueError, match=f"at most {most}, which"):
            type(pipe)(model=pipe.model, feature_extractor=pipe.extractor, max_frames=most + 1)
    assert len(recognize(random_clip(300), max_frames=256)) == 5


def test_one_frame_and_long_clips(translate: Any) -> None:
    long = random_clip(1000)
    assert translate.preprocess(long)["pose_values"].shape[1] == 32
    assert len(translate([long, random_clip(1)], batch_size=2, **SHORT)) == 2


# --- clips in which nobody is seen


def _unseen(num_frames: int = 8) -> PoseClip:
    return PoseClip(np.zeros((num_frames, 133, 2)), np.zeros((num_frames, 133)), fps=25.0)


@pytest.mark.parametrize("kind", ["translate", "recognize"])
def test_a_clip_without_anybody_is_refused(
    kind: str, request: pytest.FixtureRequest, clips: list[PoseClip], caplog: pytest.LogCaptureFixture
) -> None:
    pipe = request.getfixturevalue(kind)
    options = SHORT if kind == "translate" else {}
    message = r"somebody is seen, found no joints with a score above 0\.3 to read in its 8 frames"
    for inputs in (_unseen(), [clips[0], _unseen()], np.zeros((8, 133, 3))):
        with pytest.raises(ValueError, match=message):
            pipe(inputs, **options)
    assert pipe(_unseen(), allow_unseen=True, **options)
    assert pipe.sees_somebody(clips[0]) and not pipe.sees_somebody(_unseen())


def test_only_parts_that_the_model_reads_count(clips: list[PoseClip]) -> None:
    model = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=6, id2label=LABELS)
    reader = SigmaFeatureExtractor(scale_reference="hands", fill_wrists=True, parts=["left_hand", "right_hand"])
    recognize = pipeline("isolated-sign-recognition", model=model, feature_extractor=reader)
    scores = clips[0].scores.copy()
    scores[:, 91:] = 0  # COCO-WholeBody's hands
    with pytest.raises(ValueError, match="found no joints of left_hand, right_hand with a score"):
        recognize(PoseClip(clips[0].keypoints, scores))


def test_a_clip_without_hands_gets_a_warning(recognize: Any, clips: list[PoseClip], monkeypatch: Any) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("modeling_sigma.model.unseen_clips.logger.warning_once", warnings.append)
    recognize(clips[0])
    assert not warnings
    scores = clips[0].scores.copy()
    scores[:, 91:] = 0
    recognize(PoseClip(clips[0].keypoints, scores))
    assert warnings == ["no hand is seen in a clip: what a model makes of it means little"]


@pytest.mark.parametrize("kind", ["translate", "recognize"])
def test_no_clips_and_tuples(kind: str, request: pytest.FixtureRequest, clips: list[PoseClip]) -> None:
    pipe = request.getfixturevalue(kind)
    options = SHORT if kind == "translate" else {}
    assert pipe([]) == []
    assert pipe(tuple(clips[:2]), **options) == pipe(clips[:2], **options)


# --- models that were not trained for the task


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What other classes saved."""
    folder = tmp_path_factory.mktemp("models")
    head = tiny_model(SigmaForSequenceClassification, num_labels=6, id2label=LABELS)
    for model in (tiny_model(SigmaForPreTraining), tiny_model(), head):
        model.save_pretrained(folder / type(model).__name__)
        tiny_processor().save_pretrained(folder / type(model).__name__)
    return folder


@pytest.mark.parametrize(
    ("task", "saved"),
    [
        ("sign-language-translation", "SigmaForSequenceClassification"),
        ("isolated-sign-recognition", "SigmaForPreTraining"),
        ("isolated-sign-recognition", "SigmaForConditionalGeneration"),
        ("continuous-sign-recognition", "SigmaForPreTraining"),
        ("continuous-sign-recognition", "SigmaForSequenceClassification"),
        ("sign-text-retrieval", "SigmaForSequenceClassification"),
        ("sign-text-retrieval", "SigmaForConditionalGeneration"),
    ],
)
def test_random_weights_do_not_answer(task: str, saved: str, folders: Path) -> None:
    with pytest.raises(
        ValueError, match=rf"expected a model for {task}, received one that {saved} has saved: \d+ wei"
    ):
        pipeline(task, model=str(folders / saved))


def test_weights_that_were_given_do(folders: Path, clips: list[PoseClip]) -> None:
    for task in ("sign-language-translation", "sign-text-retrieval"):
        assert pipeline(task, model=str(folders / "SigmaForPreTraining")).task == task
    model = SigmaForSequenceClassification.from_pretrained(folders / "SigmaForPreTraining", num_labels=6)
    assert model.untrained_weights == ["classifier.bias", "classifier.weight"]
    # Without values, as on the other ranks of a sharded loading, nothing can be said.
    empty = SigmaForSequenceClassification.from_pretrained(folders / "SigmaForPreTraining", device_map="meta")
    assert empty.classifier.weight.is_meta and empty.untrained_weights == []
    with torch.no_grad():
        model.classifier.bias += 0.1  # as every training does
    assert pipeline("isolated-sign-recognition", model=model, processor=tiny_processor())(clips[0])
