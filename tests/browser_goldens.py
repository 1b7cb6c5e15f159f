"""Cases that Python and the page of examples/browser are both tested with: what goes in, and what Python answers.

`python tests/browser_goldens.py` writes them anew, after a change of Python's answers that is meant.
"""

import json
from pathlib import Path

import numpy as np

from modeling_sigma.extraction.doubled_hands import hide_doubled_hands
from modeling_sigma.inference.dictionary_entries import DictionaryEntry
from modeling_sigma.inference.dictionary_search import DictionarySearch
from modeling_sigma.inference.sign_segmentation import SignSegmenter
from modeling_sigma.model.calibration_sigma import Calibration, calibrated_answers, knownness, movement
from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import LAYOUTS


FOLDER = Path(__file__).parent / "artifacts" / "browser"
ROOT = Path(__file__).parents[1]
PAGE_LAYOUTS = ("mediapipe_holistic_553", "mediapipe_holistic_75", "hands_42", "sigma_69")


def extractor_cases():
    """Clips of several layouts, with parts that are not found, read with the settings of the shipped checkpoint, and
    with the paper's."""
    shipped = json.loads((ROOT / "checkpoints/sigma-wlasl-hands/preprocessor_config.json").read_text(encoding="utf-8"))
    paper = SigmaFeatureExtractor(max_frames=6).to_dict()
    shipped = {**shipped, "max_frames": 9}  # of 32: a shorter file
    cases = []
    for number, (layout, num_frames, settings) in enumerate(
        [
            ("mediapipe_holistic_75", 7, shipped),
            ("mediapipe_holistic_75", 12, shipped),
            ("hands_42", 1, shipped),
            ("hands_42", 14, shipped),
            ("sigma_69", 5, paper),
            ("sigma_69", 11, paper),
            ("sigma_69", 6, {**shipped, "learnt_aspect_ratio": 1.7}),
            ("mediapipe_holistic_75", 4, paper),
            ("hands_42", 20, shipped),
            ("hands_42", 40, {**shipped, "trim_rest": True}),
            ("mediapipe_holistic_75", 40, {**shipped, "mend_hands": False, "trim_rest": True}),
        ]
    ):
        rng = np.random.default_rng(number)
        size = LAYOUTS[layout].num_keypoints
        points = rng.uniform(50, 500, (1, size, 2)) + rng.normal(0, 15, (num_frames, size, 2)).cumsum(axis=0)
        scores = rng.uniform(0.25, 1, (num_frames, size))
        for side in ("left_hand", "right_hand"):  # hands are found, or they are not
            joints = list(getattr(LAYOUTS[layout], side))
            lost = rng.random(num_frames) < 0.3
            scores[:, joints] = np.where(lost, 0.0, 1.0)[:, None]
        if number == 4:  # no head in the body, and a hand without its wrist
            scores[:, :3] = 0
            scores[2, 9] = 0
        if number == 8:  # hands of the size of hands, with joints and a whole hand elsewhere
            points = 0.2 * points + 300
            points[rng.random((num_frames, size)) < 0.03] = (610, 30)
            points[8, :21] += 400
            scores[7:10, :21] = 1
        if number > 8:  # hands that rest, are raised, sign, and rest again
            hands = [*LAYOUTS[layout].left_hand, *LAYOUTS[layout].right_hand]
            shape = rng.uniform(0, 40, (1, len(hands), 2))
            moving = shape + [300, 150] + rng.normal(0, 8, (20, 1, 2)).cumsum(axis=0)
            raised = np.linspace(shape + [300, 420], moving[:1], 7)[1:-1, 0]
            lowered = np.linspace(moving[-1:], shape + [300, 420], 5)[1:-1, 0]
            resting = shape + [300, 420]
            points[:, hands] = np.concatenate([resting] * 12 + [raised, moving[8:], lowered] + [resting] * 8)
            scores[:, hands] = 1
        points, scores = points.round(1).astype(np.float32), scores.round(2).astype(np.float32)
        clip = PoseClip(
            points, scores, layout, width=640, height=480, coordinates="pixels", fps=20 if number == 9 else None
        )
        extractor = SigmaFeatureExtractor.from_dict(settings)
        values = extractor.extract(clip, extractor.max_frames)
        frames = np.dstack([points, scores])
        cases.append(
            {
                "layout": layout,
                "settings": settings,
                "fps": clip.fps,
                "frames": _listed(frames.reshape(num_frames, -1), 2),
                "values": _listed(values.reshape(len(values), -1), 7),
            }
        )
    return cases


