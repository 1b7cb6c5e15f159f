"""The page of examples/browser against Python: equal answers, delay, requests, memory. Needs npm, and Chromium.

    sigma-slu live --model checkpoints/sigma-wlasl-hands --out SITE
    python benchmarks/live_page.py answers --site SITE --data ../shared/data/wlasl_hands

writes benchmarks/results/live_page_<task>.json; RESULTS.md quotes it. `answers`: 200 test clips of WLASL-hands, read
by the model in torch, exported in float32, float16 and int8, and by the page. `stream`: delays from a sign's end to
its answer, and requests after loading. `camera`: the same with real videos (`--data ../shared/data/samples/video`) in
the place of a camera, through MediaPipe in the page; how many pictures it reads a second, and in how many a skeleton
is drawn. `memory`: ten minutes of keypoints that repeat. `taught`: up to nine signs of Bangla Sign Language taught
with up to five recordings; how often a fixed cosine finds them in another session, and takes another sign for one of
them (`--data ../shared/data/bdsl_words`). `rates`: what it costs to see few pictures of a sign. The last two need no
site.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from pathlib import Path

import numpy as np

from modeling_sigma.conversion.export import export_onnx
from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.model.clip_units import x_factor
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.serving.static_server import static_server


CAMERA = (640, 480, 30)  # what the page asks of a camera: width, height, pictures a second
VIDEOS = ("signer_crop480.mp4", "sinhala_001.mp4")  # hands at rest, one sign or two, hands at rest
ROOT = Path(__file__).parents[1]
DRIVER = ROOT / "examples" / "browser" / "drive.mjs"
SIZE = (1224, 720)  # WLASL-hands states shares of an image of this shape
TOP_K = 5


def wlasl_clips(data, count):
    """Some test clips, the same ones every time: word, and `(T, 42, 3)` points in pixels."""
    from datasets_scripts.wlasl_hands import load_wlasl_hands

    samples = load_wlasl_hands(data, "wlasl2000", "test")
    chosen = sorted(np.random.default_rng(0).choice(len(samples), count, replace=False))
    clips = []
    for index in chosen:
        clip = samples[index].clip
        assert x_factor(clip, 1.0) == 1.7
        points = np.dstack([clip.keypoints * np.array(SIZE), clip.scores[..., None]]).astype(np.float32).round(3)
        clips.append((samples[index].word, points))
    return clips


def written(points, path):
    """Writes frames as the page replays them, and returns the name of the file."""
    frames = [frame.ravel().tolist() if frame is not None else None for frame in points]
    facts = {"layout": "hands_42", "width": SIZE[0], "height": SIZE[1], "fps": 29.97}
    path.write_text(json.dumps({**facts, "frames": frames}))
    return path.name


def drive(site, task, options):
    """What the driver prints, for a site that is served meanwhile."""
    with static_server(site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        command = ["node", str(DRIVER), url, task, json.dumps(options)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
        server.shutdown()
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def compare(model, clips, answered):
    """How often the five likeliest signs of all runtimes are the same ones in the same order, and the first one."""
    torch_pipe = load_pipeline(model, device="cpu", dtype="float32")
    with tempfile.TemporaryDirectory() as scratch:
        exported = export_onnx(
            torch_pipe.model, torch_pipe.feature_extractor, Path(scratch) / "exported", int8=True, float16=True
        )
        return _compare(exported, torch_pipe, clips, answered)


def _compare(exported, torch_pipe, clips, answered):
    pipes = {
        "torch": torch_pipe,
        "onnx": load_pipeline(exported, dtype="float32"),
        **{name: load_pipeline(exported, dtype=name) for name in ("float16", "int8")},
    }
    facts = {"layout": "hands_42", "width": SIZE[0], "height": SIZE[1], "coordinates": "pixels"}
    found = {
        name: [pipe(PoseClip(points[..., :2], points[..., 2], **facts), top_k=TOP_K) for _, points in clips]
        for name, pipe in pipes.items()
    }
    found["page"] = [one["answers"] for one in answered]
    words = [word for word, _ in clips]
    report = {}
    for name, rows in found.items():
        labels = [[answer["label"] for answer in row] for row in rows]
        torch = [[answer["label"] for answer in row] for row in found["torch"]]
        report[name] = {
            "same_five_in_order": sum(one == other for one, other in zip(labels, torch)),
            "same_five": sum(set(one) == set(other) for one, other in zip(labels, torch)),
            "same_first": sum(one[0] == other[0] for one, other in zip(labels, torch)),
            "top1": sum(one[0] == word for one, word in zip(labels, words)),
            "top5": sum(word in one for one, word in zip(labels, words)),
            "largest_difference_of_a_score": max(
                abs(a["score"] - b["score"]) for one, other in zip(rows, found["torch"]) for a, b in zip(one, other)
            ),
        }
    unknown = [row[0]["unknown"] for row in found["torch"]]
    report["same_unknown"] = sum(one == other["unknown"] for one, other in zip(unknown, answered))
    milliseconds = [one["milliseconds"] for one in answered]
    report["page_milliseconds_p50_p95"] = np.percentile(milliseconds, [50, 95]).round(1).tolist()
    return report


def taught(model, data):
    """What a fixed cosine finds of few signs."""
    from datasets_scripts.bdsl_words import BdslWords

    pipe = load_pipeline(model, "sign-feature-extraction", device="cpu")
    with tempfile.TemporaryDirectory() as cache:
        builder = BdslWords(config_name="bdsl55", data_dir=data, cache_dir=cache)
        entries = [entry for split in ("train", "test") for entry in builder.list_clips(split)]
        signer = min(entry.signer_id for entry in entries)
        words = sorted({entry.text for entry in entries if entry.signer_id == signer and entry.split == "train"})[:24]
        kept, counts = [], Counter()
        for entry in entries:
            key, most = (entry.split, entry.text), 5 if entry.split == "train" else 4
            if entry.signer_id == signer and entry.text in words and counts[key] < most:
                counts[key] += 1
                kept.append(entry)
        vectors = np.array([np.ravel(pipe(builder.read_clip(entry))) for entry in kept])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.array([entry.text for entry in kept])
    is_first = np.array([entry.split == "train" for entry in kept])
    return {"clips": len(kept), "words": len(words), "rows": few_signs(vectors, labels, is_first)}


def few_signs(vectors, labels, is_first):
    """For up to nine signs taught in the first session: how often a cosine finds them in the second, and others."""
    words = sorted(set(labels))
    rng, report = np.random.default_rng(0), []
    for num_clips in (1, 3, 5):
        for num_signs in (1, 5, 9):
            own, others = [], []
            for _ in range(60):
                signs = rng.choice(words, num_signs, replace=False)
                rows = {s: rng.permutation(np.flatnonzero((labels == s) & is_first))[:num_clips] for s in signs}
                for query in np.flatnonzero(~is_first):
                    best, sign = max((float((vectors[rows[s]] @ vectors[query]).max()), s) for s in signs)
                    if labels[query] in signs:
                        own.append(best if sign == labels[query] else -1.0)
                    else:
                        others.append(best)
            report.append({"recordings": num_clips, "signs": num_signs, "found_and_others_taken_percent": {
                str(limit): [round(100 * float(np.mean(np.array(some) >= limit)), 1) for some in (own, others)]
                for limit in (0.5, 0.6, 0.65, 0.7, 0.8)
            }})  # fmt: skip
    return report


def written_camera(video, path):
    """Writes what Chromium shows in the place of a camera: a video at its size and rate, and a second of rest."""
    import av

    width, height, rate = CAMERA
    with av.open(str(video)) as container:
        pictures = [(frame.time, frame.to_rgb()) for frame in container.decode(video=0)]
    shown, place = [], 0
    for number in range(round(rate * (pictures[-1][0] + 1))):
        while place + 1 < len(pictures) and pictures[place + 1][0] <= number / rate:
            place += 1
        shown.append(place)
    written_pictures = {}
    with open(path, "wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C420jpeg\n".encode())
        for place in shown:
            if place not in written_pictures:
                picture = pictures[place][1]
                scale = min(width / picture.width, height / picture.height)
                size = [2 * round(side * scale / 2) for side in (picture.width, picture.height)]
                small = picture.reformat(*size, format="rgb24").to_ndarray()
                whole = np.full((height, width, 3), 40, np.uint8)
                top, left = (height - size[1]) // 2, (width - size[0]) // 2
                whole[top : top + size[1], left : left + size[0]] = small
                planes = av.VideoFrame.from_ndarray(whole, format="rgb24").reformat(format="yuvj420p").to_ndarray()
                written_pictures[place] = b"FRAME\n" + planes.tobytes()
            file.write(written_pictures[place])


def camera(site, data, seconds):
    """What the page sees of each video, shown again and again."""
    report = {}
    for name in VIDEOS:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "camera.y4m"
            written_camera(data / name, path)
            told = drive(site, "camera", {"camera": str(path), "seconds": seconds})
        pictures = told["pictures"]
        rates = [float(found[1]) for one in pictures if (found := re.match(r"([\d.]+) pictures/s", one["speed"]))]
        delays = [sign["delay"] for sign in told["history"]]
        report[name] = {
            "pictures_a_second_median": float(np.median(rates)) if rates else None,
            "seconds": len(pictures),
            "drawn_share": round(float(np.mean([one["isDrawn"] for one in pictures])), 3),
            "phases": dict(Counter(one["phase"] for one in pictures)),
            "signs": [[round(sign["start"], 2), round(sign["end"], 2), sign["text"]] for sign in told["history"]],
            "delay_p50_p95": np.percentile(delays, [50, 95]).round(3).tolist() if delays else None,
            "warning": pictures[-1]["warning"],
            "requests": told["requests"],
            "errors": told["errors"],
        }
    return report


def rates(model, data, count):
    """What the model makes of signs of which a slow device sees few pictures."""
    pipe = load_pipeline(model, device="cpu", dtype="float32")
    clips = wlasl_clips(data, count)
    facts = {"layout": "hands_42", "width": SIZE[0], "height": SIZE[1], "coordinates": "pixels"}
    rng, recorded, rows = np.random.default_rng(0), 29.97, []
    for rate in (recorded, 15, 10, 8, 6, 4, 3, 2):
        found, lengths = Counter(), []
        for word, points in clips:
            step = recorded / rate
            kept = np.arange(rng.uniform(0, step) if step > 1 else 0, len(points), step).astype(int)
            seen = points[kept if len(kept) else [len(points) // 2]]
            answers = pipe(PoseClip(seen[..., :2], seen[..., 2], **facts), top_k=TOP_K, allow_unseen=True)
            labels = [answer["label"] for answer in answers]
            found.update(top1=labels[0] == word, top5=word in labels)
            lengths.append(len(seen))
        shares = {name: round(100 * found[name] / len(clips), 1) for name in ("top1", "top5")}
        rows.append({"pictures_a_second": rate, **shares, "median_pictures": float(np.median(lengths))})
    return {"clips": len(clips), "rows": rows}


def in_browser(args):
    """What the page does in Chromium."""
    with tempfile.TemporaryDirectory() as scratch:
        site = Path(scratch) / "site"
        shutil.copytree(args.site, site)
        clips = wlasl_clips(args.data, args.clips if args.task == "answers" else 20)
        rest = [None] * 25
        replay = written(
            [frame for _, points in clips[:20] for frame in (*rest, *points)] + rest, site / "replay.json"
        )
        if args.task == "answers":
            everything = [
                {"layout": "hands_42", "frames": points.reshape(len(points), -1).tolist()} for _, points in clips
            ]
            path = Path(scratch) / "clips.json"
            path.write_text(json.dumps(everything))
            answered = drive(site, "answers", {"clips": str(path), "replay": replay})
            report = {"clips": len(clips), **compare(args.model, clips, answered["answers"])}
        elif args.task == "stream":
            told = drive(site, "stream", {"replay": replay, "signs": args.signs})
            delays = [sign["delay"] for sign in told["history"]]
            report = {"signs": len(delays), "delay_p50_p95": np.percentile(delays, [50, 95]).round(3).tolist()}
        else:
            told = drive(site, "memory", {"replay": replay, "seconds": args.seconds})
            report = {"megabytes": [round(size / 1e6, 2) for size in told["sizes"]], "signs_in_page": told["signs"]}
        if args.task != "answers":
            report |= {"requests": told["requests"], "errors": told["errors"]}
    return report


def main():
    """Measures one of the tasks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["answers", "stream", "camera", "rates", "memory", "taught"])
    parser.add_argument("--site", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/wlasl_hands")
    parser.add_argument("--model", default=str(ROOT / "checkpoints/sigma-wlasl-hands"))
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--signs", type=int, default=60)
    parser.add_argument("--seconds", type=int, default=600)
    args = parser.parse_args()
    if args.task == "taught":
        report = taught(args.model, args.data)
    elif args.task == "rates":
        report = rates(args.model, args.data, args.clips)
    elif args.task == "camera":
        report = camera(args.site, args.data, args.seconds)
    else:
        report = in_browser(args)
    print(json.dumps(report, indent=1))
    (ROOT / "benchmarks/results" / f"live_page_{args.task}.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
