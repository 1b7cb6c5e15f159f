// What the scores of a model mean: the twin of model/calibration_sigma.py.

import { NUM_JOINTS, PARTS } from "./layouts.js";

/** The softmax of logits / temperature. */
export function probabilitiesOf(logits, temperature) {
  const best = logits.reduce((one, other) => Math.max(one, other), -Infinity);
  const scaled = Float64Array.from(logits, (logit) => Math.exp((logit - best) / temperature));
  const sum = scaled.reduce((one, other) => one + other, 0);
  return scaled.map((value) => value / sum);
}

/** How much a clip looks like what a model has learnt: the logsumexp of the logits. */
export function knownness(logits) {
  const best = logits.reduce((one, other) => Math.max(one, other), -Infinity);
  return best + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - best), 0));
}

/** How far the part that moves most strays from where it is on average, in units of `values` (numFrames, 69, 3). */
export function movement(values, numFrames) {
  const spreads = new Float64Array(NUM_JOINTS), counts = new Float64Array(NUM_JOINTS);
  for (let j = 0; j < NUM_JOINTS; j++) {
    const means = [0, 0];
    for (let t = 0; t < numFrames; t++) {
      const place = 3 * (t * NUM_JOINTS + j);
      if (!(values[place + 2] > 0)) continue;
      counts[j]++;
      for (let k = 0; k < 2; k++) means[k] += values[place + k];
    }
    const count = Math.max(counts[j], 1);
    let squares = 0;
    for (let t = 0; t < numFrames; t++) {
      const place = 3 * (t * NUM_JOINTS + j);
      if (values[place + 2] > 0)
        for (let k = 0; k < 2; k++) squares += (values[place + k] - means[k] / count) ** 2;
    }
    spreads[j] = Math.sqrt(squares / count);
  }
  const ofParts = ["body", "left_hand", "right_hand"].map((part) => {
    const joints = Array.from({ length: NUM_JOINTS }, (_, j) => j).filter(
      (j) => j >= PARTS[part][0] && j < PARTS[part][1] && counts[j] > 1,
    );
    return joints.reduce((sum, j) => sum + spreads[j], 0) / Math.max(joints.length, 1);
  });
  return Math.max(...ofParts);
}

/**
 * The answers for one clip, best first.
 * @param {ArrayLike<number>} logits of all labels
 * @param {number} clipMovement see `movement`
 * @param {object|null} calibration the field of config.json; null for a model without one
 * @param {string[]} labels
 * @returns {{unknown: boolean|null, reason: "still"|"unlike"|null, answers: {label: string, score: number}[]}}
 */
export function answersOf(logits, clipMovement, calibration, labels, topK = 5) {
  const probabilities = probabilitiesOf(logits, calibration?.temperature ?? 1);
  const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  const answers = order.slice(0, topK).map((place) => ({ label: labels[place], score: probabilities[place] }));
  if (!calibration) return { unknown: null, reason: null, answers };
  const reason =
    clipMovement < calibration.movement_threshold ? "still"
    : knownness(logits) < calibration.known_threshold ? "unlike" : null;
  return { unknown: reason !== null, reason, answers };
}
