// Where keypoints come from: a camera, a video file, or a file of keypoints. Each is an async generator of frames
// {points, time (s), width, height}; ending it ends the source. Of a camera and of keypoints, the time is by the clock of
// performance.now(), so that delays can be told.

const FILE_RATE = 25; // pictures a second that are read of a video file
const LARGEST_SIDE = 1280; // of a picture that is searched; MediaPipe makes it smaller still
const SEEK_TIMEOUT = 8000;

/** A reason that a person can do something about, with the name of the page's state. */
export class SourceError extends Error {
  constructor(state, message) {
    super(message);
    this.state = state;
  }
}

/** Opens the camera and shows it. */
export async function openCamera(video) {
  if (!navigator.mediaDevices?.getUserMedia)
    throw new SourceError("no-camera", "This page cannot use a camera here: open it from http://127.0.0.1 or over https.");
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: false, video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } },
    });
    video.srcObject = stream;
    await video.play();
    return stream;
  } catch (error) {
    if (error.name === "NotAllowedError" || error.name === "SecurityError")
      throw new SourceError("refused", "The browser did not let this page use the camera. Allow it in the address bar, then try again.");
    if (error.name === "NotReadableError")
      throw new SourceError("no-camera", "The camera is in use by another program. Close that, then try again.");
    throw new SourceError("no-camera", "No camera was found. Plug one in and try again, or open a video.");
  }
}

export async function* cameraFrames(video, stream, tracker) {
  const [track] = stream.getVideoTracks();
  let isLost = false;
  track.addEventListener("ended", () => { isLost = true; });
  await tracker.ask({ begin: true });
  const newest = new NewestPicture(video);
  let last = -Infinity;
  try {
    while (!isLost) {
      const now = await newest.after(last);
      if (now === null) continue;
      const picture = await pictureOf(video);
      if (!picture) continue;
      const { width, height } = picture;
      const milliseconds = Number.isFinite(last) ? now - last : 33;
      last = now;
      yield { points: await tracker.ask({ find: { picture, milliseconds } }, [picture]), time: now / 1000, width, height };
    }
  } finally {
    newest.end();
    track.stop();
    video.srcObject = null;
  }
  throw new SourceError("no-camera", "The camera has gone. Plug it in again, then turn it on here.");
}

/** When the newest picture of a camera came. It is told at once to who asks later, as while the last one was searched. */
class NewestPicture {
  #time = -Infinity;
  #tell = null;
  #end;

  constructor(video) {
    const [request, cancel] = video.requestVideoFrameCallback
      ? [(see) => video.requestVideoFrameCallback(see), (id) => video.cancelVideoFrameCallback(id)]
      : [(see) => requestAnimationFrame(see), (id) => cancelAnimationFrame(id)];
    let id;
    const see = (now) => {
      this.#time = now;
      this.#tell?.();
      id = request(see);
    };
    id = request(see);
    this.#end = () => cancel(id);
  }

  /** The time in milliseconds of a picture newer than that of `last`; null after half a second without one. */
  async after(last) {
    if (this.#time <= last) await new Promise((resolve) => {
      const timer = setTimeout(resolve, 500);
      this.#tell = () => { clearTimeout(timer); resolve(); };
    });
    return this.#time > last ? this.#time : null;
  }

  end() { this.#end(); }
}

async function pictureOf(video) {
  const { videoWidth: width, videoHeight: height } = video;
  if (!width || !height) return null;
  const scale = Math.min(1, LARGEST_SIDE / Math.max(width, height));
  const resize = scale < 1 ? { resizeWidth: Math.round(width * scale), resizeHeight: Math.round(height * scale) } : {};
  try {
    return await createImageBitmap(video, resize);
  } catch {
    return null; // no picture yet
  }
}

/** The pictures of a video file one by one, however long each takes. `onProgress` is told seconds read and of all. */
export async function* fileFrames(video, file, tracker, onProgress) {
  const address = URL.createObjectURL(file);
  try {
    video.src = address;
    await event(video, "loadeddata", `${file.name} is not a video that this browser can read.`);
    if (!video.videoWidth) throw new SourceError("bad-video", `${file.name} has no pictures: it may hold sound alone.`);
    await tracker.ask({ begin: true });
    for (let number = 0; ; number++) {
      const time = number / FILE_RATE;
      if (time >= video.duration) return;
      video.currentTime = time + 0.5 / FILE_RATE;
      try {
        await event(video, "seeked", "");
      } catch {
        throw new SourceError("bad-video", `${file.name} could be read for ${time.toFixed(1)} s only: the rest is damaged or missing.`);
      }
      const picture = await pictureOf(video);
      if (!picture) continue;
      const { width, height } = picture;
      const points = await tracker.ask({ find: { picture, milliseconds: 1000 / FILE_RATE } }, [picture]);
      onProgress(time, video.duration);
      yield { points, time, width, height };
    }
  } finally {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(address);
  }
}

function event(video, name, message) {
  return new Promise((resolve, reject) => {
    const settle = (isFine) => () => {
      clearTimeout(timer);
      video.removeEventListener(name, fine);
      video.removeEventListener("error", bad);
      if (isFine) resolve();
      else reject(new SourceError("bad-video", message));
    };
    const fine = settle(true), bad = settle(false);
    const timer = setTimeout(bad, SEEK_TIMEOUT);
    video.addEventListener(name, fine);
    video.addEventListener("error", bad);
  });
}

/**
 * Keypoints from a file of the page's own server, for tests and demonstrations: {layout, width, height, fps, frames}.
 */
export async function loadReplay(address) {
  const url = new URL(address, location.href);
  if (url.origin !== location.origin) throw new SourceError("bad-video", "?replay= takes a file of this server alone.");
  const response = await fetch(url);
  if (!response.ok) throw new SourceError("bad-video", `${url.pathname} could not be read (${response.status}).`);
  return response.json();
}

export async function* replayFrames({ width, height, fps, frames }, { repeats, isFast, isPaused }) {
  const start = performance.now() / 1000;
  const points = frames.map((frame) => (frame ? Float32Array.from(frame) : null));
  for (let number = 0, place = 0; repeats || place < points.length; number++) {
    const wait = 1000 * (start + number / fps) - performance.now();
    if (!isFast && wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    yield { points: points[place % points.length], time: start + number / fps, width, height };
    if (!isPaused()) place++; // whoever is paused holds still
  }
}
