"""Videos as people have them, and worse: what a page and an extraction must bear."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np


def write_odd_videos(folder: Path, pictures: Sequence[np.ndarray]) -> dict[str, Path]:
    """Writes one file of each kind.

    Args:
        folder (`Path`): Where to.
        pictures (`Sequence[np.ndarray]`): Square frames `(S, S, 3)` of somebody, uint8, RGB, 24 of them a second; at
            rest at their beginning and end.
    """
    half = len(pictures[0]) // 2
    upright = [picture[:, half // 3 : 2 * half - half // 3] for picture in pictures]
    size = 2160 // len(pictures[0]) + 1
    noise = np.random.default_rng(0).integers(0, 255, (24, 96, 128, 3), np.uint8)
    files = {
        "plain": write_video(folder / "plain.mp4", pictures),
        "nobody": write_video(folder / "nobody.mp4", noise),
        "five_people": write_video(folder / "five_people.mp4", (np.tile(one, (1, 5, 1)) for one in upright)),
        "portrait": write_video(folder / "portrait.mp4", (np.rot90(one) for one in upright)),
        "variable_rate": write_video(
            folder / "variable_rate.mp4", pictures, places=[2 * t + t % 2 for t in range(len(pictures))]
        ),
        "4k": write_video(
            folder / "4k.mp4", (np.repeat(np.repeat(one, size, 0), size, 1)[:2160, :2160] for one in pictures[::8]), 3
        ),
        "no_frames": write_video(folder / "no_frames.mp4", []),
        "sound_alone": _write_sound(folder / "sound_alone.mp4"),
    }
    turn_clockwise(files["portrait"], stored_height=upright[0].shape[1])
    whole = files["plain"].read_bytes()
    for name, share in (("truncated", 0.5), ("truncated_head", 0.02)):
        files[name] = folder / f"{name}.mp4"
        files[name].write_bytes(whole[: int(share * len(whole))])
    streamed = write_video(folder / "cut.mkv", pictures).read_bytes()
    files["cut"] = folder / "cut.webm"  # a format that can be read without its end
    (folder / "cut.mkv").unlink()
    files["cut"].write_bytes(streamed[: len(streamed) // 2])
    files["no_video"] = folder / "no_video.mp4"
    files["no_video"].write_text("This is no video.", encoding="ascii")
    return files


def write_video(
    path: Path, pictures: Iterable[np.ndarray], rate: int = 24, places: Sequence[int] | None = None
) -> Path:
    """Writes H.264, which browsers play; `places` are the times of the frames in units of `1 / (2 * rate)` s."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate if places is None else 2 * rate)
        stream.pix_fmt, stream.options = "yuv420p", {"preset": "ultrafast", "crf": "20"}
        stream.width, stream.height = 64, 48
        for number, picture in enumerate(pictures):
            if not number:
                stream.height, stream.width = (side - side % 2 for side in picture.shape[:2])
            picture = np.ascontiguousarray(picture[: stream.height, : stream.width])
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number if places is None else places[number]
            container.mux(stream.encode(frame))
        container.start_encoding()  # a header, where there was no picture
        container.mux(stream.encode())
    return path


def write_camera(path: Path, pictures: Iterable[np.ndarray]) -> Path:
    """Writes what Chromium shows in the place of a camera, again and again, at 30 pictures a second: a .mjpeg file."""
    import av

    with av.open(str(path), "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.pix_fmt = "yuvj420p"
        for number, picture in enumerate(pictures):
            if not number:
                stream.height, stream.width = picture.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())
    return path


def turn_clockwise(path: Path, stored_height: int) -> None:
    """Writes the note "show this a quarter turn clockwise" into an mp4 file, as a phone does."""
    raw = bytearray(path.read_bytes())
    matrix = raw.index(b"tkhd") + 4 + 40
    one = 1 << 16
    values = (0, one, 0, -one, 0, 0, stored_height * one, 0, 1 << 30)
    for place, value in enumerate(values):
        raw[matrix + 4 * place : matrix + 4 * place + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(raw)


def _write_sound(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return path
