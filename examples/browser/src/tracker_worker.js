// The worker that finds a person's keypoints in a picture: MediaPipe Holistic, on the CPU.

import { HolisticLandmarker } from "@mediapipe/tasks-vision";
import { keypointsOf } from "./landmarks.js";
import { answerMessages, cutOff } from "./worker_side.js";

let landmarker = null;
// MediaPipe wants times that grow over its whole life, whatever video they are of.
let clock = 0;

answerMessages({
  async load({ loader, binary, model }) {
    landmarker = await HolisticLandmarker.createFromOptions(
      { wasmLoaderPath: loader, wasmBinaryPath: binary },
      { baseOptions: { modelAssetBuffer: new Uint8Array(model), delegate: "CPU" }, runningMode: "VIDEO" },
    );
    cutOff();
  },
  // Another video: nothing is known of whoever was in the last one.
  begin: () => landmarker.setOptions({ runningMode: "VIDEO" }),
  find({ picture, milliseconds }) {
    clock += Math.max(1, Math.round(milliseconds));
    const { width, height } = picture;
    try {
      return keypointsOf(landmarker.detectForVideo(picture, clock), width, height);
    } finally {
      picture.close();
    }
  },
});
