// What was seen, as files: subtitles (SRT), and JSON with everything that was answered.

function clock(seconds) {
  const milliseconds = Math.round(seconds * 1000);
  const two = (value) => String(value).padStart(2, "0");
  const [ms, s] = [milliseconds % 1000, Math.floor(milliseconds / 1000)];
  return `${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)},${String(ms).padStart(3, "0")}`;
}

/** @param {{start: number, end: number, text: string}[]} signs times in seconds */
export function srt(signs) {
  return signs.map(({ start, end, text }, index) =>
    `${index + 1}\n${clock(start)} --> ${clock(Math.max(end, start + 0.1))}\n${text.replaceAll("\n", " ")}\n`).join("\n");
}

/** @param {object[]} signs @param {object} facts the model, and what made the keypoints */
export function transcriptJson(signs, facts) {
  return JSON.stringify({ ...facts, signs }, null, 1) + "\n";
}
