"""Videos: upright RGB frames, and one clear line for everything that is none."""

import sys
from pathlib import Path

import numpy as np
import pytest
from odd_videos import turn_clockwise

from modeling_sigma.extraction import video
from modeling_sigma.extraction.video import DecodingLog, frame_rate, read_frames, rotate
from modeling_sigma.io.reading_errors import MissingExtraError


av = pytest.importorskip("av", reason="needs PyAV")

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corners() -> np.ndarray:
    """A picture (48, 64, 3) with a colour in each corner: red, green / blue, white."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32], picture[:24, 32:], picture[24:, :32], picture[24:, 32:] = RED, GREEN, BLUE, WHITE
    return picture


def write_video(path: Path, num_frames: int = 5, rate: int = 10) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 1_000_000
        for _ in range(num_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(corners(), format="rgb24")))
        container.mux(stream.encode())
    return path


def corner_colours(frame: np.ndarray) -> list[tuple[int, int, int]]:
    """The colours near the four corners, in reading order, as pure ones."""
    points = [frame[y, x] for y in (8, -8) for x in (8, -8)]
    return [tuple(int(value > 128) * 255 for value in point) for point in points]


def test_frames_and_header(tmp_path):
    path = write_video(tmp_path / "a.mp4")
    assert frame_rate(path) == 10.0
    frames = list(read_frames(path))
    assert len(frames) == 5
    for frame in frames:
        assert frame.shape == (48, 64, 3) and frame.dtype == np.uint8
        assert corner_colours(frame) == [RED, GREEN, BLUE, WHITE]


def test_rotation_is_applied(tmp_path):
    path = write_video(tmp_path / "a.mp4")
    turn_clockwise(path, stored_height=48)
    frame = next(read_frames(path))
    assert frame.shape == (64, 48, 3)
    assert corner_colours(frame) == [BLUE, RED, WHITE, GREEN]


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (0, [RED, GREEN, BLUE, WHITE]),
        (90, [GREEN, WHITE, RED, BLUE]),
        (-90, [BLUE, RED, WHITE, GREEN]),
        (270, [BLUE, RED, WHITE, GREEN]),
        (180, [WHITE, BLUE, GREEN, RED]),
        (-180, [WHITE, BLUE, GREEN, RED]),
        (-89.6, [BLUE, RED, WHITE, GREEN]),
    ],
)
def test_rotate(degrees, expected):
    turned = rotate(corners(), degrees)
    assert corner_colours(turned) == expected and turned.flags.c_contiguous


def test_frames_come_one_at_a_time_and_an_early_end_closes_the_file(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", num_frames=50)
    files, pictures, open_container = [], [], av.open
    monkeypatch.setattr(av, "open", lambda file: files.append(file) or open_container(file))
    monkeypatch.setattr(video, "rotate", lambda frame, degrees: pictures.append(frame) or frame)
    frames = read_frames(path)
    for num_frames in (1, 2, 3):
        next(frames)
        assert len(pictures) == num_frames, "no frame is decoded before it is asked for"
    assert not files[0].closed
    frames.close()
    assert files[0].closed


@pytest.mark.parametrize("raw", [b"", b"not a video", bytes(10_000), b"\x00\x00\x00\x18ftypmp42" + bytes(100)])
def test_other_files(raw, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(raw)
    for read in (frame_rate, lambda path: list(read_frames(path))):
        with pytest.raises(ValueError, match=r"a.mp4: cannot be read as a video") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_file_without_pictures(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match=r"a.mp4: expected a video, received a file without pictures"):
        frame_rate(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_truncated_videos_end_early_or_in_value_errors(suffix, tmp_path):
    path = write_video(tmp_path / f"a{suffix}")
    raw = path.read_bytes()
    for length in range(0, len(raw), len(raw) // 40):
        path.write_bytes(raw[:length])
        try:
            assert len(list(read_frames(path))) <= 5
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")


def test_missing_files_and_missing_library(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        next(read_frames(tmp_path / "nowhere.mp4"))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        MissingExtraError, match=r'a.mp4: reading a video needs PyAV: pip install -e ".\[video\]" in the folder'
    ):
        frame_rate(tmp_path / "a.mp4")


@pytest.mark.data
@pytest.mark.parametrize(("name", "num_frames"), [("sample_01", 22), ("sample_02", 16)])
def test_samples(shared_data, name, num_frames):
    path = shared_data / "samples" / "video" / f"{name}.mp4"
    assert frame_rate(path) == 24
    frames = list(read_frames(path))
    assert len(frames) == num_frames and all(frame.shape == (250, 250, 3) for frame in frames)
    assert 20 < np.mean(frames[0]) < 235


def _write_pngs(path: Path, num_frames: int = 6) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        for _ in range(num_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(corners(), format="rgb24")))
        container.mux(stream.encode())
    return path


def test_broken_frames_are_counted(tmp_path):
    path = _write_pngs(tmp_path / "a.mov")
    raw = path.read_bytes()
    starts = [place for place in range(len(raw)) if raw.startswith(b"\x89PNG", place)]
    assert len(starts) == 6
    for place in starts[1:3]:
        raw = raw[:place] + bytes(8) + raw[place + 8 :]
    path.write_bytes(raw)
    log = DecodingLog()
    assert len(list(read_frames(path, log))) == 4
    assert len(log.broken) == 2 and "\n" not in log.broken[0]
    assert log.times == pytest.approx([0, 0.3, 0.4, 0.5])
    assert log.frame_rate(10.0) == pytest.approx(6), "three steps in half a second"
    with pytest.raises(ValueError, match=r"a.mov: cannot be read as a video"):
        list(read_frames(path))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_video_without_frames(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    try:
        assert list(read_frames(path)) == []
    except ValueError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)


def test_a_variable_frame_rate_is_averaged(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for t in (0, 1, 2, 3, 4, 5, 30, 60, 90, 119):  # a burst, and then a frame a second
            frame = av.VideoFrame.from_ndarray(corners(), format="rgb24")
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    log = DecodingLog()
    assert len(list(read_frames(path, log))) == 10
    assert frame_rate(path) == 30, "that of the clock"
    assert log.frame_rate(30) == pytest.approx(9 / 119 * 30, rel=0.001)


@pytest.mark.parametrize(
    ("times", "stated", "expected"),
    [
        ([], 25, 25),
        ([0.0], None, None),
        ([0.0, 0.033, 0.067], 30, 30),  # rounded to milliseconds
        ([0.0, 0.5, 1.0], None, 2),
        ([0.0, 0.5, 1.0], 30, 2),
        ([1.0, 1.0], 30, 30),
        ([2.0, 1.0], 30, 30),
    ],
)
def test_rates_of_frames(times, stated, expected):
    assert DecodingLog(times=times).frame_rate(stated) == expected
