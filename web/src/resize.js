// Resizing as Pillow's BILINEAR does it, to the last bit: the browser's own resizing changes 1 % of a mask's pixels.
//
// A triangle filter that widens when it shrinks, with coefficients in fixed point; rows first, then columns.

const PRECISION = 22; // bits behind the point: 32, less 8 of a pixel and 2 to spare
const HALF = 1 << (PRECISION - 1);

/** Of each of `size` places on an axis of `source` pixels: its first pixel, how many it takes, and their shares. */
function coefficients(source, size) {
  const scale = source / size;
  const support = Math.max(scale, 1);
  const longest = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(size);
  const count = new Int32Array(size);
  const shares = new Int32Array(size * longest);
  const weights = new Float64Array(longest);
  for (let place = 0; place < size; place++) {
    const center = (place + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const n = Math.min(source, Math.trunc(center + support + 0.5)) - start;
    let sum = 0;
    for (let i = 0; i < n; i++) {
      weights[i] = Math.max(0, 1 - Math.abs((i + start - center + 0.5) * (1 / support)));
      sum += weights[i];
    }
    for (let i = 0; i < n; i++) shares[place * longest + i] = Math.trunc(0.5 + (weights[i] / sum) * (1 << PRECISION));
    first[place] = start;
    count[place] = n;
  }
  return { first, count, shares, longest };
}

/** Rows of `width` pixels of `step` bytes, of which three count, to rows of `w` RGB pixels. */
function resizeRows(source, width, height, step, w) {
  const { first, count, shares, longest } = coefficients(width, w);
  const out = new Uint8ClampedArray(w * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    const row = y * width * step;
    for (let x = 0; x < w; x++, to += 3) {
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      let from = row + first[x] * step;
      for (let k = x * longest, end = k + count[x]; k < end; k++, from += step) {
        const share = shares[k];
        red += source[from] * share;
        green += source[from + 1] * share;
        blue += source[from + 2] * share;
      }
      out[to] = red >> PRECISION;
      out[to + 1] = green >> PRECISION;
      out[to + 2] = blue >> PRECISION;
    }
  }
  return out;
}

/** The same along columns, of rows of `line` bytes. */
function resizeColumns(source, height, line, h) {
  const { first, count, shares, longest } = coefficients(height, h);
  const out = new Uint8ClampedArray(line * h);
  const sums = new Int32Array(line);
  for (let y = 0; y < h; y++) {
    sums.fill(HALF);
    for (let i = 0; i < count[y]; i++) {
      const share = shares[y * longest + i];
      const from = (first[y] + i) * line;
      for (let x = 0; x < line; x++) sums[x] += source[from + x] * share;
    }
    for (let x = 0, to = y * line; x < line; x++) out[to + x] = sums[x] >> PRECISION;
  }
  return out;
}

/** RGB without the fourth byte of each pixel. */
function withoutAlpha(pixels) {
  const out = new Uint8ClampedArray((pixels.length / 4) * 3);
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) {
    out[to] = pixels[from];
    out[to + 1] = pixels[from + 1];
    out[to + 2] = pixels[from + 2];
  }
  return out;
}

/** A picture {data, width, height, channels: 3 or 4} as RGB of another size, {data, width, height, channels: 3}. */
export function resize({ data, width, height, channels }, w, h) {
  let rows = data;
  let step = channels;
  if (w !== width) {
    rows = resizeRows(data, width, height, channels, w);
    step = 3;
  }
  if (step === 4) rows = withoutAlpha(rows);
  if (h !== height) rows = resizeColumns(rows, height, w * 3, h);
  return { data: rows, width: w, height: h, channels: 3 };
}
