// Clips in, `pose_values` out: the twin of model/feature_extraction_sigma.py. The same numbers, to rounding; which
// settings it has, `checkSettings` says.

import { mendHands } from "./hand_mending.js";
import { ANCHORS, HANDS, NUM_JOINTS, ORIGINS, PARTS, selectJoints } from "./layouts.js";
import { spanWithoutRest } from "./resting_ends.js";

const MIN_REFERENCE_POINTS = 4;
const HEAD_IN_FACE = [[0, 17], [1, 8], [2, 0]];
const CAN = {
  scale_reference: ["hands", "body"],
  frame_sampling: ["interpolate", "even", "random"],
  box: ["extremes"],
  box_before_sampling: [true],
  frame_rate: [null, undefined],
  mend_hands: [true, false, undefined],
  trim_rest: [true, false, undefined],
};

/** Throws for a preprocessor_config.json that asks for what this extractor does not do. */
export function checkSettings(settings) {
  for (const [name, able] of Object.entries(CAN))
    if (!able.includes(settings[name]))
      throw new Error(`expected a model with ${name} ${able.join(" or ")}, received ${settings[name]}`);
}

/**
 * What a model reads of a clip.
 * @param {{frames: Float32Array[], layout: string, fps?: number}} clip frames of x and y in pixels, and the score of
 *   each keypoint
 * @param {object} settings the model's preprocessor_config.json
 * @returns {{values: Float32Array, numFrames: number, seesSomebody: boolean}} x, y and score, `(numFrames, 69, 3)`
 */
export function extract(clip, settings) {
  checkSettings(settings);
  const signing = settings.trim_rest
    ? spanWithoutRest(joints(clip, settings), settings.score_threshold, clip.fps)
    : [0, clip.frames.length];
  const frames = joints({ ...clip, frames: clip.frames.slice(...signing) }, settings);
  fillHeadFromFace(frames);
  replaceMissingOrigins(frames);
  hideUnreadParts(frames, settings.parts);
  const threshold = settings.score_threshold;
  if (settings.fill_wrists) fillWrists(frames, threshold);
  const box = referenceBox(frames, threshold, settings.scale_reference);
  const interpolates = settings.frame_sampling === "interpolate";
  const chosen = interpolates ? frames : evenFrames(frames.length, settings.max_frames).map((index) => frames[index]);
  let values = chosen.map((frame) => normalized(frame, box, threshold));
  if (interpolates) values = interpolateBetweenHands(values, settings.max_frames);
  const joined = new Float32Array(values.length * 3 * NUM_JOINTS);
  values.forEach((frame, t) => joined.set(frame, t * 3 * NUM_JOINTS));
  return { values: joined, numFrames: values.length, seesSomebody: joined.some((value, k) => k % 3 === 2 && value !== 0) };
}

/** The 69 joints of each frame, in the proportions that the model has learnt, with mended hands. */
function joints({ frames, layout }, settings) {
  const selected = frames.map((points) => selectJoints(points, layout));
  const factor = 1 / (settings.learnt_aspect_ratio ?? 1);
  if (factor !== 1) for (const frame of selected) for (let j = 0; j < NUM_JOINTS; j++) frame[3 * j] *= factor;
  if (settings.mend_hands) mendHands(selected, settings.score_threshold);
  return selected;
}

const hasScore = (frames, [start, stop]) =>
  frames.some((frame) => { for (let j = start; j < stop; j++) if (frame[3 * j + 2] !== 0) return true; return false; });

/** Gives a body without nose and ears those of its face. */
function fillHeadFromFace(frames) {
  if (hasScore(frames, [0, 3]) || !hasScore(frames, PARTS.body)) return;
  for (const frame of frames)
    for (const [joint, place] of HEAD_IN_FACE) {
      const source = PARTS.face[0] + place;
      for (let k = 0; k < 3; k++) frame[3 * joint + k] = frame[3 * source + k];
    }
}

/** Gives a part without its origin that of the body; without that, the part counts as not seen. */
function replaceMissingOrigins(frames) {
  for (const frame of frames)
    for (const [part, origin] of Object.entries(ORIGINS)) {
      const [start, stop] = PARTS[part];
      const place = start + origin, anchor = ANCHORS[part];
      if (frame[3 * place + 2] > 0) continue;
      let isSeen = false;
      for (let j = start; j < stop; j++) isSeen ||= frame[3 * j + 2] > 0;
      if (!isSeen) continue;
      if (frame[3 * anchor + 2] > 0) for (let k = 0; k < 2; k++) frame[3 * place + k] = frame[3 * anchor + k];
      else for (let j = start; j < stop; j++) frame[3 * j + 2] = 0;
    }
}

