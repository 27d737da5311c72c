// What a person has beyond the crop of the face: hair, neck and clothes of the whole photo's mask that go on there. As
// src/face_parsing/faces/around.py: from cell to cell of a coarse grid, of one class, and without a step in color.

import { CLASSES } from "../classes.js";
import { crop } from "./alignment.js";
import { Square } from "./paste.js";

const AROUND = new Set(["hair", "hat", "ear_r", "neck_l", "neck", "cloth"]);
/** Each class itself, if it goes on beyond the crop, and else 0. */
export const STAYS = CLASSES.map(({ id, name }) => (AROUND.has(name) ? id : 0));

const REACH = 3; // a square so many times as wide as the crop
const CELLS = 144; // along that square's side
const STEP = 20; // mean difference in red, green and blue of neighbors that are not one thing
const DEPTH = 6; // cells inside of the crop's edge from which it goes on
const GAP = 4; // cells that are left out between such as are reached, up to twice so wide
const LIKE = 20; // clothes go on in colors so near to those inside the crop: a way's length in red, green and blue
const CLOTH = CLASSES.find(({ name }) => name === "cloth").id;
const START = Math.round((CELLS * (1 - 1 / REACH)) / 2) + DEPTH;

/** Write what goes on beyond a face's crop into a photo's mask, and its number into owner. `around` is the whole photo's
 * mask of classes that stay.
 */
export function fillAround(photo, quadrangle, number, mask, around, owner) {
  const { width, height } = photo;
  const corners = widened(quadrangle, REACH);
  const { classes, seeds, free } = cellsOf(corners, number, mask, around, owner, width, height);
  const colors = crop(photo, corners, CELLS).data;
  leaveOut(classes, seeds, free, colors);
  spread(seeds, classes, colors);
  const keep = closed(seeds, GAP);
  for (let i = 0; i < keep.length; i++) keep[i] &= free[i] && classes[i] ? 1 : 0;
  if (!keep.includes(1)) return;
  const square = new Square(corners);
  const [left, right, top, bottom] = square.limits(width, height);
  const { across, down } = square.places(width, height);
  for (let y = top; y < bottom; y++) {
    for (let x = left, at = y * width + left; x < right; x++, at++) {
      if (owner[at] || !around[at]) continue;
      const column = Math.floor(Math.fround(Math.fround(across.columns[x] + across.rows[y]) * CELLS));
      const row = Math.floor(Math.fround(Math.fround(down.columns[x] + down.rows[y]) * CELLS));
      if (column < 0 || column >= CELLS || row < 0 || row >= CELLS || !keep[row * CELLS + column]) continue;
      mask[at] = around[at];
      owner[at] = number;
    }
  }
}

/** A quadrangle about the same center, so many times as wide. */
function widened(quadrangle, times) {
  const center = [0, 1].map((i) => quadrangle.reduce((sum, place) => sum + place[i], 0) / 4);
  return quadrangle.map((place) => place.map((value, i) => center[i] + (value - center[i]) * times));
}

/** The grid's classes, from which of its cells it goes on, and which of them nobody owns. */
function cellsOf([corner, right, , below], number, mask, around, owner, width, height) {
  const classes = new Uint8Array(CELLS ** 2);
  const seeds = new Uint8Array(CELLS ** 2);
  const free = new Uint8Array(CELLS ** 2);
  const [toRight, toBelow] = [right, below].map((place) => place.map((value, i) => value - corner[i]));
  for (let row = 0, cell = 0; row < CELLS; row++) {
    const down = (row + 0.5) / CELLS;
    for (let column = 0; column < CELLS; column++, cell++) {
      const across = (column + 0.5) / CELLS;
      const x = Math.floor(corner[0] + across * toRight[0] + down * toBelow[0]);
      const y = Math.floor(corner[1] + across * toRight[1] + down * toBelow[1]);
      if (x < 0 || x >= width || y < 0 || y >= height) continue;
      const at = y * width + x;
      const own = owner[at] === number;
      free[cell] = owner[at] === 0 ? 1 : 0;
      classes[cell] = own ? mask[at] : free[cell] ? around[at] : 0;
      const within = row >= START && row < CELLS - START && column >= START && column < CELLS - START;
      seeds[cell] = own && within && classes[cell] ? 1 : 0;
    }
  }
  return { classes, seeds, free };
}

