// How a face lies in a photo, and its crop: upright and of one size. As src/face_parsing/faces/alignment.py.
//
// Places are [x, y] in pixels, and the center of a photo's first pixel is (0.5, 0.5). A quadrangle is a square that may
// be turned: its upper left, upper right, lower right and lower left corner as the person's upright crop has them.

import { resizeWithGap, roundHalfEven } from "../resize.js";

const [EYES_TO_SIDE, MOUTH_TO_SIDE, BELOW_EYES] = [4.0, 3.6, 0.1];

const plus = (a, b) => [a[0] + b[0], a[1] + b[1]];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];
const times = (a, factor) => [a[0] * factor, a[1] * factor];
const between = (a, b) => times(plus(a, b), 0.5);

/** The middle between the eyes, the way from the right to the left one, and that from the middle to the mouth's. */
export function eyesOf([rightEye, leftEye, , rightMouth, leftMouth]) {
  const middle = between(rightEye, leftEye);
  return { middle, across: minus(leftEye, rightEye), down: minus(between(rightMouth, leftMouth), middle) };
}

/** By how many degrees, clockwise as seen, a face is turned from upright: -180 to 180. */
export function roll(points) {
  const { across } = eyesOf(points);
  return (Math.atan2(across[1], across[0]) * 180) / Math.PI;
}

/** The corners of a face's crop in the photo; `margin` 2 is twice as wide about the same center. */
export function quadrangle(points, margin = 1) {
  const { middle, across, down } = eyesOf(points);
  const side = Math.max(EYES_TO_SIDE * Math.hypot(...across), MOUTH_TO_SIDE * Math.hypot(...down));
  let right = plus(across, [down[1], -down[0]]);
  right = times(right, ((1 / Math.max(Math.hypot(...right), 1e-6)) * side * margin) / 2);
  const below = [-right[1], right[0]];
  const center = plus(middle, times(down, BELOW_EYES));
  const [upper, lower] = [minus(center, below), plus(center, below)];
  return [minus(upper, right), plus(upper, right), plus(lower, right), minus(lower, right)];
}

/** The length of a quadrangle's upper side. */
export function sideOf([corner, right]) {
  return Math.hypot(...minus(right, corner));
}

/** Places in a crop of `size` pixels as places in the photo. */
export function toPhoto(places, [corner, right, , below], size) {
  const [across, down] = [minus(right, corner), minus(below, corner)];
  return places.map(([x, y]) => plus(plus(corner, times(across, x / size)), times(down, y / size)));
}

/** What a picture shows in a quadrangle, as RGB of `size` x `size` pixels; beyond it, its border is repeated. It is
 * smoothed where it shrinks.
 */
export function crop(picture, square, size) {
  const { piece, origin, exact } = pieceOf(picture, square, Math.max(1, sideOf(square) / size));
  const [corner, right, , below] = square.map((place) => place.map((value, i) => (value - origin[i]) / exact[i]));
  const way = (to) => minus(to, corner).map((value) => value / size);
  return sample(piece, size, corner, way(right), way(below));
}

/** The part of a picture that a quadrangle needs, shrunk, with its border repeated; its corner in the picture, and how
 * many of the picture's pixels are one of it, across and down.
 */
function pieceOf({ data, width, height, channels }, square, shrink) {
  const axes = [width, height].map((limit, i) => {
    const values = square.map((place) => place[i]);
    const first = Math.floor(Math.min(...values) - 2 * shrink);
    const last = Math.ceil(Math.max(...values) + 2 * shrink);
    const innerFirst = Math.min(Math.max(first, 0), limit - 1);
    const innerLast = Math.min(Math.max(last, innerFirst + 1), limit);
    const size = Math.max(1, roundHalfEven((innerLast - innerFirst) / shrink));
    const exact = (innerLast - innerFirst) / size;
    const before = Math.ceil(Math.max(innerFirst - first, 0) / exact);
    const after = Math.ceil(Math.max(last - innerLast, 0) / exact);
    return { innerFirst, innerLast, size, exact, before, after, origin: innerFirst - before * exact };
  });
  let inner = part(data, width, channels, ...axes);
  if (shrink > 1) inner = resizeWithGap(inner, axes[0].size, axes[1].size, 2);
  const piece = withBorder(inner, ...axes);
  return { piece, origin: axes.map((axis) => axis.origin), exact: axes.map((axis) => axis.exact) };
}

/** A part of a picture, as RGB. */
function part(data, width, channels, across, down) {
  const [w, h] = [across.innerLast - across.innerFirst, down.innerLast - down.innerFirst];
  const out = new Uint8ClampedArray(w * h * 3);
  for (let y = 0, to = 0; y < h; y++) {
    let from = ((down.innerFirst + y) * width + across.innerFirst) * channels;
    for (let x = 0; x < w; x++, from += channels, to += 3) {
      out[to] = data[from];
      out[to + 1] = data[from + 1];
      out[to + 2] = data[from + 2];
    }
  }
  return { data: out, width: w, height: h, channels: 3 };
}

/** An RGB picture with its border repeated outwards. */
function withBorder(picture, across, down) {
  if (!(across.before || across.after || down.before || down.after)) return picture;
  const { data, width, height } = picture;
  const [w, h] = [width + across.before + across.after, height + down.before + down.after];
  const out = new Uint8ClampedArray(w * h * 3);
  for (let y = 0, to = 0; y < h; y++) {
    const row = Math.min(Math.max(y - down.before, 0), height - 1) * width;
    for (let x = 0; x < w; x++, to += 3) {
      const from = (row + Math.min(Math.max(x - across.before, 0), width - 1)) * 3;
      out[to] = data[from];
      out[to + 1] = data[from + 1];
      out[to + 2] = data[from + 2];
    }
  }
  return { data: out, width: w, height: h, channels: 3 };
}

/** An RGB picture sampled at start + x across + y down, bilinearly and rounded down, as Pillow's `transform` does. */
function sample({ data, width, height }, size, start, across, down) {
  const out = new Uint8ClampedArray(size * size * 3);
  for (let y = 0, to = 0; y < size; y++) {
    for (let x = 0; x < size; x++, to += 3) {
      const left = across[0] * (x + 0.5) + down[0] * (y + 0.5) + start[0];
      const top = across[1] * (x + 0.5) + down[1] * (y + 0.5) + start[1];
      if (left < 0 || left >= width || top < 0 || top >= height) continue;
      const [column, row] = [Math.floor(left - 0.5), Math.floor(top - 0.5)];
      const [dx, dy] = [left - 0.5 - column, top - 0.5 - row];
      const x0 = Math.max(column, 0) * 3;
      const x1 = Math.min(column + 1, width - 1) * 3;
      const y0 = Math.max(row, 0) * width * 3;
      const y1 = Math.min(row + 1, height - 1) * width * 3;
      for (let c = 0; c < 3; c++) {
        const upper = data[y0 + x0 + c] + (data[y0 + x1 + c] - data[y0 + x0 + c]) * dx;
        const lower = data[y1 + x0 + c] + (data[y1 + x1 + c] - data[y1 + x0 + c]) * dx;
        out[to + c] = Math.floor(upper + (lower - upper) * dy);
      }
    }
  }
  return { data: out, width: size, height: size, channels: 3 };
}
