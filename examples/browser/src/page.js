// The page: frames from a source go through the stream, signs that have ended through the model, and answers to the view.

import { LAYOUT } from "./landmarks.js";
import { loadEverything, whatIsMissing } from "./loading.js";
import { SignStream } from "./sign_stream.js";
import { TaughtSigns } from "./similarity.js";
import { drawSkeleton } from "./skeleton.js";
import { cameraFrames, fileFrames, loadReplay, openCamera, replayFrames, SourceError } from "./sources.js";
import { addClip, deleteClips, taughtClips } from "./store.js";
import { dictionaryArchive, recordingsArchive } from "./taught_files.js";
import { srt, transcriptJson } from "./transcript.js";
import { save, showAnswer, showEmpty, showPhase, showSigns, showState, showTaught, showTeaching, showWarning, view } from "./view.js";

const MOST_RECORDINGS = 5;
const MOST_SIGNS = 2000; // kept for saving; older ones are forgotten, so that the page can run for days
const SLOW_BELOW = 8, BLIND_BELOW = 1; // pictures a second: quick signs get lost; no sign is found at all
const options = new URLSearchParams(location.search);

let kit; // facts, tracker, recognizer: see loadEverything
let taught = [], taughtSigns = new TaughtSigns([]);
let teaching = null; // {label, since, ids}: since when, and the recordings made
let running = null; // what stops the source that runs
let latest = 0; // the time of the stream
let signs = [];

async function begin() {
  const missing = whatIsMissing();
  if (missing) return fail("unsupported", "This browser cannot run it", missing);
  showEmpty("Getting ready", "About 50 MB, once. After that, nothing is loaded or sent.", { progress: 0, isReady: false });
  try {
    kit = await loadEverything(!options.has("replay"), (share) => { view.progress.value = share; });
  } catch (error) {
    return fail("damaged", "It could not be loaded", error.message);
  }
  describeModel();
  await readTaught();
  home();
  if (options.has("replay")) await replay();
}

function home() {
  showState("off");
  showPhase(null);
  const knows = kit.facts.knows ? `It knows ${kit.facts.knows}. ` : "";
  showEmpty("Sign in front of your camera", `${knows}One sign at a time, hands at rest in between. Nothing leaves this device.`);
}

function fail(state, title, text) {
  showState(state);
  showPhase(null);
  const isHopeless = state === "unsupported" || state === "damaged";
  showEmpty(title, text, { isReady: !isHopeless, action: "Try the camera again" });
  view.start.hidden = view.open.hidden = isHopeless;
}

function describeModel() {
  const { facts, extractor } = kit;
  view.model.textContent = [facts.name, facts.license && `license ${facts.license}`].filter(Boolean).join(" · ");
  const lines = [facts.about].filter(Boolean);
  if (extractor.training_layout && extractor.training_layout !== LAYOUT)
    lines.push("The model has learnt from another hand detector than this page's: expect worse than was measured.");
  view.about.textContent = lines.join(" ");
}

/** Runs a source until it ends, or is stopped. */
async function watch(frames, { layout = LAYOUT, isMirrored = false, isLive = true } = {}) {
  const stream = new SignStream(layout);
  let isStopped = false;
  running = () => { isStopped = true; };
  showEmpty("", "", { isShown: false });
  view.bar.hidden = view.teach_start.disabled = false;
  view.picture.classList.toggle("mirrored", isMirrored);
  showState(teaching ? "teaching" : "watching");
  showWarning(null);
  const speed = new Speed();
  let seenAt = null, first = null;
  try {
    for await (const { points, time, width, height } of frames) {
      if (isStopped) break;
      first ??= time;
      const now = latest = time - first;
      if (points) seenAt = now;
      view.picture.style.setProperty("--ratio", `${width} / ${height}`);
      drawSkeleton(view.skeleton, points, layout, width, height);
      const events = stream.push(points, now);
      tellPhase(stream.isSigning, now - (seenAt ?? 0) > 2);
      for (const event of events) if (event.kind === "ended") await answer(event, { width, height, clock: isLive ? first : null, speed });
      speed.tick(1000 * now);
      if (isLive) {
        view.speed.textContent = speed.text();
        tellSpeed(speed);
      }
    }
    for (const event of stream.finish()) await answer(event, { ...lastSize(), clock: null, speed });
    home();
    return { isWhole: !isStopped, sawSomebody: seenAt !== null };
  } catch (error) {
    if (!(error instanceof SourceError)) console.error(error);
    fail(error.state ?? "bad-video", error.state === "refused" ? "The camera is not allowed" : error.state === "no-camera" ? "No camera" : "It could not be read", error.message);
  } finally {
    running = null;
    view.bar.hidden = view.teach_start.disabled = true;
    endTeaching();
    showPhase(null);
    view.speed.textContent = "";
    drawSkeleton(view.skeleton, null, layout, view.skeleton.width, view.skeleton.height);
  }
}

