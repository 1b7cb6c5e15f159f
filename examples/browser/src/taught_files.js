// What was taught, as files that Python reads: a folder of clips for `sigma-slu adapt` and `dictionary add --data`, and a
// dictionary for `dictionary search`.

import { npy, safetensors, zip } from "./archives.js";
import { LAYOUTS } from "./layouts.js";

/**
 * The recordings as a zipped folder: a clip each, and metadata.csv (path, label).
 * @param {{label: string, sampleId: string, frames: Float32Array[], layout: string, fps: number, width: number,
 *   height: number, estimator: string}[]} clips
 */
export function recordingsArchive(clips) {
  const files = {}, rows = ["path,label"];
  clips.forEach((clip, index) => {
    const path = `clips/${String(index + 1).padStart(3, "0")}.npz`;
    files[path] = clipFile(clip);
    rows.push(`${path},"${clip.label.replaceAll('"', '""')}"`);
  });
  return zip({ "metadata.csv": rows.join("\n") + "\n", ...files });
}

function clipFile({ frames, layout, fps, width, height, estimator }) {
  const count = LAYOUTS[layout].numKeypoints;
  const keypoints = new Float32Array(frames.length * count * 2), scores = new Float32Array(frames.length * count);
  frames.forEach((points, t) => {
    for (let k = 0; k < count; k++) {
      keypoints[2 * (t * count + k)] = points[3 * k];
      keypoints[2 * (t * count + k) + 1] = points[3 * k + 1];
      scores[t * count + k] = points[3 * k + 2];
    }
  });
  return zip({
    "keypoints.npy": npy(keypoints, [frames.length, count, 2]),
    "scores.npy": npy(scores, [frames.length, count]),
    "layout.npy": npy(layout),
    "fps.npy": npy(Float64Array.of(fps)),
    "width.npy": npy(Int32Array.of(width)),
    "height.npy": npy(Int32Array.of(height)),
    "coordinates.npy": npy("pixels"),
    "estimator.npy": npy(estimator),
  });
}

/**
 * The vectors as a zipped dictionary folder.
 * @param {{label: string, sampleId: string, layout: string, vector: Float32Array}[]} clips
 * @param {{model: string, fingerprint: string, version: string}} model what tells the model from others
 */
export async function dictionaryArchive(clips, model) {
  const width = clips[0].vector.length;
  const values = new Float32Array(clips.length * width);
  clips.forEach((clip, row) => values.set(clip.vector, row * width));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", values));
  const digest = Array.from(hash.slice(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const content = {
    sigma_slu_version: model.version,
    model: model.model,
    fingerprint: model.fingerprint,
    label: clips.map((clip) => clip.label),
    sample_id: clips.map((clip) => clip.sampleId),
    sign_language: clips.map(() => null),
    variant: clips.map(() => 1),
    layout: clips.map((clip) => clip.layout),
    facts: clips.map(() => ({})),
    vectors: digest,
  };
  return zip({
    "dictionary.json": JSON.stringify(content, null, 1) + "\n",
    "embeddings.safetensors": safetensors("embeddings", values, [clips.length, width], { vectors: digest }),
  });
}
