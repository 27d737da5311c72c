// What the network says of crops, put back onto the photo: scores are interpolated there, and then decided. As
// src/face_parsing/faces/paste.py, with its roundings to float32.

import { UNDECIDED, decidedBetween, largestOfEach } from "../largest_class.js";

const fround = Math.fround;

/** The way from the photo's pixels to places in a quadrangle: 0 to 1 across and down, inside. */
export class Square {
  constructor(quadrangle) {
    const [corner, right, , below] = quadrangle;
    const across = [right[0] - corner[0], right[1] - corner[1]];
    const down = [below[0] - corner[0], below[1] - corner[1]];
    const area = across[0] * down[1] - across[1] * down[0];
    this.corner = corner;
    this.ways = [[down[1] / area, -down[0] / area], [-across[1] / area, across[0] / area]];
    this.first = [0, 1].map((i) => Math.min(...quadrangle.map((place) => place[i])));
    this.last = [0, 1].map((i) => Math.max(...quadrangle.map((place) => place[i])));
  }

  /** [left, right, top, bottom] of the pixels of a photo of that size that hold the quadrangle. */
  limits(width, height) {
    const within = (value, limit) => Math.min(Math.max(value, 0), limit);
    const [left, top] = this.first.map((value, i) => within(Math.floor(value), [width, height][i]));
    const [right, bottom] = this.last.map((value, i) => within(Math.ceil(value), [width, height][i]));
    return [left, right, top, bottom];
  }

  /** What each column and each row adds to where a pixel lies, across and down: a pixel's place is their sum. */
  places(width, height) {
    const parts = (count, start, factor) => Float32Array.from({ length: count }, (_, i) => (i + 0.5 - start) * factor);
    const [across, down] = this.ways.map((way) => ({
      columns: parts(width, this.corner[0], way[0]),
      rows: parts(height, this.corner[1], way[1]),
    }));
    return { across, down };
  }
}

/** In sides of the crop, squared, how far a place is from its center. */
function away(across, down) {
  const [x, y] = [fround(across - 0.5), fround(down - 0.5)];
  return fround(fround(x * x) + fround(y * y));
}

/** Which crop each pixel of a photo is of: uint16 (height * width), 1 for the first quadrangle, 0 for none. Where several
 * overlap, it is of that whose center is the nearest.
 */
export function owners(quadrangles, width, height) {
  const owner = new Uint16Array(width * height);
  const nearest = quadrangles.length > 1 ? new Float32Array(width * height).fill(Infinity) : null;
  quadrangles.forEach((quadrangle, index) => {
    const square = new Square(quadrangle);
    const [left, right, top, bottom] = square.limits(width, height);
    const { across, down } = square.places(width, height);
    for (let y = top; y < bottom; y++) {
      for (let x = left, at = y * width + left; x < right; x++, at++) {
        const a = fround(across.columns[x] + across.rows[y]);
        const d = fround(down.columns[x] + down.rows[y]);
        if (!(a >= 0 && a < 1 && d >= 0 && d < 1)) continue;
        if (nearest) {
          const distance = away(a, d);
          if (!(distance < nearest[at])) continue;
          nearest[at] = distance;
        }
        owner[at] = index + 1;
      }
    }
  });
  return owner;
}

/** Call `use(at, column, row, beside, below)` for each pixel of a photo that `owner` gives to a number: where it lies in
 * its crop of w x h pixels, as the pixel above to the left, and how far beyond that.
 */
export function eachOwn(quadrangle, number, owner, width, height, w, h, use) {
  const square = new Square(quadrangle);
  const [left, right, top, bottom] = square.limits(width, height);
  const { across, down } = square.places(width, height);
  for (let y = top; y < bottom; y++) {
    for (let x = left, at = y * width + left; x < right; x++, at++) {
      if (owner[at] !== number) continue;
      const a = fround(across.columns[x] + across.rows[y]);
      const d = fround(down.columns[x] + down.rows[y]);
      const beside = Math.min(Math.max(fround(fround(a * w) - 0.5), 0), w - 1);
      const below = Math.min(Math.max(fround(fround(d * h) - 0.5), 0), h - 1);
      const column = Math.trunc(beside);
      const row = Math.trunc(below);
      use(at, column, row, beside - column, below - row);
    }
  }
}

/** Write the classes of a crop's scores into a photo's mask where `owner` has its number. */
export function fill(scores, quadrangle, number, owner, mask, width, height) {
  const { data, classes, width: w, height: h } = scores;
  const offsets = scores.offsets;
  const { across, down } = offsets;
  const decided = decidedBetween(largestOfEach(scores, offsets), w, h);
  eachOwn(quadrangle, number, owner, width, height, w, h, (at, column, row, beside, below) => {
    const sure = decided[row * w + column];
    if (sure !== UNDECIDED) {
      mask[at] = sure;
      return;
    }
    const [upper, lower] = [down[row], down[Math.min(row + 1, h - 1)]];
    const [near, far] = [across[column], across[Math.min(column + 1, w - 1)]];
    let highest = -1;
    for (let c = 0; c < classes; c++) {
      const first = data[upper + near + c] + beside * (data[upper + far + c] - data[upper + near + c]);
      const second = data[lower + near + c] + beside * (data[lower + far + c] - data[lower + near + c]);
      const score = first + below * (second - first);
      if (score > highest) {
        highest = score;
        mask[at] = c;
      }
    }
  });
}
