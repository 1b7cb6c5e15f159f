// Drives the page in Chromium and prints what happened, as JSON. For tests/test_browser_page.py and
// benchmarks/live_page.py: node drive.mjs URL TASK OPTIONS, with the path of Chromium in CHROMIUM.

import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [url, task, given = "{}"] = process.argv.slice(2);
const options = JSON.parse(given);
const PATIENCE = 240000;
const quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];

async function withPage(work, { flags = [], context = {}, path = "", prepare } = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [...quiet, "--enable-unsafe-swiftshader", "--enable-precise-memory-info", ...flags],
  });
  try {
    const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, ...context })).newPage();
    page.setDefaultTimeout(PATIENCE);
    const seen = { requests: [], errors: [] };
    page.on("request", (request) => seen.requests.push(request.url()));
    page.on("pageerror", (error) => seen.errors.push(error.message));
    await prepare?.(page);
    await page.goto(url + path);
    await page.waitForFunction(() => document.body.dataset.state !== "loading", null, { timeout: PATIENCE });
    const numLoading = seen.requests.length;
    const result = await work(page, seen);
    // Those of the loading are over; blob: addresses are the page's own memory.
    const later = seen.requests.slice(numLoading).filter((address) => !address.startsWith("blob:") && !address.includes("/replay"));
    return { ...result, requests: { loading: numLoading, later }, errors: seen.errors };
  } finally {
    await browser.close();
  }
}

const fakeCamera = (file) => [
  "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", ...(file ? [`--use-file-for-fake-video-capture=${file}`] : []),
];
const shown = (page) => page.evaluate(() => ({
  state: document.body.dataset.state, phase: document.body.dataset.phase, answer: document.body.dataset.answer,
  title: document.querySelector("#empty").hidden ? null : document.querySelector("#empty-title").textContent,
  text: document.querySelector("#empty").hidden ? null : document.querySelector("#empty-text").textContent,
  verdict: document.querySelector("#verdict").textContent, speed: document.querySelector("#speed").textContent,
  warning: document.querySelector("#warning").textContent,
  signs: document.querySelectorAll("#signs li").length, taught: [...document.querySelectorAll("#taught .name")].map((name) => name.textContent),
  nodes: document.querySelectorAll("*").length,
}));
const signs = (page, count) => page.waitForFunction((n) => window.sigmaReplay?.signs().length >= n, count, { timeout: PATIENCE });
const started = (page) => page.waitForFunction(() => window.sigmaReplay !== undefined);