def segmentation_cases():
    """Streams of few joints (joint -> x, y, score) with their times, and the borders that are found."""
    cases = []

    def add(name, frames, times):
        segmenter, borders = SignSegmenter(), []
        for frame, time in zip(frames, times):
            points = np.zeros((69, 3))
            for joint, values in frame.items():
                points[int(joint)] = values
            borders += segmenter.push(points[:, :2], points[:, 2], time)
        borders += segmenter.finish()
        listed = [[b.kind, b.start, b.stop, round(b.start_time, 9), round(b.stop_time, 9)] for b in borders]
        cases.append(
            {"name": name, "frames": frames, "times": [round(float(time), 9) for time in times], "borders": listed}
        )

    def body(right=None, left=None, shoulders=True, wrist=None):
        frame = {"3": [200, 100, 0.9], "4": [100, 100, 0.9]} if shoulders else {}
        for first, drop in ((30, right), (9, left)):
            if drop is not None:
                y = round(100 + 100 * drop, 3)
                frame |= {str(first): [150, y - 5, 1], str(first + 1): [160, y + 5, 1]}
        return frame | ({} if wrist is None else {"8": [120, 100 + 100 * wrist, 0.9]})

    def at(count, fps=25):
        return np.round(np.arange(count) / fps, 9)

    up, down, lost = body(0.3), body(1.2), body()
    add("hands at rest", [down] * 20, at(20))
    add("one sign", [down] * 10 + [up] * 20 + [down] * 20, at(50))
    add("held, but never raised", [down] * 5 + [body(0.9)] * 20, at(25))
    add("raised, then held", [down] * 10 + [body(0.7)] * 3 + [body(0.9)] * 17 + [down] * 20, at(50))
    add("too short by one frame", [down] * 10 + [up] * 5 + [down] * 20, at(35))
    add("just long enough", [down] * 10 + [up] * 6 + [down] * 20, at(36))
    add("lost for 0.4 s", [up] * 20 + [lost] * 9 + [up] * 20, at(49))
    add("lost for longer", [up] * 20 + [lost] * 10 + [up] * 20, at(50))
    add("one hand after the other", [body(0.2, 1.2)] * 10 + [body(1.2, 0.2)] * 10, at(20))
    add("no body", [{}] * 5 + [body(5.0, shoulders=False)] * 10 + [{}] * 15, at(30))
    unseen = [body(1.2, shoulders=False)] * 5 + [body(0.3, shoulders=False)] * 9
    add("the shoulders last seen", [down] * 5 + unseen, at(19))
    add("a wrist without its hand", [body(wrist=1.2)] * 5 + [body(wrist=0.3)] * 15, at(20))
    add("a gap in time", [up] * 40, [*at(20), *(100 + at(20))])
    add("a slow camera", [down] * 3 + [up] * 6 + [down] * 4, at(13, 4))
    add("two frames a second", [down] * 3 + [up] * 4 + [down] * 3, at(10, 2))
    add("a camera that halts for 0.9 s", [down] * 5 + [up] * 20 + [down] * 15, [*at(15), *(1.46 + at(25))])
    add("lost just before it halts", [up] * 10 + [lost] + [up] * 10, [*at(11), *(1.0 + at(10))])
    add("longer than ten seconds", [up] * 110, at(110, 10))
    rng = np.random.default_rng(0)
    drops = np.round(np.cumsum(rng.normal(0, 0.2, 250)) % 1.6, 3)
    times = np.round(np.cumsum(rng.uniform(0.02, 0.09, 250)), 6)
    add("uneven times", [lost if rng.random() < 0.1 else body(float(drop)) for drop in drops], times)
    return cases


