// Joints and whole hands that jump away for a frame, put back: the twin of model/hand_mending.py. Lengths are in hands:
// from the wrist to the knuckle of the middle finger, in the median of the clip.

import { PARTS } from "./layouts.js";

const HANDS = [PARTS.left_hand, PARTS.right_hand];
const NUM_HAND_JOINTS = 21, MIDDLE_KNUCKLE = 9;
const REACH = 1.75, REACH_IN_FRAME = 4, JUMP = 3, RETURN = 1.5;

const median = (values) => {
  const sorted = Float64Array.from(values).sort(), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

/**
 * Wrist to knuckle of the middle finger, in the median over frames and hands; 0 without a hand.
 * @param {Float64Array[]} frames x, y and score of each of the 69 joints; x and y in one unit
 * @param {number} threshold a joint counts as found where its score exceeds this
 */
export function handLength(frames, threshold) {
  const lengths = [];
  for (const [wrist] of HANDS)
    for (const frame of frames) {
      const a = 3 * wrist, b = 3 * (wrist + MIDDLE_KNUCKLE);
      if (frame[a + 2] > threshold && frame[b + 2] > threshold)
        lengths.push(Math.hypot(frame[b] - frame[a], frame[b + 1] - frame[a + 1]));
    }
  return lengths.length ? median(lengths) : 0;
}

/** Puts joints of hands that are out of place where their neighbours in time say; hands that jump away are not found. */
export function mendHands(frames, threshold) {
  const length = handLength(frames, threshold);
  if (length === 0) return;
  for (const [start] of HANDS) mendHand(frames, start, threshold, length);
}

function mendHand(frames, start, threshold, length) {
  const isFound = (frame, joint) => frame[3 * (start + joint) + 2] > threshold;
  const joints = Array.from({ length: NUM_HAND_JOINTS }, (_, joint) => joint);
  const seen = []; // frames that show more than half of the hand
  frames.forEach((frame, t) => {
    const found = joints.filter((joint) => isFound(frame, joint));
    if (found.length <= NUM_HAND_JOINTS >> 1) return;
    const middle = [0, 1].map((k) => median(found.map((joint) => frame[3 * (start + joint) + k])));
    const away = joints.map((joint) => {
      if (!isFound(frame, joint)) return 0;
      const place = 3 * (start + joint);
      return Math.hypot(frame[place] - middle[0], frame[place + 1] - middle[1]);
    });
    const reach = Math.max(REACH * length, REACH_IN_FRAME * median(away));
    seen.push({ t, frame, middle, found: joints.map((joint) => isFound(frame, joint)), wrong: away.map((a) => a > reach) });
  });
  for (const joint of joints) fill(seen, joint, 3 * (start + joint));
  for (const { frame } of jumped(seen, length)) frame.fill(0, 3 * start, 3 * (start + NUM_HAND_JOINTS));
}

/** Places a joint, where it is wrong, relative to the middle of its hand, as between the frames in which it is right. */
function fill(seen, joint, place) {
  const right = seen.filter(({ found, wrong }) => found[joint] && !wrong[joint]);
  if (!right.length) return;
  const known = right.map(({ t, frame, middle }) => ({ t, at: [0, 1].map((k) => frame[place + k] - middle[k]) }));
  for (const { t, frame, middle, wrong } of seen) {
    if (!wrong[joint]) continue;
    const after = known.findIndex((one) => one.t > t);
    const [a, b] = after < 0 ? [known.at(-1), known.at(-1)] : [known[Math.max(after - 1, 0)], known[after]];
    const share = a.t === b.t ? 0 : Math.max(0, (t - a.t) / (b.t - a.t));
    for (const k of [0, 1]) frame[place + k] = middle[k] + a.at[k] + (b.at[k] - a.at[k]) * share;
  }
}

/** The frames in which the hand is far from where it was before and from where it is after, while these are near. */
function jumped(seen, length) {
  const distance = (one, other) => Math.hypot(one.middle[0] - other.middle[0], one.middle[1] - other.middle[1]);
  return seen.filter((here, n) => {
    const before = seen[n - 1], after = seen[n + 1];
    if (!before || !after) return false;
    const isFar = distance(before, here) > JUMP * length && distance(here, after) > JUMP * length;
    return isFar && distance(before, after) < RETURN * length;
  });
}
