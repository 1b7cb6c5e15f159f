"""Videos at addresses and in tables become the same clips as those in a folder, with the same promises."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow
import pytest
from dot_videos import dot_path, write_dot_video
from onnx_graphs import write_detector, write_pose_network
from pyarrow import parquet
from test_extraction_folders import DotEstimator

from datasets_scripts.building.build import build_dataset
from modeling_sigma.cli import main as cli
from modeling_sigma.extraction import pose_extraction, video_sources
from modeling_sigma.extraction.pose_extraction import PoseExtraction, extract_poses, read_manifest
from modeling_sigma.extraction.video_sources import LocatedVideos, name_of_address, open_videos
from modeling_sigma.io import load_clip
from modeling_sigma.io.reading_errors import MissingExtraError
from modeling_sigma.jobs import retrying


pytest.importorskip("av", reason="needs PyAV")


@pytest.fixture(autouse=True)
def _dots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pose_extraction, "make_estimator", lambda name, **options: DotEstimator(**options))
    monkeypatch.setattr(retrying, "_PAUSES", (0.0, 0.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos, one of them below, a damaged one, and files that are none."""
    found = tmp_path_factory.mktemp("videos")
    for name, num_frames in (("b.mkv", 5), ("a.mkv", 3), ("sub/c.mkv", 4)):
        write_dot_video(found / name, dot_path(num_frames))
    (found / "broken.mp4").write_bytes(b"not a video")
    (found / "._a.mkv").write_bytes(b"what macOS leaves on other disks")
    (found / "notes.txt").write_text("nothing")
    return found


@pytest.fixture
def memory(folder: Path) -> Iterator[str]:
    files = fsspec.filesystem("memory")
    files.put(f"{folder}/", "/corpus/videos", recursive=True)
    yield "memory://corpus/videos"
    files.rm("/corpus", recursive=True)


