// The largest class at every pixel of a photo, from scores in blocks: what src/face_parsing/inference/largest_class.py
// computes, with its roundings to float32, so that both give the same mask.

export const UNDECIDED = 255; // no class has this id
const fround = Math.fround;

/** Scores (h, w, s, s, C) uint8 of a graph, of which the upper left `width` x `height` pixels are the picture's. */
export class Scores {
  constructor(data, [h, w, s, , C], width, height) {
    Object.assign(this, { data, rows: h, columns: w, block: s, classes: C, width, height });
  }

  /** Where the scores of each row start, and of each column behind that: a pixel's are at their sum. */
  get offsets() {
    const { columns, block, classes } = this;
    const down = Int32Array.from({ length: this.height }, (_, y) => {
      return (Math.trunc(y / block) * columns * block + (y % block)) * block * classes;
    });
    const across = Int32Array.from({ length: this.width }, (_, x) => {
      return (Math.trunc(x / block) * block * block + (x % block)) * classes;
    });
    return { down, across };
  }
}

/** The largest class of every pixel of scores; ties go to the lower id. */
export function largestOfEach(scores, { down, across }) {
  const { data, classes, width, height } = scores;
  const best = new Uint8Array(width * height);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to++) {
      const from = down[y] + across[x];
      let highest = data[from];
      let found = 0;
      for (let c = 1; c < classes; c++) {
        const score = data[from + c];
        if (score > highest) {
          highest = score;
          found = c;
        }
      }
      best[to] = found;
    }
  }
  return best;
}

/** The class that a pixel, its right, its lower and its lower right neighbour share, or UNDECIDED. */
export function decidedBetween(best, width, height) {
  const decided = new Uint8Array(best.length);
  for (let y = 0, at = 0; y < height; y++) {
    const below = y + 1 < height ? width : 0;
    for (let x = 0; x < width; x++, at++) {
      const c = best[at];
      const right = x + 1 < width ? 1 : 0;
      const same = best[at + right] === c && best[at + below] === c && best[at + below + right] === c;
      decided[at] = same ? c : UNDECIDED;
    }
  }
  return decided;
}

/** Of places on an axis: the nearer of the two pixels that each lies between, the other, its share, and the first. */
export function placesBetween(size, source) {
  const nearer = new Int32Array(size);
  const other = new Int32Array(size);
  const first = new Int32Array(size);
  const share = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    const place = Math.min(Math.max((i + 0.5) * (source / size) - 0.5, 0), source - 1);
    const before = Math.floor(place);
    const after = Math.min(before + 1, source - 1);
    const part = fround(place - before);
    first[i] = before;
    nearer[i] = part < 0.5 ? before : after;
    other[i] = part < 0.5 ? after : before;
    share[i] = part < 0.5 ? part : fround(1 - part);
  }
  return { nearer, other, first, share };
}

/** The largest of scores between four pixels; `a` is the nearest, `b` below it, `c` and `d` beside them. */
function largestBetween(data, classes, a, b, c, d, down, across) {
  let highest = -1;
  let best = 0;
  for (let i = 0; i < classes; i++) {
    const near = fround(fround((data[b + i] - data[a + i]) * down) + data[a + i]);
    const far = fround(fround((data[d + i] - data[c + i]) * down) + data[c + i]);
    const score = fround(fround(fround(far - near) * across) + near);
    if (score > highest) {
      highest = score;
      best = i;
    }
  }
  return best;
}

/** The mask of `width` x `height` pixels of scores, interpolated where neighbours differ; ties go to the lower id. */
export function largestClass(scores, width, height) {
  const offsets = scores.offsets;
  const best = largestOfEach(scores, offsets);
  if (scores.width === width && scores.height === height) return best;
  const decided = decidedBetween(best, scores.width, scores.height);
  const rows = placesBetween(height, scores.height);
  const columns = placesBetween(width, scores.width);
  const nearColumns = columns.nearer.map((x) => offsets.across[x]);
  const farColumns = columns.other.map((x) => offsets.across[x]);
  const mask = new Uint8Array(width * height);
  for (let y = 0, to = 0; y < height; y++) {
    const line = rows.first[y] * scores.width;
    const near = offsets.down[rows.nearer[y]];
    const far = offsets.down[rows.other[y]];
    const down = rows.share[y];
    for (let x = 0; x < width; x++, to++) {
      const found = decided[line + columns.first[x]];
      if (found !== UNDECIDED) {
        mask[to] = found;
        continue;
      }
      const [left, right] = [nearColumns[x], farColumns[x]];
      mask[to] = largestBetween(
        scores.data, scores.classes, near + left, far + left, near + right, far + right, down, columns.share[x],
      );
    }
  }
  return mask;
}
