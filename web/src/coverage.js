// How much of each pixel is of some classes, 0 to 255: what cut-outs and tints need where hair ends in single strands.

import { placesBetween } from "./largest_class.js";

// Below the first probability a pixel is not covered, above the second wholly: an interior has no thin places.
const [NONE, ALL] = [0.15, 0.85];

/** The probability of all `chosen` classes together at each pixel of scores: float32 (height * width). */
export function probabilityOf(scores, chosen, scoreScale) {
  const { data, classes, width, height } = scores;
  const { down, across } = scores.offsets;
  const powers = Float32Array.from({ length: 256 }, (_, difference) => Math.exp(-scoreScale * difference));
  const counts = Uint8Array.from({ length: classes }, (_, c) => (chosen.includes(c) ? 1 : 0));
  const plane = new Float32Array(width * height);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to++) {
      const from = down[y] + across[x];
      let highest = 0;
      for (let c = 0; c < classes; c++) if (data[from + c] > highest) highest = data[from + c];
      let all = 0;
      let some = 0;
      for (let c = 0; c < classes; c++) {
        const power = powers[highest - data[from + c]];
        all += power;
        if (counts[c]) some += power;
      }
      plane[to] = some / all;
    }
  }
  return plane;
}

/** A plane of probabilities, (height * width), at another size, as coverage uint8. */
export function enlargedCoverage(plane, width, height, wide, high) {
  const rows = placesBetween(high, height);
  const columns = placesBetween(wide, width);
  const out = new Uint8ClampedArray(wide * high);
  for (let y = 0, to = 0; y < high; y++) {
    const [near, far, down] = [rows.nearer[y] * width, rows.other[y] * width, rows.share[y]];
    for (let x = 0; x < wide; x++, to++) {
      const [one, other, across] = [columns.nearer[x], columns.other[x], columns.share[x]];
      const left = plane[near + one] + (plane[far + one] - plane[near + one]) * down;
      const right = plane[near + other] + (plane[far + other] - plane[near + other]) * down;
      out[to] = asCoverage(left + (right - left) * across);
    }
  }
  return out;
}

/** A probability as coverage, 0 to 255. */
export function asCoverage(probability) {
  return (255 * (probability - NONE)) / (ALL - NONE);
}
