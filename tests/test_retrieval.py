"""Ranking clips and texts: the pipeline, the stored index, `sigma-slu index` and `sigma-slu search`."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import pipeline

from modeling_sigma import SigmaForConditionalGeneration, SigmaForPreTraining, SigmaModel, save_bundle
from modeling_sigma.cli.main import main
from modeling_sigma.inference.embedding_index import EmbeddingIndex
from modeling_sigma.inference.model_fingerprint import model_fingerprint
from modeling_sigma.io import save_clip
from modeling_sigma.jobs.atomic_files import lone_writer
from modeling_sigma.model.pipeline_retrieval_sigma import SignTextRetrievalPipeline
from tests.factories import random_clips, tiny_model, tiny_processor


TEXTS = ["hello world", "rain in the north", "tomorrow it will be unbelievable"]
LENGTHS = (12, 7, 1, 9)


@pytest.fixture(scope="module")
def rank() -> Any:
    return pipeline("sign-text-retrieval", model=tiny_model(SigmaModel), processor=tiny_processor())


@pytest.fixture(scope="module")
def cosines() -> torch.Tensor:
    """What the model says about every clip and every text, alone and without a pipeline."""
    model, processor = tiny_model(SigmaModel), tiny_processor()
    rows = []
    with torch.no_grad():
        for clip in random_clips(LENGTHS):
            row = []
            for text in TEXTS:
                inputs = processor(poses=clip, text=text)
                inputs.pop("labels")
                out = model(**inputs)
                row.append((out.pose_embeds * out.text_embeds).sum())
            rows.append(torch.stack(row))
    return torch.stack(rows)  # (clips, texts)


@contextmanager
def record_rows(encoder: Any) -> Iterator[list[int]]:
    """How many texts each run through an encoder reads."""
    rows: list[int] = []
    hook = encoder.block[0].register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    yield rows
    hook.remove()


# --- the pipeline


@pytest.mark.parametrize("batch_size", [1, 3])
def test_texts_are_ranked_for_clips(rank: Any, cosines: torch.Tensor, batch_size: int) -> None:
    results = rank(random_clips(LENGTHS), texts=TEXTS, batch_size=batch_size)
    assert type(rank) is SignTextRetrievalPipeline and len(results) == len(LENGTHS)
    for row, result in enumerate(results):
        assert [entry["text"] for entry in result] == [TEXTS[index] for index in cosines[row].argsort(descending=True)]
        for entry in result:
            assert entry["score"] == pytest.approx(float(cosines[row, entry["index"]]), abs=1e-5)


def test_clips_are_ranked_for_texts(rank: Any, cosines: torch.Tensor) -> None:
    for column, text in enumerate(TEXTS):
        result = rank(text, clips=random_clips(LENGTHS), top_k=2)
        assert [entry["index"] for entry in result] == cosines[:, column].argsort(descending=True)[:2].tolist()
        assert "text" not in result[0]
    results = rank(TEXTS, clips=random_clips(LENGTHS), batch_size=2, top_k=1)
    assert [result[0]["index"] for result in results] == cosines.argmax(dim=0).tolist()


def test_vectors_can_be_kept(rank: Any) -> None:
    clips = random_clips(LENGTHS)
    vectors = torch.stack(rank(clips, batch_size=2))
    assert vectors.shape == (4, 32) and torch.allclose(vectors.norm(dim=1), torch.ones(4), atol=1e-5)
    for stored in (vectors, vectors.numpy()):
        kept = rank(TEXTS[0], embeddings=stored, inputs_are="texts")
        assert [entry["index"] for entry in kept] == [entry["index"] for entry in rank(TEXTS[0], clips=clips)]
    assert rank(clips[1], embeddings=vectors, top_k=1)[0]["index"] == 1, "a clip finds itself"
    generated = list(rank((clip for clip in clips), texts=TEXTS))
    assert [[entry["text"] for entry in one] for one in generated] == [
        [entry["text"] for entry in one] for one in rank(clips, texts=TEXTS)
    ]


def test_pipeline_mistakes(rank: Any) -> None:
    clip = random_clips((5,))[0]
    for options, message in (
        ({"texts": ["a"], "clips": [clip]}, "expected one of texts, clips and embeddings, received texts and clips"),
        ({"texts": []}, "expected texts as a list with at least one entry"),
        ({"texts": "hello"}, "expected texts as a list"),
        ({"texts": ["a"], "inputs_are": "texts"}, "expected inputs_are='clips' to rank texts"),
        ({"inputs_are": "videos"}, "expected inputs_are 'clips' or 'texts'"),
        ({"texts": ["a"], "top_k": 0}, "expected top_k as an integer >= 1, received 0"),
        ({"embeddings": np.zeros((3, 5))}, r"expected embeddings of shape \(N, 32\), received \(3, 5\)"),
        ({"texts": ["a", " "]}, "expected texts with words in them, received ' '"),
    ):
        with pytest.raises(ValueError, match=message):
            rank(clip, **options)


def test_many_texts_are_read_together(rank: Any) -> None:
    """In batches of texts of about one length, and each is ranked as if it stood alone."""
    words = ["hello", "world", "rain", "north", "people who sign", "tomorrow"]
    texts = [" ".join(words[: 1 + number % 6]) + f" {words[number % 5]}" * (number // 6) for number in range(24)] * 6
    with record_rows(rank.model.text_encoder) as rows:
        result = rank(random_clips((9,))[0], texts=texts)
    assert len(rows) == 2 and sum(rows) == len(texts)
    alone = torch.stack(rank(texts[:24], inputs_are="texts"))
    vector = rank(random_clips((9,))[0])
    for entry in result:
        assert entry["text"] == texts[entry["index"]]
        assert entry["score"] == pytest.approx(float(alone[entry["index"] % 24] @ vector), abs=1e-5)


# --- the index


def _index(num_rows: int = 50, width: int = 8, **fields: Any) -> EmbeddingIndex:
    vectors = np.random.default_rng(0).normal(size=(num_rows, width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    values = {"entries": [f"clip {row}" for row in range(num_rows)], "kind": "clips", "model": "m", "fingerprint": "f"}
    return EmbeddingIndex(embeddings=vectors, **{**values, **fields})


@pytest.mark.parametrize("num_queries", [1, 6])
def test_search_is_exact(num_queries: int) -> None:
    index = _index()
    queries = index.embeddings[7 : 7 + num_queries] + 0.01
    scores, rows = index.search(queries, top_k=5)
    expected = np.argsort(-(queries @ index.embeddings.T), axis=1)[:, :5]
    assert rows.tolist() == expected.tolist()
    assert np.allclose(scores, np.take_along_axis(queries @ index.embeddings.T, expected, axis=1), atol=1e-6)
    assert index.search(queries, top_k=1000)[1].shape == (num_queries, 50)


def test_equal_scores_keep_their_order() -> None:
    vectors = np.tile(np.eye(4, dtype=np.float32)[0], (6, 1))
    index = EmbeddingIndex(vectors, list("abcdef"), "texts", "m", "f")
    assert index.search(vectors[:1], top_k=6)[1].tolist() == [[0, 1, 2, 3, 4, 5]]


def test_an_index_survives_the_disk(tmp_path: Path) -> None:
    index = _index(entries=[f"Straße {row} 你好" for row in range(50)])
    loaded = EmbeddingIndex.load(index.save(tmp_path / "index"))
    assert np.array_equal(loaded.embeddings, index.embeddings)
    assert (loaded.entries, loaded.kind, loaded.model, loaded.fingerprint) == (index.entries, "clips", "m", "f")
    assert {path.name for path in (tmp_path / "index").iterdir()} == {"embeddings.safetensors", "index.json"}


def test_bad_indexes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected an index, found no index\.json"):
        EmbeddingIndex.load(tmp_path)
    folder = _index().save(tmp_path / "index")
    good = json.loads((folder / "index.json").read_text())
    for change, message in (
        ({"sigma_slu_version": "99"}, "written by sigma-slu 99"),
        ({"entries": ["one"]}, "expected 50 entries, one per row, received 1"),
        ({"kind": "videos"}, "expected kind clips or texts"),
    ):
        (folder / "index.json").write_text(json.dumps({**good, **change}))
        with pytest.raises(ValueError, match=message):
            EmbeddingIndex.load(folder)
    (folder / "index.json").write_text("{}")
    with pytest.raises(ValueError, match="is damaged"):
        EmbeddingIndex.load(folder)
    (folder / "index.json").write_text(json.dumps(good))
    (folder / "embeddings.safetensors").write_bytes(b"short")
    with pytest.raises(ValueError, match="is damaged"):
        EmbeddingIndex.load(folder)
    with pytest.raises(ValueError, match="expected vectors of length 1"):
        EmbeddingIndex(np.full((1, 3), np.nan), ["a"], "clips", "m", "f")
    with pytest.raises(ValueError, match=r"expected queries \(Q, 8\), received \(1, 3\)"):
        _index().search(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="top_k of at least 1"):
        _index().search(np.zeros((1, 8)), top_k=0)


def test_fingerprints_tell_models_apart() -> None:
    one, same, other = (model_fingerprint(tiny_model(SigmaModel, seed=seed)) for seed in (0, 0, 1))
    assert one == same != other


def test_every_weight_counts_for_a_fingerprint() -> None:
    """A merged LoRA, for one, changes no norm and no [CLS]."""
    model = tiny_model(SigmaModel)
    state = model.state_dict()
    assert "encoder.block.0.layer.0.SelfAttention.q.weight" in state and any("running_var" in name for name in state)
    seen = {model_fingerprint(model)}
    names = [name for name, tensor in state.items() if tensor.is_floating_point()]
    for name in names:
        state[name].view(-1)[-1] += 1.0
        seen.add(model_fingerprint(model))
    assert len(seen) == len(names) + 1
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            tensor += 1
    assert model_fingerprint(model) in seen, "how often a norm was trained changes no vector"


# --- the commands


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("search")
    (path / "clips").mkdir()
    for number, clip in enumerate(random_clips(LENGTHS)):
        save_clip(path / "clips" / f"clip{number}.npz", clip)
    (path / "texts.txt").write_text("\n".join([*TEXTS, ""]))
    save_bundle(tiny_model(SigmaForPreTraining), tiny_processor(), path / "model")
    save_bundle(tiny_model(SigmaForPreTraining, seed=5), tiny_processor(), path / "other")
    save_bundle(tiny_model(SigmaForConditionalGeneration), tiny_processor(), path / "writer")
    return path


def test_index_and_search(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    out = str(tmp_path / "clips-index")
    assert main(["index", "clips", "--model", "model", "--out", out]) == 0
    assert "4 clips, vectors of 32 numbers" in capsys.readouterr().out
    assert main(["search", out, TEXTS[1], "--top-k", "2", "--json", "--png", str(tmp_path / "found.png")]) == 0
    results = json.loads(capsys.readouterr().out)
    rank = pipeline("sign-text-retrieval", model="model", pipeline_class=SignTextRetrievalPipeline)
    expected = rank(TEXTS[1], clips=[f"clips/clip{number}.npz" for number in range(4)], top_k=2)
    assert [entry["clip"] for entry in results] == [f"clips/clip{entry['index']}.npz" for entry in expected]
    assert [entry["score"] for entry in results] == pytest.approx([entry["score"] for entry in expected], abs=1e-3)
    assert (tmp_path / "found.png").stat().st_size > 1000
    out = str(tmp_path / "texts-index")
    assert main(["index", "--texts", "texts.txt", "--model", "model", "--out", out]) == 0
    capsys.readouterr()
    assert main(["search", out, "--clip", "clips/clip0.npz"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[1] for line in lines] == [entry["text"] for entry in rank("clips/clip0.npz", texts=TEXTS)]


def test_texts_of_any_editor(folder: Path, tmp_path: Path) -> None:
    """A byte order mark, line ends of Windows, an empty line, and a separator that does not end a line."""
    texts = tmp_path / "texts.txt"
    texts.write_bytes("\ufeffhello\u2028world\r\n\r\n rain in\x85the north \r\n".encode())
    out = tmp_path / "index"
    assert main(["index", "--texts", str(texts), "--model", str(folder / "model"), "--out", str(out)]) == 0
    assert EmbeddingIndex.load(out).entries == ["hello\u2028world", "rain in\x85the north"]


def test_command_mistakes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    out = str(tmp_path / "index")
    (tmp_path / "broken.npz").write_bytes(b"no")
    assert main(["index", "clips", str(tmp_path / "broken.npz"), "--model", "model", "--out", out]) == 1
    captured = capsys.readouterr()
    assert "broken.npz" in captured.err and "4 clips" in captured.out, "the others are indexed"
    for arguments, message in (
        (["index", "--model", "model", "--out", out], "expected either clips or --texts FILE"),
        (
            ["index", "clips", "--model", "writer", "--out", out],
            "expected a model for sign-text-retrieval (Sigma",
        ),
        (
            ["index", "--texts", "no.txt", "--model", "model", "--out", out],
            "no.txt: expected a file of texts, one per",
        ),
        (["index", "nowhere.npz", "--model", "model", "--out", out, "--device", "gpuu"], "this machine (cpu"),
        (["search", out], "expected either a TEXT or --clip FILE"),
        (["search", out, "hello", "--device", "gpuu"], "expected a device of this machine (cpu"),
        (["search", str(tmp_path), "hello"], "expected an index, found no index.json"),
        (
            ["search", out, "hello", "--model", "other"],
            "expected the model that made the index (model), received one with other weights",
        ),
    ):
        assert main(arguments) == 1
        assert message in capsys.readouterr().err


def test_an_index_is_whole_or_not_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "index"
    command = ["index", "--texts", str(folder / "texts.txt"), "--model", str(folder / "model"), "--out", str(out)]
    with lone_writer(out):
        assert main(command) == 1
    assert "index: another process is writing here: wait for it, or choose another folder" in capsys.readouterr().err
    assert main(command) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main([*command[:3], "--model", str(folder / "nothing"), "--out", str(out)]) == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    other = EmbeddingIndex.load(out)
    _index(num_rows=30, entries=other.entries * 10).save(tmp_path / "other")
    for name in before:  # a copy of two indexes
        mixed = shutil.copytree(out, tmp_path / f"mixed-{name}")
        shutil.copyfile(tmp_path / "other" / name, mixed / name)
        with pytest.raises(ValueError, match="is damaged .*do not belong together.*: copy it again, or build"):
            EmbeddingIndex.load(mixed)
    facts = json.loads((out / "index.json").read_text(encoding="utf-8"))
    del facts["vectors"]  # as 0.1.0 wrote it
    vectors = load_file(out / "embeddings.safetensors")
    save_file(vectors, out / "embeddings.safetensors")
    (out / "index.json").write_text(json.dumps(facts))
    assert EmbeddingIndex.load(out).entries == other.entries


def test_indexes_of_parts_are_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = _index(50)
    for number, rows in enumerate((slice(0, 20), slice(20, 50))):
        part = EmbeddingIndex(whole.embeddings[rows], whole.entries[rows], whole.kind, whole.model, whole.fingerprint)
        part.save(tmp_path / f"part-{number}")
    parts = [str(tmp_path / "part-0"), str(tmp_path / "part-1")]
    assert main(["index", *parts, "--merge", "--out", str(tmp_path / "all")]) == 0
    joined = EmbeddingIndex.load(tmp_path / "all")
    assert joined.entries == whole.entries and np.array_equal(joined.embeddings, whole.embeddings)
    assert (joined.kind, joined.model, joined.fingerprint) == (whole.kind, whole.model, whole.fingerprint)
    for arguments, message in (
        ([parts[0], parts[0], "--merge"], f"expected every entry in one index, found {min(whole.entries[:20])!r} in"),
        ([*parts, "--merge", "--model", "m"], "expected --model DIR, or indexes and --merge"),
        (parts, "expected --model DIR, or indexes and --merge"),
        (["--texts", "x", "--merge"], "expected --model DIR, or indexes and --merge"),
    ):
        assert main(["index", *arguments, "--out", str(tmp_path / "no")]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
    for other in ({"fingerprint": "another"}, {"kind": "clips" if whole.kind == "texts" else "texts"}):
        values = {"kind": whole.kind, "model": "m", "fingerprint": whole.fingerprint, **other}
        stranger = EmbeddingIndex(whole.embeddings, [f"x{name}" for name in whole.entries], **values)
        with pytest.raises(ValueError, match="vectors of two models cannot be compared"):
            EmbeddingIndex.joined([whole, stranger])
    with pytest.raises(ValueError, match="received none"):
        EmbeddingIndex.joined([])
