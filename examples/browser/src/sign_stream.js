// Keypoints frame by frame in, signs out: the twin of inference/sign_stream.py, which asks a model where this one returns
// the frames of the sign.

import { LAYOUTS, selectJoints } from "./layouts.js";
import { SignSegmenter } from "./segmenter.js";

export class SignStream {
  #segmenter = new SignSegmenter();
  #frames = []; // {points, time}: those that a sign may still need, at most ten seconds
  #first = 0; // the index in the stream of the first frame that is kept
  #time = -Infinity;

  /** @param {string} layout the layout of the keypoints */
  constructor(layout) { this.layout = layout; }

  get isSigning() { return this.#segmenter.isSigning; }

  /**
   * Takes the next frame.
   * @param {Float32Array|null} points x and y in pixels and score of each keypoint; null where nobody is seen
   * @param {number} time in seconds, later than that of the frame before
   * @returns {{kind: string, start: number, end: number, clip?: {frames: Float32Array[], layout: string, fps: number}}[]}
   *   what has happened; a sign that has ended comes with its clip
   */
  push(points, time) {
    if (!(Number.isFinite(time) && time > this.#time))
      throw new Error(`expected a time after ${this.#time} s, received ${time}: push frames in their order`);
    this.#time = time;
    points ??= new Float32Array(3 * LAYOUTS[this.layout].numKeypoints);
    this.#frames.push({ points, time });
    const events = this.#segmenter.push(selectJoints(points, this.layout), time).map((border) => this.#event(border));
    const needed = this.#segmenter.start ?? this.#first + this.#frames.length;
    this.#frames.splice(0, needed - this.#first);
    this.#first = needed;
    return events;
  }

  /** Ends the stream: a sign that lasts ends here. Another stream may follow, from any time on. */
  finish() {
    const events = this.#segmenter.finish().map((border) => this.#event(border));
    this.#segmenter = new SignSegmenter();
    [this.#frames, this.#first, this.#time] = [[], 0, -Infinity];
    return events;
  }

  #event({ kind, start, stop, startTime, stopTime }) {
    if (stop === null) return { kind, start: startTime, end: stopTime };
    const kept = this.#frames.slice(start - this.#first, stop - this.#first);
    // A camera's frames are not evenly spaced; a file of them has one rate.
    const fps = kept.length > 1 ? (kept.length - 1) / (kept.at(-1).time - kept[0].time) : 25;
    return { kind, start: startTime, end: stopTime, clip: { frames: kept.map((one) => one.points), layout: this.layout, fps } };
  }
}
