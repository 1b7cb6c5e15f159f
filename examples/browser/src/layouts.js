// Where Sigma's 69 joints are among the keypoints of a detector: the twin of model/skeleton_layouts.py, for the layouts
// that a page meets. -1: the detector has no such joint.

export const NUM_JOINTS = 69;
export const PARTS = { body: [0, 9], left_hand: [9, 30], right_hand: [30, 51], face: [51, 69] };
export const HANDS = [9, 51];
// The joint, inside its part, that a part's coordinates are relative to, and the joint of the body that it hangs on.
export const ORIGINS = { left_hand: 0, right_hand: 0, face: 17 };
export const ANCHORS = { left_hand: 7, right_hand: 8, face: 0 };

const span = (start, count) => Array.from({ length: count }, (_, k) => start + k);
const missing = (count) => new Array(count).fill(-1);
const MESH = [127, 93, 172, 150, 152, 379, 397, 323, 356, 78, 82, 13, 312, 308, 317, 14, 87, 4];
const mediapipe = (numFace) => ({
  numKeypoints: 75 + numFace,
  joints: [
    ...[0, 7, 8, 11, 12, 13, 14, 15, 16],
    ...span(33 + numFace, 42),
    ...(numFace ? MESH.map((point) => 33 + point) : missing(18)),
  ],
});

export const LAYOUTS = {
  mediapipe_holistic_553: mediapipe(478),
  mediapipe_holistic_75: mediapipe(0),
  hands_42: { numKeypoints: 42, joints: [...missing(9), ...span(0, 42), ...missing(18)] },
  sigma_69: { numKeypoints: NUM_JOINTS, joints: span(0, NUM_JOINTS) },
};

/**
 * Selects the joints of one frame.
 * @param {Float32Array} points x, y and score of each keypoint, one after the other
 * @param {string} layout the name of their layout
 * @returns {Float64Array} x, y and score of each of the 69 joints; zeros for those that the layout lacks
 */
export function selectJoints(points, layout) {
  const known = LAYOUTS[layout];
  if (!known) throw new Error(`expected a layout among ${Object.keys(LAYOUTS).join(", ")}, received ${layout}`);
  if (points.length !== 3 * known.numKeypoints)
    throw new Error(`expected ${known.numKeypoints} keypoints of ${layout}, received ${points.length / 3}`);
  const joints = new Float64Array(3 * NUM_JOINTS);
  known.joints.forEach((keypoint, joint) => {
    if (keypoint >= 0) for (let k = 0; k < 3; k++) joints[3 * joint + k] = points[3 * keypoint + k];
  });
  return joints;
}
