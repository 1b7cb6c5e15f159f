// The worker that names the sign of a clip: our extractor, and the exported model in ONNX Runtime.

import * as ort from "onnxruntime-web/wasm";
import { answersOf, movement } from "./calibration.js";
import { checkSettings, extract } from "./extractor.js";
import { NUM_JOINTS } from "./layouts.js";
import { answerMessages, cutOff } from "./worker_side.js";

let session, settings, calibration, labels;

answerMessages({
  async load({ binary, model, config, extractor }) {
    checkSettings(extractor);
    settings = extractor;
    calibration = config.calibration ?? null;
    labels = Object.keys(config.id2label).map((_, number) => config.id2label[number]);
    ort.env.wasm.wasmBinary = binary;
    ort.env.wasm.numThreads = 1;
    session = await ort.InferenceSession.create(new Uint8Array(model), {
      executionProviders: ["wasm"],
      // int8 weights are multiplied out once, as Python does.
      extra: { session: { disable_quant_qdq: "1" } },
    });
    cutOff();
  },
  async name(clip) {
    const { values, numFrames, seesSomebody } = extract(clip, settings);
    if (!seesSomebody) return { unknown: true, reason: "unseen", answers: [], vector: null };
    const { logits, pose_embeds } = await session.run({
      pose_values: new ort.Tensor("float32", values, [1, numFrames, NUM_JOINTS, 3]),
      pose_attention_mask: new ort.Tensor("int64", new BigInt64Array(numFrames).fill(1n), [1, numFrames]),
    });
    return { ...answersOf(logits.data, movement(values, numFrames), calibration, labels), vector: pose_embeds.data };
  },
});