class _Server(http.server.ThreadingHTTPServer):
    """Files over HTTP; it can be told to answer 503, or never."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=os.fspath(folder)))
        self.num_unavailable, self.asked, self.is_slow = 0, 0, ""
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.SimpleHTTPRequestHandler):
    server: _Server

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.is_slow and self.server.is_slow in self.path:
            time.sleep(30)
        if self.server.num_unavailable > 0:
            self.server.num_unavailable -= 1
            self.send_error(503)
        else:
            super().do_GET()


@pytest.fixture
def server(folder: Path) -> Iterator[_Server]:
    with _Server(folder) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_remote_folder_becomes_the_same_bytes_as_a_local_one(folder: Path, memory: str, tmp_path: Path) -> None:
    for name, videos in (("local", folder), ("remote", open_videos(memory))):
        summary = extract_poses(PoseExtraction(videos, tmp_path / name, "dots"))
        assert (summary["num_clips"], summary["num_failed"]) == (3, 1)
        assert summary["failed"][0]["error"].startswith("broken.mp4: cannot be read as a video")
    assert _contents(tmp_path / "local") == _contents(tmp_path / "remote")


def test_a_second_run_fetches_only_what_is_new_or_changed(memory: str, tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    extract_poses(PoseExtraction(open_videos(memory), tmp_path, "dots"))
    first = _contents(tmp_path)
    extract_poses(PoseExtraction(open_videos(memory), tmp_path, "dots"))
    assert _contents(tmp_path) == first
    files.cp("/corpus/videos/b.mkv", "/corpus/videos/broken.mp4")
    files.cp("/corpus/videos/a.mkv", "/corpus/videos/new.mkv")
    fetched: list[str] = []
    fetch = video_sources._fetch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video_sources, "_fetch", lambda place, *rest: (fetched.append(place), fetch(place, *rest)))
        assert extract_poses(PoseExtraction(open_videos(memory), tmp_path, "dots"))["num_clips"] == 5
    assert sorted(fetched) == ["memory:///corpus/videos/broken.mp4", "memory:///corpus/videos/new.mkv"]


def test_one_remote_video(memory: str, tmp_path: Path) -> None:
    extract_poses(PoseExtraction(open_videos(f"{memory}/a.mkv"), tmp_path, "dots"))
    np.testing.assert_array_equal(load_clip(tmp_path / "a.npz").keypoints[:, 0], dot_path(3))


def _write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        mark = "\t" if path.suffix == ".tsv" else ","
        lines = [rows[0], *(row.values() for row in rows)]
        path.write_text("".join(mark.join(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_of_addresses_and_paths(suffix: str, folder: Path, server: _Server, tmp_path: Path) -> None:
    shutil.copy(folder / "b.mkv", tmp_path / "here.mkv")
    rows = [
        {"text": "hello", "video_url": f"{server.url}/sub/c.mkv?key=secret"},
        {"text": "again", "video_url": f"{server.url}/sub/c.mkv?key=secret"},
        {"text": "here", "video_url": "here.mkv"},
        {"text": "gone", "video_url": f"{server.url}/gone.mkv"},
        {"text": "nowhere", "video_url": "nowhere.mkv"},
        {"text": "broken", "video_url": f"{server.url}/broken.mp4"},
        {"text": "nothing", "video_url": ""},
    ]
    videos = open_videos(os.fspath(_write_table(tmp_path / f"videos.{suffix}", rows)))
    summary = extract_poses(PoseExtraction(videos, tmp_path / "out", "dots"))
    errors = {report["video"]: report["error"] for report in summary["failed"]}
    assert errors["127.0.0.1/gone.mkv"] == "127.0.0.1/gone.mkv: no such file"
    assert errors["nowhere.mkv"] == "nowhere.mkv: no such file" and "cannot be read" in errors["127.0.0.1/broken.mp4"]
    assert len(errors) == 3 and summary["num_clips"] == 2
    np.testing.assert_array_equal(load_clip(tmp_path / "out/127.0.0.1/sub/c.npz").keypoints[:, 0], dot_path(4))
    np.testing.assert_array_equal(load_clip(tmp_path / "out/here.npz").keypoints[:, 0], dot_path(5))
    assert not any(b"secret" in content for content in _contents(tmp_path / "out").values())
    assert not (tmp_path / "out" / ".extraction").exists()  # with what was fetched
    asked = server.asked
    extract_poses(PoseExtraction(videos, tmp_path / "out", "dots"))
    assert server.asked == asked  # what is done, and what is damaged or gone, is not asked for again


def test_clips_are_named_after_a_column(memory: str, tmp_path: Path) -> None:
    rows = [{"clip": "one.v2", "link": f"{memory}/a.mkv"}, {"clip": "deep/two", "link": f"{memory}/sub/c.mkv"}]
    with fsspec.open("memory://corpus/videos/list.csv", "w") as file:
        file.write("clip,link\n" + "".join(f"{row['clip']},{row['link']}\n" for row in rows))
    videos = open_videos(f"{memory}/list.csv", column="link", name_column="clip")
    extract_poses(PoseExtraction(videos, tmp_path, "dots"))
    assert {path for path in _contents(tmp_path) if path.endswith(".npz")} == {"one.v2.npz", "deep/two.npz"}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n", {}, r"expected a column of videos \(video, .*\), received a, b: name it with --column"),
        ("url\nx.mp4\n", {"column": "link"}, "expected the column 'link', received url"),
        ("url\nx.mp4\n", {"name_column": "id"}, "expected the column 'id', received url: name it with --name-column"),
        ("url\n../x.mp4\n", {}, "expected a relative path to name a clip after, received '../x.mp4'"),
        ("url\n/x.mp4\n", {}, "expected a relative path to name a clip after, received '/x.mp4'"),
        ("url,id\nx.mp4,../../y\n", {"name_column": "id"}, "expected a relative path .* received '../../y'"),
        ("url,id\nx.mp4,y\nz.mp4,y\n", {"name_column": "id"}, "two videos have the name 'y.mp4'"),
        ("url\n \n", {}, "expected videos in the column 'url', found none"),
    ],
)
def test_tables_that_cannot_be_used(text: str, options: dict[str, str], message: str, tmp_path: Path) -> None:
    (tmp_path / "videos.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        open_videos(os.fspath(tmp_path / "videos.csv"), **options)


def test_two_videos_that_would_become_one_clip(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x.mkv, x.mp4 would all become x.npz: give a column of names"):
        LocatedVideos({"x.mkv": "x.mkv", "x.mp4": "x.mp4"}).names()


def test_places_that_cannot_be_opened(memory: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="memory://corpus/nowhere.mp4: expected videos .*, found none"):
        open_videos("memory://corpus/nowhere.mp4")
    fsspec.filesystem("memory").makedirs("/corpus/empty")
    with pytest.raises(ValueError, match="memory://corpus/empty: expected videos"):
        open_videos("memory://corpus/empty")
    with pytest.raises(ValueError, match="'nonsense://a': cannot be opened"):
        open_videos("nonsense://a")
    with pytest.raises(ValueError, match="--column and --name-column belong to a table"):
        open_videos(memory, column="url")
    with pytest.raises(FileNotFoundError, match="no such file"):
        open_videos(os.fspath(tmp_path / "nowhere.parquet"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fsspec.core, "url_to_fs", lambda address: (_ for _ in ()).throw(ImportError("Install s3fs")))
        with pytest.raises(MissingExtraError, match="s3:// needs another package: Install s3fs"):
            open_videos("s3://bucket/videos")


def test_a_server_that_fails_for_a_while_costs_nothing(server: _Server, tmp_path: Path) -> None:
    server.num_unavailable = 2
    videos = LocatedVideos({"a.mkv": f"{server.url}/a.mkv"})
    assert extract_poses(PoseExtraction(videos, tmp_path, "dots"))["num_clips"] == 1


def test_a_server_that_fails_for_a_run_is_asked_again_in_the_next(server: _Server, tmp_path: Path) -> None:
    server.num_unavailable = 99
    videos = LocatedVideos({"a.mkv": f"{server.url}/a.mkv"})
    (report,) = extract_poses(PoseExtraction(videos, tmp_path, "dots"))["failed"]
    assert report["is_passing"] and report["error"].startswith("a.mkv: could not be fetched now")
    assert server.url not in json.dumps(read_manifest(tmp_path))
    server.num_unavailable = 0
    assert extract_poses(PoseExtraction(videos, tmp_path, "dots"))["num_clips"] == 1


def test_names_hold_no_secrets_and_lead_nowhere_else() -> None:
    assert name_of_address("s3://bucket/a/b.mp4") == "bucket/a/b.mp4"
    assert name_of_address("https://user:pass@host:80/%2e%2e/../x/./y.mp4?sig=1#part") == "host/x/y.mp4"


def test_a_table_serves_extraction_and_building(folder: Path, server: _Server, tmp_path: Path) -> None:
    table = tmp_path / "videos.csv"
    lines = [f"{server.url}/{name}?x=1,{word},train" for name, word in (("a.mkv", "one"), ("sub/c.mkv", "two"))]
    table.write_text("\n".join(["url,label,split", *lines]) + "\n")
    extract_poses(PoseExtraction(open_videos(os.fspath(table)), tmp_path / "clips", "dots"))
    shutil.copy(table, tmp_path / "clips" / "metadata.csv")
    report = build_dataset("folder", tmp_path / "built", tmp_path / "clips", path_column="url")
    rows = [row for path in (tmp_path / "built/data").iterdir() for row in parquet.read_table(path).to_pylist()]
    assert report["missing"] == [] and {(row["sample_id"], row["text"], row["num_frames"]) for row in rows} == {
        ("127.0.0.1/a", "one", 3),
        ("127.0.0.1/sub/c", "two", 4),
    }


@pytest.mark.slow
def test_workers_fetch_and_a_download_that_hangs_is_told(
    folder: Path, server: _Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # processes of their own
    networks = [
        *("--estimator", "rtmlib", "--detector", str(write_detector(tmp_path / "d.onnx", box=(0, 0, 64, 43)))),
        *("--estimator-model", str(write_pose_network(tmp_path / "p.onnx"))),
    ]
    table = tmp_path / "videos.csv"
    table.write_text(
        "".join(f"{line}\n" for line in ("url", *(f"{server.url}/{name}" for name in ("a.mkv", "b.mkv"))))
    )
    server.is_slow = "b.mkv"
    command = ["extract-poses", str(table), "--out", str(tmp_path / "out"), *networks]
    assert cli.main([*command, "--workers", "2", "--timeout", "8"]) == 1
    assert "127.0.0.1/b.mkv: the process had not finished it after 8 seconds" in capsys.readouterr().err
    assert not (tmp_path / "out" / ".extraction").exists()
    server.is_slow = ""
    assert cli.main([*command, "--workers", "2", "--retry-failed"]) == 0
    assert {path for path in _contents(tmp_path / "out") if path.endswith(".npz")} == {
        "127.0.0.1/a.npz",
        "127.0.0.1/b.npz",
    }
