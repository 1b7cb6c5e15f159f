// Loads what the page needs, once, and says how far it is.

import { startWorker } from "./worker_client.js";

const HOLISTIC = "holistic_landmarker.task";
// A function of no use that is valid only where WebAssembly has SIMD.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];

/** Why this browser cannot run the page; null if it can. */
export function whatIsMissing() {
  if (typeof WebAssembly !== "object") return "WebAssembly is switched off in this browser.";
  if (!WebAssembly.validate(Uint8Array.from(SIMD))) return "This browser has no WebAssembly SIMD. Version 91 of Chrome, 89 of Firefox and 16.4 of Safari have it.";
  if (typeof OffscreenCanvas === "undefined" || typeof createImageBitmap === "undefined") return "This browser cannot read pictures in a worker.";
  return null;
}

/**
 * @param {boolean} withTracker false where keypoints come from a file
 * @param {(share: number) => void} onProgress called with 0 to 1
 */
export async function loadEverything(withTracker, onProgress) {
  const facts = await json("model/live.json");
  const loaded = new Map(), sizes = new Map();
  const fetched = (name) => bytesOf({ name, ...facts.files?.[name.split("/").at(-1)] }, (done, size) => {
    loaded.set(name, done);
    sizes.set(name, size);
    onProgress(Math.min(1, sum(loaded) / Math.max(sum(sizes), 1)));
  });
  const extractor = await json("model/preprocessor_config.json");
  const readsFace = extractor.parts?.includes("face") ?? true;
  const [tracker, { recognizer, config }] = await Promise.all([
    withTracker ? loadTracker(fetched, readsFace) : null, loadRecognizer(fetched, facts, extractor),
  ]);
  return { facts, tracker, recognizer, extractor, calibration: config.calibration ?? null };
}

async function loadTracker(fetched, readsFace) {
  const [worker, wasm, model] = await Promise.all([
    startWorker("tracker_worker.js"), fetched("wasm/vision_wasm_internal.wasm"), fetched(HOLISTIC),
  ]);
  const binary = URL.createObjectURL(new Blob([wasm], { type: "application/wasm" }));
  const loader = new URL("wasm/vision_wasm_internal.js", location.href).href;
  await describe(worker.ask({ load: { loader, binary, model, readsFace } }, [model]), "MediaPipe's model could not be used");
  URL.revokeObjectURL(binary);
  return worker;
}

async function loadRecognizer(fetched, facts, extractor) {
  const [worker, binary, model, config] = await Promise.all([
    startWorker("recognizer_worker.js"), fetched("wasm/ort-wasm-simd-threaded.wasm"), fetched(`model/${facts.file}`),
    json("model/config.json"),
  ]);
  const load = { binary, model, config, extractor };
  await describe(worker.ask({ load }, [binary, model]), `The model ${facts.name} could not be used`);
  return { recognizer: worker, config };
}

const sum = (map) => [...map.values()].reduce((one, other) => one + other, 0);

async function describe(work, what) {
  try {
    await work;
  } catch (error) {
    throw new Error(`${what} (${error.message}). Build the page again with sigma-slu live.`);
  }
}

async function json(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} is missing (${response.status}). Start the page with sigma-slu live.`);
  try {
    return await response.json();
  } catch {
    throw new Error(`${name} is damaged. Build the page again with sigma-slu live.`);
  }
}

/** The bytes of a file, compared with its checksum where that is known. */
async function bytesOf({ name, bytes, sha256 }, onProgress) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} is missing (${response.status}). Build the page again with sigma-slu live.`);
  const size = bytes ?? Number(response.headers.get("Content-Length") ?? 0);
  onProgress(0, size);
  const pieces = [];
  let done = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done: isOver, value } = await reader.read();
    if (isOver) break;
    pieces.push(value);
    onProgress((done += value.length), size);
  }
  const content = await new Blob(pieces).arrayBuffer();
  if (sha256 && crypto.subtle) {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
    const found = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== sha256) throw new Error(`${name} is damaged: it does not have the checksum that it was written with. Build the page again with sigma-slu live.`);
  }
  return content;
}