const tasks = {
  /** The answer to each of the clips in a file: {clips: file, replay: any file of the server}. */
  async answers() {
    const clips = JSON.parse(readFileSync(options.clips, "utf8"));
    return withPage(async (page) => {
      await started(page);
      const answers = [];
      for (const { frames, layout } of clips)
        answers.push(await page.evaluate(async ({ frames, layout }) => {
          const clip = { layout, frames: frames.map((frame) => Float32Array.from(frame)) };
          const begin = performance.now();
          const { answers, unknown, vector } = await window.sigmaReplay.name(clip);
          return { answers, unknown, vector: vector && [...vector], milliseconds: performance.now() - begin };
        }, { frames, layout }));
      return { answers };
    }, { path: `?replay=${options.replay}` });
  },

  /** A stream of keypoints until so many signs were answered: {replay, signs}. */
  async stream() {
    return withPage(async (page) => {
      await signs(page, options.signs);
      return { history: await page.evaluate(() => window.sigmaReplay.signs()), ...(await shown(page)) };
    }, { path: `?replay=${options.replay}&loop` });
  },

  /** The size of the page's heap, every ten seconds, while a stream of keypoints repeats: {replay, seconds}. */
  async memory() {
    return withPage(async (page) => {
      await signs(page, 1);
      const client = await page.context().newCDPSession(page);
      const sizes = [];
      for (let second = 0; second <= options.seconds; second += 10) {
        if (second) await page.waitForTimeout(10000);
        await client.send("HeapProfiler.collectGarbage");
        sizes.push(await page.evaluate(() => performance.memory.usedJSHeapSize));
      }
      return { sizes, ...(await shown(page)) };
    }, { path: `?replay=${options.replay}&loop` });
  },

  /** A fake camera that shows a file (Y4M or MJPEG) in a loop, for some seconds: {camera, seconds}. */
  async camera() {
    return withPage(async (page) => {
      await page.click("#start");
      await page.waitForFunction(() => !["off", "starting"].includes(document.body.dataset.state));
      const pictures = [];
      for (let second = 0; second < options.seconds; second++) {
        await page.waitForTimeout(1000);
        const isDrawn = await page.evaluate(() => {
          const canvas = document.querySelector("#skeleton");
          return canvas.width > 0 && canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value);
        });
        pictures.push({ ...(await shown(page)), isDrawn });
        if (pictures.at(-1).signs >= (options.signs ?? Infinity)) break;
      }
      if (options.picture) await page.screenshot({ path: options.picture });
      if (!pictures.at(-1)?.signs) return { pictures, history: [] };
      const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save-json")]);
      return { pictures, history: JSON.parse(readFileSync(await download.path(), "utf8")).signs };
    }, { flags: fakeCamera(options.camera), context: { acceptDownloads: true, ...options.context } });
  },

  /** Video files, one after the other, in one page: {files, seconds}. */
  async files() {
    return withPage(async (page) => {
      const results = {};
      for (const file of options.files) {
        await page.setInputFiles("#file", file);
        await page.waitForTimeout(500);
        await page.waitForFunction(() => ["off", "bad-video"].includes(document.body.dataset.state), null, { timeout: 1000 * options.seconds })
          .catch(() => {});
        results[file.split("/").at(-1)] = await shown(page);
        if (await page.isVisible("#stop")) {
          await page.click("#stop");
          await page.waitForFunction(() => document.querySelector("#bar").hidden);
        }
        await page.evaluate(() => document.querySelector("#clear").click());
      }
      return { results };
    }, {});
  },

  /** Teaches a sign, finds it, saves and deletes it: {replay, folder, label}. */
  async teach() {
    return withPage(async (page) => {
      await started(page);
      await page.fill("#teach-label", options.label);
      await page.keyboard.press("Enter");
      const teaching = await shown(page);
      await page.waitForFunction(() => document.querySelector("#teaching-text").textContent.startsWith("1 of"), null, { timeout: PATIENCE });
      await page.click("#teach-stop");
      await signs(page, options.signs ?? 2);
      const found = await shown(page);
      for (const [button, name] of [["#save-recordings", "recordings.zip"], ["#save-dictionary", "dictionary.zip"], ["#save-srt", "signs.srt"], ["#save-json", "signs.json"]]) {
        const [download] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
        await download.saveAs(`${options.folder}/${name}`);
      }
      await page.reload();
      await started(page);
      const again = await shown(page);
      await page.click("#taught button");
      await page.waitForFunction(() => !document.querySelector("#taught li"));
      await page.reload();
      await started(page);
      return { teaching, found, again, deleted: await shown(page) };
    }, { path: `?replay=${options.replay}&loop`, context: { acceptDownloads: true } });
  },

  /** The same page where something is missing. */
  async missing() {
    const noSimd = await withPage((page) => shown(page), { prepare: (page) => page.addInitScript(() => { WebAssembly.validate = () => false; }) });
    const noCamera = await withPage(async (page) => {
      await page.click("#start");
      await page.waitForFunction(() => !["off", "starting"].includes(document.body.dataset.state));
      return shown(page);
    });
    const refused = await withPage(async (page) => {
      await page.click("#start");
      await page.waitForFunction(() => !["off", "starting"].includes(document.body.dataset.state));
      return shown(page);
    }, { flags: ["--use-fake-device-for-media-stream", "--deny-permission-prompts"] });
    const gone = await withPage(async (page) => {
      const isWatching = () => page.waitForFunction(() => ["watching", "slow"].includes(document.body.dataset.state));
      await page.click("#start");
      await isWatching();
      // A camera that is pulled out ends its track; a script can but say so in its place.
      await page.evaluate(() => document.querySelector("#video").srcObject.getVideoTracks()[0].dispatchEvent(new Event("ended")));
      await page.waitForFunction(() => document.body.dataset.state === "no-camera");
      const told = await shown(page);
      await page.click("#start");
      await isWatching();
      return told;
    }, { flags: fakeCamera() });
    return { noSimd, noCamera, refused, gone };
  },

  /** What the page says once it has loaded, or could not. */
  async loaded() {
    return withPage((page) => shown(page));
  },
};

console.log(JSON.stringify(await tasks[task]()));
