// The files that Python reads: zip archives (stored, not compressed), numpy arrays and safetensors.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** @param {Record<string, Uint8Array|string>} files name -> content @returns {Uint8Array} a zip archive */
export function zip(files) {
  const encoder = new TextEncoder();
  const pieces = [], directory = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const path = encoder.encode(name), bytes = typeof content === "string" ? encoder.encode(content) : content;
    // Version 2.0, names in UTF-8, stored, dated 1980-01-01.
    const facts = [20, 0x0800, 0, 0, 0x21, 0, 0, crc32(bytes), bytes.length, bytes.length, path.length, 0];
    const local = record(0x04034b50, [facts[0], facts[1], facts[2], facts[3], facts[4]], facts.slice(7, 10), [path.length, 0]);
    directory.push(
      record(0x02014b50, [20, ...facts.slice(0, 5)], facts.slice(7, 10), [path.length, 0, 0, 0, 0], [0, offset]), path,
    );
    pieces.push(local, path, bytes);
    offset += local.length + path.length + bytes.length;
  }
  const size = directory.reduce((sum, piece) => sum + piece.length, 0), count = Object.keys(files).length;
  return joined([...pieces, ...directory, record(0x06054b50, [0, 0, count, count], [size, offset], [0])]);
}

/** A signature, then numbers of 2, 4, 2 and 4 bytes. */
function record(signature, ...groups) {
  const bytes = [];
  const put = (value, size) => { for (let k = 0; k < size; k++) bytes.push(Math.floor(value / 256 ** k) & 255); };
  put(signature, 4);
  groups.forEach((group, index) => group.forEach((value) => put(value, index % 2 ? 4 : 2)));
  return Uint8Array.from(bytes);
}

function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let place = 0;
  for (const piece of pieces) { whole.set(piece, place); place += piece.length; }
  return whole;
}

const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** @param {Float32Array|Float64Array|Int32Array|string} value @param {number[]} shape @returns {Uint8Array} a .npy file */
export function npy(value, shape = []) {
  let kind, data;
  if (typeof value === "string") {
    const points = Array.from(value, (character) => character.codePointAt(0));
    [kind, data] = [`<U${points.length || 1}`, bytesOf(Uint32Array.from(points.length ? points : [0]))];
  } else {
    kind = value instanceof Float32Array ? "<f4" : value instanceof Float64Array ? "<f8" : "<i4";
    data = bytesOf(value);
  }
  const sides = shape.join(", ") + (shape.length === 1 ? "," : "");
  const header = `{'descr': '${kind}', 'fortran_order': False, 'shape': (${sides}), }`;
  const text = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + "\n";
  const start = [0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, text.length & 255, text.length >> 8];
  return joined([Uint8Array.from(start), new TextEncoder().encode(text), data]);
}

/** @param {Float32Array} values @param {number[]} shape @returns {Uint8Array} one tensor, as safetensors */
export function safetensors(name, values, shape, metadata) {
  const header = { __metadata__: metadata, [name]: { dtype: "F32", shape, data_offsets: [0, values.byteLength] } };
  let text = JSON.stringify(header);
  text = text.padEnd(Math.ceil(text.length / 8) * 8);
  const encoded = new TextEncoder().encode(text);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setUint32(0, encoded.length, true);
  return joined([length, encoded, bytesOf(values)]);
}