/** Warns where pictures come too slowly, for as long as they do. */
function tellSpeed(speed) {
  const isSlow = speed.isSlow();
  if (!teaching) showState(isSlow ? "slow" : "watching");
  if (isSlow && speed.rate < BLIND_BELOW) showPhase("slow", "Too slow"); // whether hands rest cannot be told
  showWarning(!isSlow ? null : speed.rate < BLIND_BELOW
    ? "This device is too slow for a camera: between two pictures a sign may be over. Open a recorded video instead: it is read at its own pace."
    : "This device is slow: quick signs will be missed. Sign slowly, or open a recorded video, which is read at its own pace.");
}

const lastSize = () => ({ width: view.skeleton.width, height: view.skeleton.height });

function tellPhase(isSigning, isNobody) {
  if (teaching) showPhase(isSigning ? "recording" : "ready", isSigning ? "Recording" : `Ready to record “${teaching.label}”`);
  else if (isSigning) showPhase("signing", "Signing");
  else if (isNobody) showPhase("nobody", "Nobody in the picture");
  else showPhase("rest", "Hands at rest");
}

/** Names a sign that has ended, or records it. `clock`: when the stream began, by the page's own clock. */
async function answer({ start, end, clip }, { width, height, clock, speed }) {
  const named = await kit.recognizer.ask({ name: clip });
  const delay = clock === null ? null : performance.now() / 1000 - clock - end;
  if (teaching) return start < teaching.since ? undefined : record({ ...clip, width, height }, named);
  const found = named.vector ? taughtSigns.search(named.vector) : [];
  const text = showAnswer({ ...named, taught: found });
  const kind = document.body.dataset.answer;
  speed.delay = delay;
  signs.push({ start, end, text, kind, reason: named.reason, answers: named.answers, taught: found, delay });
  if (signs.length > MOST_SIGNS) signs.shift();
  showSigns(signs);
}

