// Faces in a photo, by YuNet: a box, five points and a score each. As src/face_parsing/faces/detector.py, whose
// roundings to float32 are kept, so that both find a face at the same place.

import { resizeWithGap, roundHalfEven } from "../resize.js";
import { Graph } from "../runtime.js";

const STRIDES = [8, 16, 32]; // pixels that a place of each of the network's three maps stands for
const STEP = 32; // its sides are multiples of this
export const OVERLAP = 0.3; // boxes that share a larger part of their union are one face: the better is kept
const GRID = 16; // places are rounded to such a part of a pixel, so that runtimes that round their sums otherwise agree
const fround = Math.fround;
const onGrid = (value) => roundHalfEven(value * GRID) / GRID;
const unit = (value) => Math.min(Math.max(value, 0), 1);

/** RGB filled up with zeros, at the right and below, to multiples of STEP. */
function padded({ data, width, height }) {
  const [wide, high] = [width, height].map((side) => Math.ceil(side / STEP) * STEP);
  const out = new Uint8Array(wide * high * 3);
  for (let y = 0; y < height; y++) out.set(data.subarray(y * width * 3, (y + 1) * width * 3), y * wide * 3);
  return { data: out, width: wide, height: high };
}

/** Intersection over union of two boxes [x, y, width, height]. */
export function overlap(a, b) {
  const across = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const down = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  const common = Math.max(across, 0) * Math.max(down, 0);
  return common / Math.max(a[2] * a[3] + b[2] * b[3] - common, 1e-6);
}

/** The faces in one of the network's maps. */
function* facesAt(outputs, stride, columns, leastScore) {
  const [ofClass, ofObject, boxes, points] = ["cls", "obj", "bbox", "kps"].map((kind) => outputs[`${kind}_${stride}`].data);
  for (let place = 0; place < ofClass.length; place++) {
    const score = fround(Math.sqrt(fround(unit(ofClass[place]) * unit(ofObject[place]))));
    if (score < leastScore) continue;
    const [column, row] = [place % columns, Math.trunc(place / columns)];
    const at = (corner, value) => fround(corner + value) * stride;
    const [dx, dy, logWidth, logHeight] = boxes.subarray(place * 4, place * 4 + 4);
    const [width, height] = [logWidth, logHeight].map((value) => fround(Math.exp(value)) * stride);
    const box = [fround(at(column, dx) - width / 2), fround(at(row, dy) - height / 2), width, height];
    const spots = points.subarray(place * 10, place * 10 + 10);
    yield { box, points: [0, 2, 4, 6, 8].map((i) => [at(column, spots[i]), at(row, spots[i + 1])]), score };
  }
}

/** The detector of an ONNX file. */
export class Detector {
  static async create(bytes) {
    return new Detector(await Graph.create(bytes));
  }

  constructor(graph) {
    this.graph = graph;
  }

  /** The faces {box, points, score} of a picture that the network sees with a longer side of `side`, best first.
   *
   * `box` is [x, y, width, height] and `points` are five [x, y], in the picture's pixels: the person's right eye (at
   * the left of an upright photo), left eye, tip of the nose, right and left corner of the mouth.
   */
  async detect(picture, side, leastScore) {
    const { width: W, height: H } = picture;
    const shrink = side / Math.max(H, W);
    const [w, h] = [W, H].map((one) => Math.max(1, roundHalfEven(one * shrink)));
    const small = padded(resizeWithGap(picture, w, h, 1));
    const outputs = await this.graph.run(small.data, "uint8", [1, small.height, small.width, 3]);
    const found = STRIDES.flatMap((stride) => [...facesAt(outputs, stride, small.width / stride, leastScore)]);
    found.sort((a, b) => b.score - a.score);
    const kept = [];
    for (const face of found) if (kept.every((one) => overlap(face.box, one.box) <= OVERLAP)) kept.push(face);
    const back = [fround(W / w), fround(H / h)];
    return kept.map(({ box, points, score }) => ({
      box: box.map((value, i) => fround(onGrid(value) * back[i % 2])),
      points: points.map(([x, y]) => [fround(onGrid(x) * back[0]), fround(onGrid(y) * back[1])]),
      score,
    }));
  }
}
