"""`SignDictionary` with real, tiny models: teaching, searching, forgetting, folders, the Hub, and bad input."""

from __future__ import annotations

import json
import os
import shutil
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest

from datasets_scripts.schema import encode_sample, features
from modeling_sigma import (
    PoseClip,
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForSequenceClassification,
    SigmaModel,
    SignDictionary,
    load_pipeline,
    save_bundle,
)
from modeling_sigma.inference.dictionary_clips import DictionaryClips
from modeling_sigma.inference.dictionary_entries import DictionaryEntry
from modeling_sigma.inference.sign_dictionary import DICTIONARY
from modeling_sigma.inference.similarity_space import unit_rows
from modeling_sigma.io import save_clip
from modeling_sigma.jobs.atomic_files import lone_writer
from tests.factories import random_clip, tiny_model, tiny_processor
from tests.hub_server import TOKEN, HubServer


FILES = {DICTIONARY, "embeddings.safetensors"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dictionary")
    save_bundle(tiny_model(SigmaForConditionalGeneration), tiny_processor(), folder / "model")
    save_bundle(tiny_model(SigmaForConditionalGeneration, seed=5), tiny_processor(), folder / "other")
    return folder


@pytest.fixture(scope="module")
def pipe(bundle: Path) -> Any:
    return load_pipeline(bundle / "model", "sign-feature-extraction", "cpu")


@pytest.fixture
def dictionary(pipe: Any) -> SignDictionary:
    """Three labels, two clips each."""
    made = SignDictionary.create(pipe)
    for number, label in enumerate(("Haus", "Regen", "你好")):
        made.add(label, clips_of(number), sign_language="German Sign Language" if number < 2 else None, signer_id="7")
    return made


def clips_of(number: int) -> list[PoseClip]:
    return [random_clip(9, seed=10 * number + take) for take in range(2)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- teaching and searching


def test_a_clip_finds_its_label(dictionary: SignDictionary) -> None:
    assert (len(dictionary), dictionary.labels) == (6, ["Haus", "Regen", "你好"])
    found = dictionary.search(clips_of(2)[1], top_k=2)
    assert found[0]["label"] == "你好" and found[0]["sample_id"] == "你好/2"
    assert found[0]["similarity"] >= found[1]["similarity"]
    assert found[0]["unknown"] is None, "too few signs to tell"
    assert "unknown" not in dictionary.search(clips_of(0)[0], unknown=False)[0]
    only = dictionary.search(clips_of(2)[1], sign_language="German Sign Language")
    assert {entry["label"] for entry in only} == {"Haus", "Regen"}
    assert dictionary.entries[0].facts == {"signer_id": "7"}


KINDS = [SigmaModel, SigmaForConditionalGeneration, SigmaForCTC, SigmaForSequenceClassification]


@pytest.mark.parametrize("cls", KINDS)
def test_every_kind_of_model_makes_a_dictionary(cls: type, tmp_path: Path) -> None:
    save_bundle(tiny_model(cls), tiny_processor(), tmp_path / "model")
    made = SignDictionary.create(tmp_path / "model", device="cpu")
    made.add("Haus", clips_of(0))
    made.add("Regen", clips_of(1)[0])
    assert made.search(clips_of(0)[1], 1)[0]["label"] == "Haus"


def test_what_a_clip_may_be(dictionary: SignDictionary, tmp_path: Path) -> None:
    clip = random_clip(9, seed=99)
    save_clip(tmp_path / "clip.npz", clip)
    row = encode_sample(clip, sample_id="x", sign_language="x", spoken_language="x", split="train", text="Haus")
    assert set(row) == set(features())
    expected = dictionary.embed(clip)
    assert np.linalg.norm(expected) == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(dictionary.embed(tmp_path / "clip.npz"), expected, atol=1e-5)
    assert float(dictionary.embed(row) @ expected) > 0.999
    assert dictionary.add("Schnee", row)[0].layout == clip.layout, "that of the estimator, not of the stored joints"


def test_known_and_unknown(pipe: Any) -> None:
    made = SignDictionary.create(pipe)
    for number in range(12):
        made.add(f"sign {number}", random_clip(9, seed=number))
    assert made.search(random_clip(9, seed=3))[0]["unknown"] is False, "the same clip"
    others = [random_clip(9, seed=seed) for seed in range(100, 120)]
    unknown = {
        rate: sum(bool(made.search(clip, 1, false_alarm_rate=rate)[0]["unknown"]) for clip in others)
        for rate in (0.1, 0.5)
    }
    # Random weights tell little; fewer are unknown where more may be taken.
    assert unknown[0.1] >= 5 and unknown[0.1] > unknown[0.5]
    scores = made.evaluate([random_clip(9, seed=3), random_clip(9, seed=100)], ["sign 3", "sign 100"])
    assert (scores["num_known"], scores["num_unknown"], scores["r1"], scores["taken_for_unknown"]) == (1, 1, 100, 0)
    assert scores["false_alarms"] in (0.0, 100.0)


# --- forgetting


def test_nothing_of_a_removed_clip_is_left(dictionary: SignDictionary, tmp_path: Path) -> None:
    clip = random_clip(9, seed=77)
    dictionary.add("Geheimnis", clip, sample_ids=["withdrawn"], source="interview nine")
    vector = dictionary.embed(clip)
    folder = dictionary.save(tmp_path / "signs")
    before = b"".join(contents(folder).values())
    traces = [vector.tobytes(), vector[:8].tobytes(), b"Geheimnis", b"withdrawn", b"interview nine"]
    assert all(trace in before for trace in traces)
    with SignDictionary.editing(folder) as changed:
        assert changed.remove(sample_id="withdrawn") == 1
    assert set(contents(folder)) == FILES
    after = b"".join(contents(folder).values())
    assert not any(trace in after for trace in traces)
    never = SignDictionary(dictionary.model, dictionary.fingerprint)
    dictionary.remove(label="Geheimnis")
    never._clips = dictionary._clips
    assert contents(never.save(tmp_path / "never")) == contents(folder), "as if it had never been there"


def test_removing(dictionary: SignDictionary) -> None:
    dictionary.add("Haus", clips_of(4), sign_language="Austrian Sign Language")
    assert dictionary.remove("Haus", sign_language="Austrian Sign Language") == 2
    assert dictionary.remove("Haus") == 2 and dictionary.labels == ["Regen", "你好"]
    assert dictionary.remove("Regen") + dictionary.remove("你好") == 4 and len(dictionary) == 0
    dictionary.add("Haus", clips_of(0))
    for arguments, message in (
        ({"label": "Schnee"}, "expected a label of this dictionary, received 'Schnee'"),
        ({"sample_id": "Haus/9"}, "expected a sample_id of this dictionary, received 'Haus/9'"),
        ({}, "expected a label or a sample_id to remove, received none"),
        ({"label": "Haus", "sample_id": "Haus/1"}, "expected a label or a sample_id to remove, received both"),
    ):
        with pytest.raises(ValueError, match=message):
            dictionary.remove(**arguments)


# --- folders


def test_a_dictionary_survives_the_disk(dictionary: SignDictionary, tmp_path: Path) -> None:
    folder = dictionary.save(tmp_path / "signs")
    assert set(contents(folder)) == FILES
    read = SignDictionary.from_pretrained(folder, device="cpu")
    assert read.entries == dictionary.entries
    clip = random_clip(9, seed=55)
    assert read.search(clip, 3) == dictionary.search(clip, 3)
    assert contents(read.save(tmp_path / "again")) == contents(folder)
    empty = SignDictionary.from_pretrained(SignDictionary.create(dictionary._pipe).save(tmp_path / "empty"))
    assert len(empty) == 0
    stored = b"".join(contents(folder).values())
    assert len(stored) < 6 * 32 * 4 + 2000, "no skeletons"


@pytest.mark.slow
def test_fifty_thousand_labels_survive_the_disk(tmp_path: Path) -> None:
    vectors = unit_rows(np.random.default_rng(0).normal(size=(50_000, 8)).astype(np.float32))
    large = SignDictionary("m", "f")
    entries = [DictionaryEntry(f"знак {row}", f"{row}", "A", facts={"signer_id": "7"}) for row in range(50_000)]
    large._clips = DictionaryClips(vectors, entries)
    read = SignDictionary.from_pretrained(large.save(tmp_path / "signs"))
    assert len(read.labels) == 50_000
    assert read.search_vector(vectors[49_999], 1)[0]["label"] == "знак 49999"
    assert read.remove("знак 7") == 1


@pytest.mark.parametrize("num_replaced", range(4))
def test_a_kill_while_saving_leaves_the_old_or_the_new(
    num_replaced: int, dictionary: SignDictionary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dictionary.add("Geheimnis", random_clip(9, seed=77), sample_ids=["withdrawn"])
    secret, old = dictionary.embed(random_clip(9, seed=77)), len(dictionary)
    folder = dictionary.save(tmp_path / "signs")
    replace, calls = os.replace, []

    def replace_until_killed(*paths: Any) -> None:
        if len(calls) == num_replaced:
            raise KeyboardInterrupt
        calls.append(paths)
        replace(*paths)

    def saved() -> bool:
        with SignDictionary.editing(folder) as changed:
            changed.remove(sample_id="withdrawn")
        return True

    monkeypatch.setattr(os, "replace", replace_until_killed)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process does not tidy up
    try:
        is_whole = saved()
    except KeyboardInterrupt:
        is_whole = False
    monkeypatch.undo()
    assert is_whole == (num_replaced == 3), "three files are put in their place"
    found = SignDictionary.from_pretrained(folder)
    assert len(found) == (old if num_replaced < 2 else old - 1), "the second one, the entries, makes the change"
    np.testing.assert_array_equal(found._clips.vectors, dictionary._clips.vectors[: len(found)])
    if num_replaced < 2:
        assert saved()
    else:
        with pytest.raises(ValueError, match="it has no such clip"):
            saved()
    after = contents(folder)
    assert set(after) == FILES and not any(
        b"withdrawn" in one or secret[:8].tobytes() in one for one in after.values()
    )


def test_what_is_read_while_another_process_saves(dictionary: SignDictionary, tmp_path: Path) -> None:
    folder = dictionary.save(tmp_path / "signs")
    stop = threading.Event()

    def keep_saving() -> None:
        while not stop.is_set():
            for number in (5, 3):
                dictionary._clips.keep(np.arange(len(dictionary)) < number)
                dictionary.save(folder)
                dictionary.add("mehr", clips_of(7))

    writer = threading.Thread(target=keep_saving)
    writer.start()
    try:
        sizes = {len(SignDictionary.from_pretrained(folder)) for _ in range(20)}
    finally:
        stop.set()
        writer.join()
    assert sizes <= {3, 5, 6}


def test_one_process_edits_at_a_time(dictionary: SignDictionary, tmp_path: Path) -> None:
    folder = dictionary.save(tmp_path / "signs")
    before = contents(folder)
    with lone_writer(folder), pytest.raises(ValueError, match="another process is writing here"):
        dictionary.save(folder)
    with lone_writer(folder), pytest.raises(ValueError, match="another process is writing here"):
        with SignDictionary.editing(folder):
            pass
    with pytest.raises(RuntimeError), SignDictionary.editing(folder) as changed:
        changed.remove("Haus")
        raise RuntimeError
    assert contents(folder) == before, "a failure changes nothing"
    with pytest.raises(ValueError, match=r"expected a dictionary, found no dictionary\.json"):
        with SignDictionary.editing(tmp_path / "nowhere"):
            pass
    assert not (tmp_path / "nowhere").exists()


def test_damaged_folders(dictionary: SignDictionary, tmp_path: Path) -> None:
    folder = dictionary.save(tmp_path / "signs")
    good = json.loads((folder / DICTIONARY).read_text(encoding="utf-8"))
    for change, message in (
        ({"sigma_slu_version": "99"}, "written by sigma-slu 99"),
        ({"label": ["one"]}, "is damaged .*expected 6 values of label"),
        ({"sample_id": ["same"] * 6}, "is damaged .*one clip per sample_id"),
        ({"variant": ["1"] * 6}, "is damaged .*expected variant as a list of a whole number"),
        ({"fingerprint": 3}, "is damaged .*expected fingerprint as text"),
        ({"vectors": "of another"}, "is damaged .*do not belong together"),
    ):
        (folder / DICTIONARY).write_text(json.dumps({**good, **change}))
        with pytest.raises(ValueError, match=message):
            SignDictionary.from_pretrained(folder)
    for content in (b"", b"{", b"[]", b"\xff\xfe\x00", json.dumps({**good, "facts": None}).encode()):
        (folder / DICTIONARY).write_bytes(content)
        with pytest.raises(ValueError, match="signs"):
            SignDictionary.from_pretrained(folder)
    dictionary.save(folder)
    vectors = (folder / "embeddings.safetensors").read_bytes()
    for content in (b"", vectors[:50], vectors[:-9]):
        (folder / "embeddings.safetensors").write_bytes(content)
        with pytest.raises(ValueError, match="is damaged"):
            SignDictionary.from_pretrained(folder)
    (folder / "embeddings.safetensors").unlink()
    with pytest.raises(ValueError, match="is damaged"):
        SignDictionary.from_pretrained(folder)
    with pytest.raises(ValueError, match=r"expected a dictionary, found no dictionary\.json"):
        SignDictionary.from_pretrained(tmp_path)


# --- bad input


def test_another_model_is_refused(dictionary: SignDictionary, bundle: Path, tmp_path: Path) -> None:
    folder = dictionary.save(tmp_path / "signs")
    read = SignDictionary.from_pretrained(folder, model=str(bundle / "other"), device="cpu")
    for use in (lambda: read.search(random_clip(9)), lambda: read.add("Haus", random_clip(9, seed=5))):
        with pytest.raises(ValueError, match="expected the model that made the dictionary, received one with other"):
            use()
    moved = shutil.copytree(bundle / "model", tmp_path / "moved")
    assert SignDictionary.from_pretrained(folder, model=str(moved), device="cpu").search(clips_of(0)[0], 1)
    with pytest.raises(ValueError, match="expected a pipeline sign-feature-extraction"):
        SignDictionary.create(load_pipeline(bundle / "model", device="cpu"))


def test_another_estimator_is_told(dictionary: SignDictionary) -> None:
    rng = np.random.default_rng(0)
    other = PoseClip(rng.uniform(100, 400, (9, 543, 2)), np.ones((9, 543)), "mediapipe_holistic_543")
    joints = PoseClip(rng.uniform(100, 400, (9, 69, 2)), np.ones((9, 69)), "sigma_69")
    with pytest.warns(UserWarning, match=r"by another estimator \(mediapipe_holistic_543\).*coco_wholebody_133"):
        dictionary.search(other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dictionary.search(joints)  # joints that were chosen already: nobody knows from what
        dictionary.search(random_clip(9))


def test_one_clip_under_two_labels(dictionary: SignDictionary) -> None:
    with pytest.warns(UserWarning, match=r"one clip stands for two signs: 'Haus' \(Haus/1\) and 'Heim' \(Heim/1\)"):
        dictionary.add("Heim", clips_of(0)[0])
    best = dictionary.search(clips_of(0)[0], 2)
    assert {entry["label"] for entry in best} == {"Haus", "Heim"}
    with pytest.raises(ValueError, match="expected a clip that 'Haus' does not have yet, received a copy of 'Haus/1'"):
        dictionary.add("Haus", [random_clip(9, seed=500), clips_of(0)[0]], sign_language="German Sign Language")
    assert dictionary.add("Haus", random_clip(9, seed=500))[0].sample_id == "Haus/3", "nothing of the call was added"


def test_a_clip_without_hands(dictionary: SignDictionary) -> None:
    scores = np.ones((9, 133))
    scores[:, 91:] = 0
    without = PoseClip(random_clip(9).keypoints, scores)
    nobody = PoseClip(random_clip(9).keypoints, np.zeros((9, 133)))
    handless = "expected a clip with hands, found none in its 9 frames"
    for clip, message in ((without, handless), (nobody, "expected a clip in which somebody is seen")):
        with pytest.raises(ValueError, match=message):
            dictionary.search(clip)
        with pytest.raises(ValueError, match=message):
            dictionary.add("Nichts", [random_clip(9, seed=501), clip])
    assert "Nichts" not in dictionary.labels


def test_an_empty_dictionary(pipe: Any) -> None:
    empty = SignDictionary.create(pipe)
    for use in (
        lambda: empty.search(random_clip(9)),
        lambda: empty.evaluate([random_clip(9)], ["a"]),
        lambda: empty.push_to_hub("lab/signs"),
    ):
        with pytest.raises(ValueError, match="expected a dictionary with signs.*received an empty one"):
            use()
    with pytest.raises(ValueError, match="it has no such clip"):
        empty.remove("Haus")
    empty.add("Haus", random_clip(9))
    assert empty.search(random_clip(9))[0]["label"] == "Haus", "one clip is enough"
    assert empty.search(random_clip(9))[0]["similarity"] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    "label", ["", "  ", "a\nb", "a\x00", "\ud800", "x" * 1001, 3, None, b"Haus", ["Haus"]], ids=ascii
)
def test_bad_labels(dictionary: SignDictionary, label: Any) -> None:
    with pytest.raises(ValueError, match="expected a label as text"):
        dictionary.add(label, random_clip(9, seed=5))
    assert len(dictionary) == 6


def test_unicode_labels(dictionary: SignDictionary, tmp_path: Path) -> None:
    labels = ["অর্থ", "\u0915\u094d\u0937", "🤟", "\u202eabc", "a/b", "..", "house'); DROP", "e\u0301te\u0301"]
    for number, label in enumerate(labels):
        dictionary.add(f" {label} ", random_clip(9, seed=300 + number))
    composed = "\u00e9t\u00e9"
    read = SignDictionary.from_pretrained(dictionary.save(tmp_path / "signs"))
    assert read.labels[3:] == [*labels[:-1], composed]
    assert read.remove("e\u0301te\u0301") == 1, "however it is typed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_ids": ["Haus/1"]}, "expected sample_ids that no clip has yet, received 'Haus/1' again"),
        ({"sample_ids": ["a", "b"]}, "expected a sample_id of its own for each of 1 clips, received 2"),
        ({"sample_ids": [""]}, "expected a sample_id as text"),
        ({"sign_language": 5}, "expected a sign language as text"),
        ({"age": float("nan")}, "expected the fact age as a text or number"),
        ({"tags": ["a"]}, "expected the fact tags as a text or number"),
    ],
)
def test_bad_facts(dictionary: SignDictionary, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dictionary.add("Haus", random_clip(9, seed=5), **arguments)
    assert len(dictionary) == 6


def test_bad_searches(dictionary: SignDictionary) -> None:
    for arguments, message in (
        ({"top_k": 0}, "top_k of at least 1"),
        ({"false_alarm_rate": 0}, "false_alarm_rate between 0 and 1"),
        ({"sign_language": "Elvish"}, r"expected a sign_language of this dictionary \(German Sign Language\)"),
    ):
        with pytest.raises(ValueError, match=message):
            dictionary.search(random_clip(9), **arguments)
    with pytest.raises(ValueError, match="expected one label per clip, received 2 labels of 1 clips"):
        dictionary.evaluate([random_clip(9)], ["a", "b"])


# --- the Hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with HubServer() as server:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


def test_to_the_hub_and_back(dictionary: SignDictionary, hub: HubServer) -> None:
    with pytest.raises(ValueError, match="expected a dictionary whose model is on the Hub"):
        dictionary.push_to_hub("tester/signs")
    local, dictionary.model = dictionary.model, "tester/hands"
    with pytest.raises(ValueError, match="no license is stated"):
        dictionary.push_to_hub("tester/signs", private=False)
    assert dictionary.push_to_hub("tester/signs", license="cc-by-4.0") == f"{hub.url}/tester/signs"
    repo = hub.repos[("model", "tester/signs")]
    assert repo.private and FILES <= set(repo.files())
    card = repo.files()["README.md"].decode()
    assert "3 labels, 6 clips" in card and "German Sign Language (4 clips)" in card and "cc-by-4.0" in card
    read = SignDictionary.from_pretrained("tester/signs", model=local, device="cpu")
    assert read.entries == dictionary.entries
    dictionary.add("Passwort", random_clip(9, seed=6), note="hf_abcDEF1234567890abcd")
    with pytest.raises(ValueError, match="looks like a secret"):
        dictionary.push_to_hub("tester/signs")
    with pytest.raises(ValueError, match="tester/nothing: expected a dictionary, found no such folder"):
        SignDictionary.from_pretrained("tester/nothing")


@pytest.mark.slow
def test_exported_models(tmp_path: Path) -> None:
    """The phone that runs the exported model makes its own dictionary: its numbers are not those of torch."""
    pytest.importorskip("onnxruntime")
    from modeling_sigma.conversion.export import export_onnx

    model, extractor = tiny_model(SigmaForSequenceClassification, use_prompt=False), tiny_processor().feature_extractor
    save_bundle(model, extractor, tmp_path / "m")
    export_onnx(model, extractor, tmp_path / "onnx")
    made = SignDictionary.create(tmp_path / "onnx")
    made.add("Haus", clips_of(0))
    made.add("Regen", clips_of(1))
    assert made.search(clips_of(1)[0], 1)[0]["label"] == "Regen"
    torch_made = SignDictionary.create(tmp_path / "m", device="cpu")
    assert float(torch_made.embed(clips_of(0)[0]) @ made.embed(clips_of(0)[0])) > 0.999
    assert torch_made.fingerprint != made.fingerprint
