// What the page shows. Everything that was signed or typed goes in as text, never as HTML.

const element = (id) => document.getElementById(id);
const MOST_SHOWN = 100; // lines of history in the page; more are kept for saving

export const view = new Proxy({}, { get: (_, id) => element(String(id).replaceAll("_", "-")) });

const percent = (share) => (share < 0.01 ? "<1 %" : `${Math.round(100 * share)} %`);

export function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
}

function made(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** @param {string} state what the page is about: see docs/live.md */
export function showState(state) { document.body.dataset.state = state; }

export function showEmpty(title, text, { progress = null, isReady = true, isShown = true, action = "Turn on the camera" } = {}) {
  view.empty.hidden = !isShown;
  view.empty_title.textContent = title;
  view.empty_text.textContent = text;
  view.progress.hidden = progress === null;
  if (progress !== null) view.progress.value = progress;
  view.start.textContent = action;
  view.start.disabled = view.open.disabled = !isReady;
}

export function showPhase(phase, text) {
  document.body.dataset.phase = phase ?? "";
  view.phase.hidden = phase === null;
  if (view.phase.textContent !== text) view.phase.textContent = text ?? "";
}

export function showWarning(text) {
  view.warning.hidden = !text;
  if (view.warning.textContent !== (text ?? "")) view.warning.textContent = text ?? "";
}

const SURE = 0.7, HARDLY = 0.4; // calibrated shares, as in examples/space/answers.py
const REASONS = {
  still: ["Not a sign", "The hands were up but hardly moved."],
  unseen: ["No hands seen", "Stay in the picture with both hands, and in good light."],
  unlike: ["Not a sign I know", "It is unlike the signs that the model has learnt. The closest ones:"],
};

/** A sign that has ended: {answers, unknown, reason, taught}. Returns it in one line. */
export function showAnswer({ answers, unknown, reason, taught }) {
  const found = taught.find((one) => one.isFound);
  let verdict, note;
  if (found) [verdict, note] = [found.label, "A sign that you have taught. The model's own guesses:"];
  else if (unknown) [verdict, note] = REASONS[reason];
  else [verdict, note] = [answers[0].label, unknown === null ? "These scores are not calibrated." : "The likeliest of the signs it knows:"];
  document.body.dataset.answer = found ? "taught" : unknown ? "unknown" : "known";
  view.verdict.textContent = verdict;
  view.verdict_note.textContent = note;
  if (!found && unknown === false && answers[0].score < SURE) {
    view.verdict.textContent = answers[0].score < HARDLY ? "Not sure" : `Perhaps “${verdict}”`;
    view.verdict_note.textContent = "It may be one of these:";
  }
  view.likely.replaceChildren(...answers.map(({ label, score }) => {
    const line = made("li");
    const meter = made("meter");
    meter.value = score;
    meter.setAttribute("aria-hidden", "true");
    line.append(made("span", "label", label), made("span", "share", percent(score)), meter);
    return line;
  }));
  const guesses = answers.slice(0, 3).map(({ label, score }) => `${label} ${percent(score)}`).join(", ");
  view.spoken.textContent = found ? `${verdict}, taught by you.` : unknown ? `${verdict}. ${guesses && `Closest: ${guesses}.`}` : guesses;
  return verdict;
}

export function showSigns(signs) {
  view.history_empty.hidden = signs.length > 0;
  view.history_actions.hidden = signs.length === 0;
  const last = signs.at(-1);
  if (!last) return view.signs.replaceChildren();
  const line = made("li");
  line.append(
    made("span", "when", `${clock(last.start)} to ${clock(last.end)}`), made("span", "name", last.text),
    made("span", "share", last.kind === "known" ? percent(last.answers[0].score) : last.kind === "taught" ? "taught" : ""),
  );
  view.signs.prepend(line);
  while (view.signs.children.length > MOST_SHOWN) view.signs.lastChild.remove();
}

/** @param {Map<string, number>} counts label -> number of recordings */
export function showTaught(counts, onDelete) {
  view.taught_actions.hidden = counts.size === 0;
  view.taught.replaceChildren(...[...counts].map(([label, count]) => {
    const line = made("li");
    const button = made("button", "", "Delete");
    button.setAttribute("aria-label", `Delete ${label}`);
    button.addEventListener("click", () => onDelete(label));
    line.append(made("span", "name", label), made("span", "count", count === 1 ? "1 recording" : `${count} recordings`), button);
    return line;
  }));
}

export function showTeaching(label, count, most) {
  view.teaching.hidden = label === null;
  view.teach_form.hidden = label !== null;
  if (label === null) return;
  view.teaching_text.textContent = count
    ? `${count} of at most ${most} recorded. Sign “${label}” again, or stop here.`
    : `Sign “${label}” now, then lower your hands.`;
  view.teach_undo.hidden = count === 0;
  view.teaching_dots.textContent = "●".repeat(count) + "○".repeat(most - count);
}

/** Offers a file to save. */
export function save(name, content, type) {
  const link = made("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
