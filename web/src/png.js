// PNG files byte by byte: a browser's own writer knows no palettes, and loses colors under transparency.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const INDEXED = 3;
const RGBA = 6;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC_TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

function chunk(name, content) {
  const bytes = new Uint8Array(content.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = name.charCodeAt(i);
  bytes.set(content, 8);
  view.setUint32(content.length + 8, crc(bytes.subarray(4, content.length + 8)));
  return bytes;
}

function header(width, height, kind) {
  const bytes = new Uint8Array(13);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  bytes.set([8, kind, 0, 0, 0], 8);
  return chunk("IHDR", bytes);
}

async function deflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Each row less the row above it (filter "up"), behind a byte that says so: long runs of zeros in masks. */
function filteredRows(data, line, height) {
  const out = new Uint8Array((line + 1) * height);
  for (let y = 0, from = 0, to = 0; y < height; y++) {
    out[to++] = 2;
    for (let x = 0; x < line; x++, from++, to++) out[to] = y ? data[from] - data[from - line] : data[from];
  }
  return out;
}

async function png(parts, data, line, height) {
  const content = chunk("IDAT", await deflated(filteredRows(data, line, height)));
  const blobParts = [new Uint8Array(SIGNATURE), ...parts, content, chunk("IEND", [])];
  return new Blob(blobParts, { type: "image/png" });
}

/** A PNG of ids (height * width) with a palette of [red, green, blue]. */
export function palettePng(ids, width, height, palette) {
  const parts = [header(width, height, INDEXED), chunk("PLTE", Uint8Array.from(palette.flat()))];
  return png(parts, ids, width, height);
}

/** A PNG of RGBA pixels. */
export function rgbaPng(data, width, height) {
  return png([header(width, height, RGBA)], data, width * 4, height);
}
