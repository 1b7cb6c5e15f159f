// Where signing starts and ends in a clip whose hands rest before and after: the twin of model/resting_ends.py.

import { handLength } from "./hand_mending.js";
import { PARTS } from "./layouts.js";

const HANDS = [PARTS.left_hand, PARTS.right_hand];
const ASSUMED_FPS = 25, SHORTEST_REST = 0.4, MOVED = 0.35, BEGINS = 0.12;
const RAISED = 2, RAISING_SECONDS = 0.5, WAY = 0.7, FEWEST_FRAMES = 8;

/**
 * The first frame of signing, and the one after its last.
 * @param {Float64Array[]} frames x, y and score of each of the 69 joints; x and y in one unit
 * @param {number} threshold a joint counts as found where its score exceeds this
 * @param {number} [fps] frames per second
 * @returns {[number, number]} all frames where the hands do not rest, or never do anything else
 */
export function spanWithoutRest(frames, threshold, fps) {
  const length = handLength(frames, threshold);
  if (length === 0) return [0, frames.length];
  const rate = fps || ASSUMED_FPS;
  const start = signingStarts(frames, threshold, length, rate);
  const stop = frames.length - signingStarts([...frames].reverse(), threshold, length, rate);
  return stop - start >= FEWEST_FRAMES ? [start, stop] : [0, frames.length];
}

/** The frame before which the hands rest and are raised; 0 if they do not, or if they rest all the time. */
function signingStarts(frames, threshold, length, rate) {
  const moved = new Float64Array(frames.length); // of the hand that has moved most
  const hands = HANDS.map(([start, stop]) => {
    const isThere = frames.map((frame) => {
      for (let j = start; j < stop; j++) if (!(frame[3 * j + 2] > threshold)) return false;
      return true;
    });
    return { start, stop, isThere, first: isThere.indexOf(true) };
  }).filter(({ first }) => first >= 0);
  for (const { start, stop, isThere, first } of hands)
    frames.forEach((frame, t) => {
      if (!isThere[t]) return;
      let sum = 0;
      for (let j = 3 * start; j < 3 * stop; j += 3)
        sum += Math.hypot(frame[j] - frames[first][j], frame[j + 1] - frames[first][j + 1]) / length;
      moved[t] = Math.max(moved[t], sum / (stop - start));
    });
  const far = moved.findIndex((distance) => distance > MOVED);
  if (far < 0) return 0;
  const onset = Math.max(0, moved.subarray(0, far).findLastIndex((distance) => distance < BEGINS));
  if (onset - Math.min(...hands.map(({ first }) => first)) < SHORTEST_REST * rate) return 0;
  const raised = Math.max(...hands.map((hand) => endOfRaising(frames, hand, length, onset, rate)));
  return raised > onset ? raised : 0; // a hold in the air may be the sign itself, as a letter's is
}

/** The frame in which a hand has been raised most of the way from its rest; `onset` if it is not raised. */
function endOfRaising(frames, { start, stop, isThere }, length, onset, rate) {
  const heights = []; // of the frames with the hand: y points downwards
  for (let t = onset; t < Math.min(frames.length, onset + roundHalfEven(RAISING_SECONDS * rate) + 1); t++) {
    if (!isThere[t]) continue;
    let sum = 0;
    for (let j = start; j < stop; j++) sum += frames[t][3 * j + 1] / length;
    heights.push({ t, y: sum / (stop - start) });
  }
  const highest = Math.max(...heights.map(({ y }) => heights[0].y - y));
  if (heights.length < 2 || highest < RAISED) return onset;
  return heights.find(({ y }) => heights[0].y - y >= WAY * highest).t;
}

/** As Python rounds. */
function roundHalfEven(value) {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
