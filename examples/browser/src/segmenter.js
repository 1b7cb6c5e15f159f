// Where single signs begin and end: the twin of inference/sign_segmentation.py. docs/streaming.md is the specification of
// both, and tests/artifacts/browser/segmentation.json has cases that both are tested with.

import { PARTS } from "./layouts.js";

export const RAISED_ABOVE = 0.8, HELD_ABOVE = 0.95;
export const BEGIN_SECONDS = 0.2, END_SECONDS = 0.4, GAP_SECONDS = 1, MAX_SECONDS = 10;
const ROOM = 1e-6, SEEN_ABOVE = 0.3;
const SHOULDERS = [3, 4];
const HANDS = [[PARTS.left_hand, 7], [PARTS.right_hand, 8]];

export class SignSegmenter {
  #numFrames = 0;
  #shoulderY = NaN;
  #shoulderWidth = NaN;
  #isSigning = false;
  #lastHeld = 0;
  #startTime = 0;
  #lastHeldTime = 0;
  /** The index of the first frame of the sign that lasts, or may just begin; null while the hands rest. */
  start = null;

  /** Whether a sign lasts. */
  get isSigning() { return this.#isSigning; }

  /**
   * Takes the next frame.
   * @param {Float64Array} joints x, y and score of the 69 joints; x and y in one unit
   * @param {number} time in seconds, later than that of the frame before
   * @returns {{kind: "began"|"ended", start: number, stop: number|null, startTime: number, stopTime: number}[]}
   *   what this frame shows to have happened; `stop` is the index of the frame after the last one
   */
  push(joints, time) {
    const index = this.#numFrames++;
    const drop = this.#smallestDrop(joints);
    const isRaised = drop < RAISED_ABOVE, isHeld = drop < HELD_ABOVE;
    const borders = [];
    const patience = isHeld && this.#lastHeld === index - 1 ? GAP_SECONDS : END_SECONDS;
    if (this.start !== null && time - this.#lastHeldTime > patience + ROOM) borders.push(...this.finish());
    if (this.#isSigning) {
      if (isHeld) [this.#lastHeld, this.#lastHeldTime] = [index, time];
      if (time - this.#startTime >= MAX_SECONDS - ROOM) borders.push(this.#end());
      return borders;
    }
    if (this.start === null && isRaised) [this.start, this.#startTime] = [index, time];
    else if (!isHeld) this.start = null;
    if (this.start !== null) {
      [this.#lastHeld, this.#lastHeldTime] = [index, time];
      if (time - this.#startTime >= BEGIN_SECONDS - ROOM) {
        this.#isSigning = true;
        borders.push({ kind: "began", start: this.start, stop: null, startTime: this.#startTime, stopTime: time });
      }
    }
    return borders;
  }

  /** Ends the stream, and with it the sign that lasts. */
  finish() {
    const borders = this.#isSigning ? [this.#end()] : [];
    this.start = null;
    return borders;
  }

  #end() {
    const border = {
      kind: "ended", start: this.start, stop: this.#lastHeld + 1, startTime: this.#startTime, stopTime: this.#lastHeldTime,
    };
    [this.#isSigning, this.start] = [false, null];
    return border;
  }

  /** How far the higher hand is below the shoulders, in widths of the shoulders; infinite if no hand is seen. */
  #smallestDrop(joints) {
    const isSeen = (joint) => joints[3 * joint + 2] > SEEN_ABOVE;
    const [left, right] = SHOULDERS;
    if (isSeen(left) && isSeen(right)) {
      const width = Math.hypot(joints[3 * left] - joints[3 * right], joints[3 * left + 1] - joints[3 * right + 1]);
      if (width > 0) {
        this.#shoulderY = (joints[3 * left + 1] + joints[3 * right + 1]) / 2;
        this.#shoulderWidth = width;
      }
    }
    let smallest = Infinity;
    for (const [[start, stop], wrist] of HANDS) {
      let sum = 0, count = 0;
      for (let j = start; j < stop; j++) if (isSeen(j)) { sum += joints[3 * j + 1]; count++; }
      if (!count && !isSeen(wrist)) continue;
      const y = count ? sum / count : joints[3 * wrist + 1];
      if (!Number.isNaN(this.#shoulderWidth)) smallest = Math.min(smallest, (y - this.#shoulderY) / this.#shoulderWidth);
      else if (count) smallest = -Infinity; // without a body, a hand that is seen is up
    }
    return smallest;
  }
}
