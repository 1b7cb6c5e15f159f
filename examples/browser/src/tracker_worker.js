// The worker that finds a person's keypoints in a picture: MediaPipe Holistic, on the CPU.

import { HolisticLandmarker } from "@mediapipe/tasks-vision";
import { keypointsOf } from "./landmarks.js";
import { answerMessages, cutOff } from "./worker_side.js";

let landmarker = null;
// MediaPipe wants times that grow over its whole life, whatever video they are of.
let clock = 0;

answerMessages({
  /** `readsFace`: whether to look for the face, whose networks take a good part of the time. */
  async load({ loader, binary, model, readsFace }) {
    landmarker = await HolisticLandmarker.createFromOptions(
      { wasmLoaderPath: loader, wasmBinaryPath: binary },
      { baseOptions: { modelAssetBuffer: new Uint8Array(model), delegate: "CPU" }, runningMode: "VIDEO", ...(readsFace ? {} : { minFaceDetectionConfidence: 1 }) },
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