def calibration_cases():
    rng = np.random.default_rng(0)
    calibration = Calibration(1.3, 4.0, 0.05, 0.05, [0.9], [0.01], "made-up clips", 10)
    labels = [f"sign {number}" for number in range(12)]
    cases = []
    for size, moves in ((3.0, 0.3), (3.0, 0.001), (0.1, 0.3)):
        logits = rng.normal(0, size, 12).round(4)
        values = rng.normal(0, moves, (5, 69, 3)).round(4)
        values[..., 2] = (rng.random((5, 69)) < 0.6).astype(float)
        values[values[..., 2] == 0] = 0
        (moved,) = movement(values[None], np.ones((1, 5)))
        cases.append(
            {
                "logits": logits.tolist(),
                "values": _listed(values.reshape(5, -1), 4),
                "calibration": calibration.as_dict(),
                "labels": labels,
                "movement": float(moved),
                "knownness": float(knownness(logits)),
                "answers": calibrated_answers(logits, float(moved), calibration, labels, top_k=5),
            }
        )
    return cases


def doubled_hand_cases():
    """Of the keypoints of one frame those that are used, and which hands are taken back."""
    layout = LAYOUTS["mediapipe_holistic_553"]
    cases = []
    for left_wrist in ([400.0, 300.0], [120.0, 210.0]):
        keypoints, scores = np.zeros((1, 553, 2), np.float32), np.zeros((1, 553), np.float32)
        found = {
            layout.body[7]: left_wrist,
            layout.body[8]: [100.0, 200.0],
            **{place: [105.0 + k, 200.0 - k] for k, place in enumerate(layout.left_hand)},
            **{place: [100.0 + 3 * k, 200.0 - 3 * k] for k, place in enumerate(layout.right_hand)},
        }
        for place, point in found.items():
            keypoints[0, place], scores[0, place] = point, 1
        hidden = hide_doubled_hands((keypoints, scores), layout.name)[1][0]
        shown = [side for side in ("left_hand", "right_hand") if hidden[list(getattr(layout, side))].all()]
        cases.append({"points": {str(place): point for place, point in found.items()}, "shown": shown})
    return cases


def similarity_cases():
    """Dictionaries of made-up vectors, with queries: a few signs, pairs of clips, and enough signs for a threshold."""
    cases = []
    for number, (num_signs, num_clips) in enumerate([(1, 1), (3, 1), (4, 3), (12, 2), (12, 1)]):
        rng = np.random.default_rng(number)
        middles = rng.normal(0, 1, (num_signs, 8)) + 1
        vectors = np.repeat(middles, num_clips, axis=0) + rng.normal(0, 0.3, (num_signs * num_clips, 8))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        labels = [f"sign {row // num_clips}" for row in range(len(vectors))]
        entries = [DictionaryEntry(label, f"{label}/{row}") for row, label in enumerate(labels)]
        search = DictionarySearch(vectors, entries)
        queries = rng.normal(0, 1, (3, 8)) + 1
        queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
        found = [[[m.sign[1], m.similarity] for m in search.search(query, 5)] for query in queries]
        cases.append(
            {
                "vectors": _listed(vectors, 8),
                "labels": labels,
                "queries": _listed(queries, 8),
                "threshold": search.threshold(0.1),
                "found": found,
            }
        )
    return cases


GOLDENS = {
    "extractor": extractor_cases,
    "segmentation": segmentation_cases,
    "calibration": calibration_cases,
    "doubled_hands": doubled_hand_cases,
    "similarity": similarity_cases,
    "layouts": lambda: {name: list(LAYOUTS[name].joint_indices) for name in PAGE_LAYOUTS},
}


def _listed(values, digits):
    return np.asarray(values, np.float64).round(digits).tolist()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, make in GOLDENS.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(make(), separators=(",", ":")) + "\n", encoding="utf-8")