/** How many pictures come a second, over the last two seconds, and how long the last answer took. */
class Speed {
  delay = null;
  #times = [];
  tick(now) {
    this.#times.push(now);
    while (this.#times.length > 3 && now - this.#times[0] > 2000) this.#times.shift();
  }
  get rate() {
    const span = this.#times.at(-1) - this.#times[0];
    return span > 0 ? (1000 * (this.#times.length - 1)) / span : 0;
  }
  isSlow() { return this.#times.length > 2 && this.#times.at(-1) - this.#times[0] > 1500 && this.rate < SLOW_BELOW; }
  text() {
    const rate = this.rate, delay = this.delay === null ? "" : ` · answered after ${this.delay.toFixed(1)} s`;
    const told = rate < 1 ? `a picture in ${Math.round(1 / rate)} s` : `${rate < BLIND_BELOW ? rate.toFixed(1) : Math.round(rate)} pictures/s`;
    return rate ? told + delay : "";
  }
}

// --- sources

async function startCamera() {
  view.start.disabled = view.open.disabled = true;
  showEmpty("Waiting for the camera", "Your browser asks whether this page may use it.", { isReady: false });
  showState("starting");
  try {
    const stream = await openCamera(view.video);
    await watch(cameraFrames(view.video, stream, kit.tracker), { isMirrored: true });
  } catch (error) {
    fail(error.state ?? "no-camera", error.state === "refused" ? "The camera is not allowed" : "No camera", error.message);
  }
}

async function openFile(file) {
  const progress = (time, whole) => { view.speed.textContent = `${Math.round(time)} of ${Math.round(whole)} s read`; };
  const before = signs.at(-1);
  const told = await watch(fileFrames(view.video, file, kit.tracker, progress), { isLive: false });
  if (!told?.isWhole || signs.at(-1) !== before) return;
  showWarning(told.sawSomebody
    ? `No sign was found in ${file.name}: a sign begins with a hand above the belly, and ends when both rest.`
    : `Nobody was seen in ${file.name}.`);
}

/** ?replay=FILE: keypoints in the place of a camera, for tests, which may make them hold still. With &loop they begin again for
 * ever, with &fast nobody waits. */
async function replay() {
  try {
    const content = await loadReplay(options.get("replay"));
    window.sigmaReplay = { name: (clip) => kit.recognizer.ask({ name: clip }), signs: () => signs };
    const clip = { ...content, width: content.width ?? 640, height: content.height ?? 480, fps: content.fps ?? 25 };
    const isPaused = () => window.sigmaReplay.isPaused?.() ?? false;
    await watch(replayFrames(clip, { repeats: options.has("loop"), isFast: options.has("fast"), isPaused }), { layout: content.layout, isMirrored: true });
  } catch (error) {
    fail("bad-video", "It could not be read", error.message);
  }
}

// --- teaching

async function readTaught() {
  try {
    taught = await taughtClips(kit.facts.fingerprint);
  } catch (error) {
    view.teach_hint.textContent = `This browser keeps nothing for the page (${error?.message ?? error}): what you teach is lost when you leave.`;
  }
  learnAgain();
}

function learnAgain() {
  taughtSigns = new TaughtSigns(taught);
  const counts = new Map();
  for (const { label } of taught) counts.set(label, (counts.get(label) ?? 0) + 1);
  showTaught(counts, forget);
}

function startTeaching(event) {
  event.preventDefault();
  const label = view.teach_label.value.trim().normalize("NFC").replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, " ");
  if (!label || !running) return;
  // What was under way before, such as typing the name, is not the sign.
  teaching = { label, since: latest, ids: [] };
  showState("teaching");
  tellPhase(false, false); // at once, not with the next picture
  showTeaching(label, 0, MOST_RECORDINGS);
  view.teach_stop.focus();
}

function endTeaching() {
  if (!teaching) return;
  teaching = null;
  view.teach_label.value = "";
  showTeaching(null);
  if (running) showState("watching");
}

async function record(clip, { vector }) {
  if (!vector) return void (view.teaching_text.textContent = "No hands were seen in it. Sign it again, in good light.");
  const { label } = teaching, taughtAt = Date.now();
  const numbers = new Set(taught.map((one) => one.sampleId));
  let number = 1;
  while (numbers.has(`${label}/${number}`)) number++;
  const one = {
    ...clip, label, sampleId: `${label}/${number}`, vector: Float32Array.from(vector), taughtAt,
    fingerprint: kit.facts.fingerprint, estimator: kit.facts.estimator ?? "",
  };
  taught.push(one);
  learnAgain();
  const count = teaching.ids.push(one.sampleId);
  showTeaching(label, count, MOST_RECORDINGS);
  view.spoken.textContent = `Recorded ${label}, ${count} of ${MOST_RECORDINGS}.`;
  if (count === MOST_RECORDINGS) endTeaching();
  try {
    await addClip(one);
  } catch (error) {
    view.teach_hint.textContent = `It could not be kept (${error?.message ?? error}): it is lost when you leave the page.`;
  }
}

async function forget(label) {
  await remove(taught.filter((one) => one.label === label).map((one) => one.sampleId));
  view.spoken.textContent = `${label} is deleted.`;
}

async function forgetLast() {
  const last = teaching?.ids.pop();
  if (!last) return;
  showTeaching(teaching.label, teaching.ids.length, MOST_RECORDINGS);
  await remove([last]);
  view.spoken.textContent = "The last recording is deleted.";
}

async function remove(sampleIds) {
  taught = taught.filter((one) => !sampleIds.includes(one.sampleId));
  learnAgain();
  await deleteClips(sampleIds);
}

// --- buttons

view.start.addEventListener("click", startCamera);
view.open.addEventListener("click", () => view.file.click());
view.file.addEventListener("change", () => {
  const [file] = view.file.files;
  view.file.value = "";
  if (file) openFile(file);
});
view.stop.addEventListener("click", () => running?.());
view.teach_form.addEventListener("submit", startTeaching);
view.teach_stop.addEventListener("click", endTeaching);
view.teach_undo.addEventListener("click", forgetLast);
view.clear.addEventListener("click", () => { signs = []; showSigns(signs); });
view.save_srt.addEventListener("click", () => save("signs.srt", srt(signs), "application/x-subrip"));
view.save_json.addEventListener("click", () => save("signs.json", transcriptJson(signs, { model: kit.facts.name }), "application/json"));
view.save_recordings.addEventListener("click", () => save("recordings.zip", recordingsArchive(taught), "application/zip"));
view.save_dictionary.addEventListener("click", async () =>
  save("dictionary.zip", await dictionaryArchive(taught, kit.facts), "application/zip"));

begin();