/** Take the clothes out of the free cells' classes whose color is like none of the seeds' clothes. */
function leaveOut(classes, seeds, free, colors) {
  const stepOf = (cell) => ((colors[cell * 3] >> 3) << 10) | ((colors[cell * 3 + 1] >> 3) << 5) | (colors[cell * 3 + 2] >> 3);
  const steps = new Set(); // in steps of 8, of which there are few
  for (let cell = 0; cell < classes.length; cell++) if (seeds[cell] && classes[cell] === CLOTH) steps.add(stepOf(cell));
  const known = Int32Array.from([...steps].flatMap((step) => [step >> 10, (step >> 5) & 31, step & 31]), (value) => value * 8 + 4);
  const isKnown = (at) => {
    for (let i = 0; i < known.length; i += 3) {
      const [red, green, blue] = [known[i] - colors[at], known[i + 1] - colors[at + 1], known[i + 2] - colors[at + 2]];
      if (red * red + green * green + blue * blue <= LIKE ** 2) return true;
    }
    return false;
  };
  for (let cell = 0; cell < classes.length; cell++) {
    if (free[cell] && classes[cell] === CLOTH && !isKnown(cell * 3)) classes[cell] = 0;
  }
}

/** Reach, from the cells that are kept, all neighbors of one class and about one color. */
function spread(kept, classes, colors) {
  const open = new Int32Array(kept.length);
  let count = 0;
  for (let cell = 0; cell < kept.length; cell++) if (kept[cell]) open[count++] = cell;
  const reach = (cell, other) => {
    if (kept[other] || !classes[cell] || classes[cell] !== classes[other]) return;
    let difference = 0;
    for (let c = 0; c < 3; c++) difference += Math.abs(colors[cell * 3 + c] - colors[other * 3 + c]);
    if (difference >= 3 * STEP) return;
    kept[other] = 1;
    open[count++] = other;
  };
  while (count) {
    const cell = open[--count];
    const column = cell % CELLS;
    if (column) reach(cell, cell - 1);
    if (column < CELLS - 1) reach(cell, cell + 1);
    if (cell >= CELLS) reach(cell, cell - CELLS);
    if (cell < CELLS * (CELLS - 1)) reach(cell, cell + CELLS);
  }
}

/** Cells without gaps up to twice `radius` wide: made wider by it, and narrower again. */
function closed(cells, radius) {
  const side = CELLS + 2 * radius;
  let wide = new Uint8Array(side * side);
  for (let row = 0; row < CELLS; row++) {
    wide.set(cells.subarray(row * CELLS, (row + 1) * CELLS), (row + radius) * side + radius);
  }
  for (let i = 0; i < radius; i++) wide = wider(wide, side, 1);
  for (let i = 0; i < radius; i++) wide = wider(wide, side, 0);
  const out = new Uint8Array(cells.length);
  for (let row = 0; row < CELLS; row++) {
    const from = (row + radius) * side + radius;
    out.set(wide.subarray(from, from + CELLS), row * CELLS);
  }
  return out;
}

/** Cells of which those beside one of `value` become that too. */
function wider(cells, side, value) {
  const out = cells.slice();
  for (let cell = 0; cell < cells.length; cell++) {
    if (cells[cell] !== value) continue;
    const column = cell % side;
    if (column) out[cell - 1] = value;
    if (column < side - 1) out[cell + 1] = value;
    if (cell >= side) out[cell - side] = value;
    if (cell < side * (side - 1)) out[cell + side] = value;
  }
  return out;
}
