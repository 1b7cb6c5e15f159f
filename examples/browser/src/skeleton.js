// Draws the joints that the model's settings may read: hands, arms and head, over the picture.

import { NUM_JOINTS, PARTS, selectJoints } from "./layouts.js";

const ARMS = [[3, 4], [3, 5], [5, 7], [4, 6], [6, 8]];
const FINGERS = [0, 1, 2, 3, 4].flatMap((finger) =>
  [[0, 4 * finger + 1], ...[1, 2, 3].map((k) => [4 * finger + k, 4 * finger + k + 1])]);
const BONES = [
  { color: "#ffffffb0", pairs: ARMS },
  ...["left_hand", "right_hand"].map((part, side) => ({
    color: side ? "#5cc9bb" : "#ffc46b", pairs: FINGERS.map((pair) => pair.map((joint) => joint + PARTS[part][0])),
  })),
];
const SEEN_ABOVE = 0.3;

export function drawSkeleton(canvas, points, layout, width, height) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  if (!points) return;
  const joints = selectJoints(points, layout);
  const seen = Array.from({ length: NUM_JOINTS }, (_, joint) => joints[3 * joint + 2] > SEEN_ABOVE);
  context.lineWidth = Math.max(width, height) / 220;
  context.lineCap = context.lineJoin = "round";
  for (const { color, pairs } of BONES) {
    context.strokeStyle = color;
    context.beginPath();
    for (const [one, other] of pairs)
      if (seen[one] && seen[other]) {
        context.moveTo(joints[3 * one], joints[3 * one + 1]);
        context.lineTo(joints[3 * other], joints[3 * other + 1]);
      }
    context.stroke();
  }
}