function hideUnreadParts(frames, parts) {
  if (!parts) return;
  for (const [part, [start, stop]] of Object.entries(PARTS))
    if (!parts.includes(part)) for (const frame of frames) for (let j = start; j < stop; j++) frame[3 * j + 2] = 0;
}

function fillWrists(frames, threshold) {
  for (const frame of frames)
    for (const hand of ["left_hand", "right_hand"]) {
      const wrist = PARTS[hand][0] + ORIGINS[hand], joint = ANCHORS[hand];
      if (frame[3 * joint + 2] <= threshold && frame[3 * wrist + 2] > threshold)
        for (let k = 0; k < 3; k++) frame[3 * joint + k] = frame[3 * wrist + k];
    }
}

/** Upper left corner and side of the clip's square box; null where nothing fixes it. */
function referenceBox(frames, threshold, reference) {
  const [start, stop] = reference === "hands" ? HANDS : PARTS.body;
  const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  let numSeen = 0;
  for (const frame of frames)
    for (let j = start; j < stop; j++) {
      if (!(frame[3 * j + 2] > threshold)) continue;
      numSeen++;
      for (let k = 0; k < 2; k++) {
        low[k] = Math.min(low[k], frame[3 * j + k]);
        high[k] = Math.max(high[k], frame[3 * j + k]);
      }
    }
  if (numSeen < MIN_REFERENCE_POINTS) return null;
  const side = Math.max(high[0] - low[0], high[1] - low[1]);
  return side > 0 ? { corner: [0, 1].map((k) => (low[k] + high[k] - side) / 2), side } : null;
}

const clip1 = (value) => Math.min(1, Math.max(-1, value));

function normalized(frame, box, threshold) {
  const values = new Float32Array(3 * NUM_JOINTS);
  if (!box) return values;
  for (const [part, [start, stop]] of Object.entries(PARTS))
    for (let j = start; j < stop; j++) {
      if (!(frame[3 * j + 2] > threshold)) continue;
      for (let k = 0; k < 2; k++) {
        const relative =
          part === "body"
            ? ((frame[3 * j + k] - box.corner[k]) / box.side - 0.5) * 2
            : (frame[3 * j + k] - frame[3 * (start + ORIGINS[part]) + k]) / box.side;
        values[3 * j + k] = clip1(relative);
      }
      values[3 * j + 2] = clip1(frame[3 * j + 2]);
    }
  return values;
}

function evenFrames(numFrames, maxFrames) {
  if (numFrames <= maxFrames) return Array.from({ length: numFrames }, (_, t) => t);
  return Array.from({ length: maxFrames }, (_, t) => Math.floor(((t + 0.5) * numFrames) / maxFrames));
}

/** What lies between the first and the last frame with a hand, as `count` frames. */
function interpolateBetweenHands(values, count) {
  const sees = (frame) => { for (let j = HANDS[0]; j < HANDS[1]; j++) if (frame[3 * j + 2]) return true; return false; };
  let first = values.findIndex(sees), last = values.findLastIndex(sees);
  if (first < 0) [first, last] = [0, values.length - 1];
  return Array.from({ length: count }, (_, n) => {
    const moment = n && n === count - 1 ? 1 : n * (1 / (count - 1 || 1)); // as numpy's linspace
    return between(values, first + moment * (last - first));
  });
}

function between(values, position) {
  position = Math.min(Math.max(position, 0), values.length - 1);
  const before = Math.floor(position), after = Math.min(before + 1, values.length - 1);
  const share = Math.fround(position - before);
  const one = values[before], other = values[after], nearest = share < 0.5 ? one : other;
  const result = new Float32Array(3 * NUM_JOINTS);
  for (let j = 0; j < NUM_JOINTS; j++) {
    const both = one[3 * j + 2] !== 0 && other[3 * j + 2] !== 0;
    for (let k = 3 * j; k < 3 * j + 3; k++)
      // Each step in float32, as numpy computes it.
      result[k] = both ? one[k] + Math.fround(Math.fround(other[k] - one[k]) * share) : nearest[k];
  }
  return result;
}
