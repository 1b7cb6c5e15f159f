// Builds the page into dist/: three scripts, the page itself, and the WebAssembly of both packages.

import { build } from "esbuild";
import { cp, mkdir, rm } from "node:fs/promises";

await rm("dist", { recursive: true, force: true });
await mkdir("dist/wasm", { recursive: true });
await build({
  entryPoints: { page: "src/page.js", tracker_worker: "src/tracker_worker.js", recognizer_worker: "src/recognizer_worker.js" },
  outdir: "dist",
  bundle: true,
  minify: true,
  legalComments: "linked",
  format: "iife",
  target: ["chrome110", "firefox115", "safari16.4"],
  logOverride: { "empty-import-meta": "silent" }, // ONNX Runtime is given its WebAssembly, and need not look for it
});
for (const file of ["index.html", "style.css"]) await cp(`src/${file}`, `dist/${file}`);
const vision = "node_modules/@mediapipe/tasks-vision/wasm";
for (const name of ["vision_wasm_internal.js", "vision_wasm_internal.wasm"]) await cp(`${vision}/${name}`, `dist/wasm/${name}`);
const runtime = "ort-wasm-simd-threaded.wasm";
await cp(`node_modules/onnxruntime-web/dist/${runtime}`, `dist/wasm/${runtime}`);
