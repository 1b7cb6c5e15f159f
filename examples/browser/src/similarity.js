// How alike clips are, given those that a dictionary holds: the twin of inference/similarity_space.py and
// dictionary_search.py, for dictionaries of up to 63 clips learnt from as a whole, and of one way to make each sign.

const CLIPS_BEFORE_CENTRE = 10, PAIRS_BEFORE_SPREAD = 50, FEWEST_SIGNS = 10;
const FALSE_ALARM_RATE = 0.1;
// With fewer signs than ten there is nothing to compare with: two clips count as one sign from this cosine on. Measured
// on real signs, see docs/live.md.
export const FOUND_FROM = 0.65;

const dot = (a, b) => { let sum = 0; for (let k = 0; k < a.length; k++) sum += a[k] * b[k]; return sum; };

export function unit(vector) {
  const length = Math.max(Math.sqrt(dot(vector, vector)), 1e-9);
  return Float64Array.from(vector, (value) => value / length);
}

/** Of how many clips the first ones are learnt from: all of up to 63. */
const learntFrom = (count) => count - (count % 2 ** Math.max(Math.floor(Math.log2(count || 1)) + 1 - 6, 0));

/** Centre and projection that the vectors (N of them, unit length) and the label of each give. */
export function learnSpace(vectors, labels) {
  const width = vectors[0].length;
  const centre = new Float64Array(width);
  for (const vector of vectors) for (let k = 0; k < width; k++) centre[k] += vector[k] / (vectors.length + CLIPS_BEFORE_CENTRE);
  const groups = new Map();
  labels.forEach((label, row) => groups.set(label, [...(groups.get(label) ?? []), row]));
  const numPairs = vectors.length - groups.size;
  if (!numPairs) return { centre, projection: null };
  const spread = Array.from({ length: width }, () => new Float64Array(width));
  let trace = 0;
  for (const rows of groups.values()) {
    if (rows.length < 2) continue;
    const mean = new Float64Array(width);
    for (const row of rows) for (let k = 0; k < width; k++) mean[k] += vectors[row][k] / rows.length;
    for (const row of rows) {
      const apart = Float64Array.from(vectors[row], (value, k) => value - mean[k]);
      for (let i = 0; i < width; i++) for (let j = 0; j < width; j++) spread[i][j] += apart[i] * apart[j];
    }
  }
  for (let i = 0; i < width; i++) trace += spread[i][i];
  const variance = trace / (numPairs * width);
  if (variance < 1e-9) return { centre, projection: null }; // copies of one recording
  for (let i = 0; i < width; i++)
    for (let j = 0; j < width; j++)
      spread[i][j] = (spread[i][j] / variance + (i === j ? PAIRS_BEFORE_SPREAD : 0)) / (numPairs + PAIRS_BEFORE_SPREAD);
  return { centre, projection: cholesky(spread) };
}

/** The lower triangle L with spread = L L'. */
function cholesky(matrix) {
  const lower = matrix.map((row) => new Float64Array(row.length));
  for (let i = 0; i < matrix.length; i++)
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i][j];
      for (let k = 0; k < j; k++) sum -= lower[i][k] * lower[j][k];
      lower[i][j] = i === j ? Math.sqrt(sum) : sum / lower[j][j];
    }
  return lower;
}

/** A vector in the space: inverse(L) (vector - centre), as a unit vector. */
export function place(vector, { centre, projection }) {
  const moved = Float64Array.from(vector, (value, k) => value - centre[k]);
  if (projection)
    for (let i = 0; i < moved.length; i++) {
      for (let k = 0; k < i; k++) moved[i] -= projection[i][k] * moved[k];
      moved[i] /= projection[i][i];
    }
  return unit(moved);
}

export class TaughtSigns {
  /** @param {{label: string, vector: ArrayLike<number>}[]} clips unit vectors of one model */
  constructor(clips) {
    this.clips = clips;
    this.labels = [...new Set(clips.map((clip) => clip.label))];
    if (!clips.length) return;
    const first = clips.slice(0, learntFrom(clips.length));
    this.space = learnSpace(first.map((clip) => clip.vector), first.map((clip) => clip.label));
    const rows = clips.map((clip) => place(clip.vector, this.space));
    this.groups = this.labels.map((label) => {
      const own = rows.filter((_, row) => clips[row].label === label);
      const middle = unit(own.reduce((sum, row) => sum.map((value, k) => value + row[k]), new Float64Array(own[0].length)));
      return { label, rows: own, middle };
    });
    this.threshold = this.#threshold(rows.slice(0, first.length), first);
  }

  /** The mean of two cosines, with the most similar clip of a sign and with the middle of all its clips. */
  #similarity(query, group) {
    return (Math.max(...group.rows.map((row) => dot(query, row))) + dot(query, group.middle)) / 2;
  }

  #threshold(rows, clips) {
    if (this.labels.length < FEWEST_SIGNS) return null;
    const known = new Set(clips.map((clip) => clip.label));
    const nearest = rows.map((row, index) =>
      Math.max(...this.groups.filter((group) => group.label !== clips[index].label && known.has(group.label))
        .map((group) => this.#similarity(row, group)))).sort((a, b) => a - b);
    return nearest[Math.ceil((1 - FALSE_ALARM_RATE) * (nearest.length - 1) - 1e-9)];
  }

  /**
   * The taught signs most like a vector, best first.
   * @returns {{label: string, similarity: number, cosine: number, isFound: boolean}[]}
   */
  search(vector, topK = 5) {
    if (!this.clips.length) return [];
    const query = place(vector, this.space), plain = unit(vector);
    const found = this.groups.map((group) => {
      const similarity = this.#similarity(query, group);
      const cosine = Math.max(...this.clips.filter((clip) => clip.label === group.label).map((clip) => dot(plain, clip.vector)));
      const isFound = this.threshold === null ? cosine >= FOUND_FROM : similarity > this.threshold;
      return { label: group.label, similarity, cosine, isFound };
    });
    return found.sort((one, other) => other.similarity - one.similarity).slice(0, topK);
  }
}
