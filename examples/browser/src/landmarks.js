// MediaPipe Holistic's answer as keypoints of the layout mediapipe_holistic_553, as extraction/mediapipe_landmarker.py
// makes them: pixels, the body's visibility as its score, and no hand that was found twice.

import { LAYOUTS } from "./layouts.js";

export const LAYOUT = "mediapipe_holistic_553";
const COMPONENTS = [["poseLandmarks", 33], ["faceLandmarks", 478], ["leftHandLandmarks", 21], ["rightHandLandmarks", 21]];
const { joints } = LAYOUTS[LAYOUT];
const HANDS = [joints.slice(9, 30), joints.slice(30, 51)], WRISTS = [joints[7], joints[8]];
const KNUCKLE = 9;

/**
 * @param {object} result what the HolisticLandmarker of tasks-vision returns
 * @param {number} width @param {number} height of the picture in pixels
 * @returns {Float32Array|null} x, y and score of 553 keypoints; null where nobody is seen
 */
export function keypointsOf(result, width, height) {
  if (!COMPONENTS.some(([name]) => result[name]?.[0]?.length)) return null;
  const points = new Float32Array(3 * 553);
  let start = 0;
  for (const [name, size] of COMPONENTS) {
    const found = result[name]?.[0] ?? [];
    for (let k = 0; k < Math.min(found.length, size); k++) {
      const { x, y, visibility } = found[k], place = 3 * (start + k);
      if (!(Number.isFinite(x) && Number.isFinite(y))) continue;
      points[place] = x * width;
      points[place + 1] = y * height;
      points[place + 2] = name === "poseLandmarks" ? (visibility ?? 1) : 1;
    }
    start += size;
  }
  hideDoubledHands(points);
  return points;
}

function hideDoubledHands(points) {
  const score = (place) => points[3 * place + 2];
  const distance = (a, b) => Math.hypot(points[3 * a] - points[3 * b], points[3 * a + 1] - points[3 * b + 1]);
  if (![...WRISTS, HANDS[0][0], HANDS[1][0]].every((place) => score(place) > 0)) return;
  const hidden = [0, 1].filter((side) => {
    const begin = HANDS[side][0], other = HANDS[1 - side];
    const palm = distance(other[0], other[KNUCKLE]);
    const toOwn = distance(begin, WRISTS[side]), toOther = distance(begin, WRISTS[1 - side]);
    return distance(begin, other[0]) <= palm && palm < toOwn && toOther < toOwn;
  });
  for (const side of hidden) for (const place of HANDS[side]) points[3 * place + 2] = 0;
}
