// The page computes what Python computes: cases and answers are written by tests/browser_goldens.py.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { answersOf, knownness, movement } from "../src/calibration.js";
import { extract } from "../src/extractor.js";
import { keypointsOf } from "../src/landmarks.js";
import { LAYOUTS } from "../src/layouts.js";
import { SignSegmenter } from "../src/segmenter.js";
import { SignStream } from "../src/sign_stream.js";
import { TaughtSigns } from "../src/similarity.js";

const golden = (name) =>
  JSON.parse(readFileSync(new URL(`../../../tests/artifacts/browser/${name}.json`, import.meta.url), "utf8"));
const largest = (one, other) => Math.max(...Array.from(one, (value, k) => Math.abs(value - other[k])));

test("layouts have the same joints", () => {
  for (const [name, joints] of Object.entries(golden("layouts"))) assert.deepEqual(LAYOUTS[name].joints, joints);
});

test("the extractor gives the same numbers", () => {
  for (const { layout, settings, fps, frames, values } of golden("extractor")) {
    const found = extract({ layout, fps, frames: frames.map((frame) => Float32Array.from(frame)) }, settings);
    assert.equal(found.numFrames, values.length);
    const expected = values.flat();
    assert.ok(expected.some((value) => value !== 0));
    assert.ok(largest(found.values, expected) < 1e-5, `${layout}: ${largest(found.values, expected)}`);
  }
});

test("a clip without hands shows nobody, and unknown settings are refused", () => {
  const [{ settings }] = golden("extractor");
  const empty = { layout: "hands_42", frames: [new Float32Array(126)] };
  assert.equal(extract(empty, settings).seesSomebody, false);
  assert.throws(() => extract(empty, { ...settings, box: "quantile" }), /expected a model with box extremes/);
  assert.throws(() => extract({ ...empty, layout: "hands_42", frames: [new Float32Array(3)] }, settings), /42 keypoints/);
});

test("signs begin and end where they do in Python", () => {
  for (const { name, frames, times, borders } of golden("segmentation")) {
    const segmenter = new SignSegmenter();
    const found = frames.flatMap((frame, t) => {
      const joints = new Float64Array(207);
      for (const [joint, values] of Object.entries(frame)) joints.set(values, 3 * Number(joint));
      return segmenter.push(joints, times[t]);
    });
    found.push(...segmenter.finish());
    assert.deepEqual(found.map((b) => [b.kind, b.start, b.stop, b.startTime, b.stopTime]), borders, name);
  }
});

test("a stream keeps the frames of the sign alone, and gives its clip", () => {
  const stream = new SignStream("hands_42");
  const hand = new Float32Array(126).fill(1);
  const events = [];
  for (let t = 0; t < 60; t++) events.push(...stream.push(t >= 10 && t < 35 ? hand : null, t / 25));
  assert.deepEqual(events.map((event) => event.kind), ["began", "ended"]);
  assert.equal(events[1].clip.frames.length, 25);
  assert.ok(Math.abs(events[1].clip.fps - 25) < 1e-6);
  assert.throws(() => stream.push(null, 0), /expected a time after/);
});

test("answers, movement and what is known are the same", () => {
  for (const one of golden("calibration")) {
    const values = Float32Array.from(one.values.flat());
    assert.ok(Math.abs(movement(values, one.values.length) - one.movement) < 1e-6);
    assert.ok(Math.abs(knownness(one.logits) - one.knownness) < 1e-9);
    const found = answersOf(one.logits, one.movement, one.calibration, one.labels);
    assert.deepEqual(found.answers.map((answer) => answer.label), one.answers.map((answer) => answer.label));
    assert.ok(largest(found.answers.map((a) => a.score), one.answers.map((a) => a.score)) < 1e-9);
    assert.equal(found.unknown, one.answers[0].unknown);
  }
});

test("hands that were found twice are taken back", () => {
  const part = (points, start, size) => Array.from({ length: size }, (_, k) => {
    const point = points[start + k];
    return point ? { x: point[0] / 640, y: point[1] / 480, visibility: 1 } : { x: NaN, y: NaN };
  });
  for (const { points, shown } of golden("doubled_hands")) {
    const found = keypointsOf({
      poseLandmarks: [part(points, 0, 33)], faceLandmarks: [],
      leftHandLandmarks: [part(points, 511, 21)], rightHandLandmarks: [part(points, 532, 21)],
    }, 640, 480);
    const isShown = { left_hand: found[3 * 511 + 2] > 0, right_hand: found[3 * 532 + 2] > 0 };
    assert.deepEqual(Object.keys(isShown).filter((side) => isShown[side]), shown);
  }
  assert.equal(keypointsOf({ poseLandmarks: [], faceLandmarks: [] }, 640, 480), null);
});

test("taught signs are as similar as in Python's dictionary", () => {
  for (const { vectors, labels, queries, threshold, found } of golden("similarity")) {
    const taught = new TaughtSigns(vectors.map((vector, row) => ({ label: labels[row], vector: Float32Array.from(vector) })));
    if (threshold === null) assert.equal(taught.threshold, null);
    else assert.ok(Math.abs(taught.threshold - threshold) < 1e-5);
    queries.forEach((query, number) => {
      const results = taught.search(Float32Array.from(query));
      assert.deepEqual(results.map((result) => result.label), found[number].map(([label]) => label));
      assert.ok(largest(results.map((result) => result.similarity), found[number].map(([, value]) => value)) < 1e-5);
    });
  }
});
