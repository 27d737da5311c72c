// The network: pixels in, scores of every class out. Sizes and filling as in src/face_parsing/inference/onnx_network.py.

import { Scores } from "./largest_class.js";
import { factsOf } from "./onnx_facts.js";
import { resize, roundHalfEven } from "./resize.js";
import { Graph } from "./runtime.js";

const STEP = 32; // pixels that a graph's height and width are multiples of, where the file does not say its own
const SMALLEST_GRAPH = 64;
const SMALLEST_SIDE = 32;

/** [height, width] at which a photo passes the network: its longer side becomes `imageSize` pixels. */
export function networkSize(height, width, imageSize) {
  const longest = Math.max(height, width);
  return [height, width].map((side) => Math.max(SMALLEST_SIDE, roundHalfEven((side * imageSize) / longest)));
}

/** RGB filled up to a larger size with its last column and row. */
function filled({ data, width, height }, wide, high) {
  if (width === wide && height === high) return data;
  const out = new Uint8ClampedArray(wide * high * 3);
  for (let y = 0; y < height; y++) {
    const to = y * wide * 3;
    const end = (y + 1) * width * 3;
    out.set(data.subarray(y * width * 3, end), to);
    for (let x = width; x < wide; x++) out.set(data.subarray(end - 3, end), to + x * 3);
  }
  for (let y = height; y < high; y++) out.copyWithin(y * wide * 3, (height - 1) * wide * 3, height * wide * 3);
  return out;
}

/** The face-parsing network of an ONNX file. */
export class Network {
  static async create(bytes) {
    return new Network(await Graph.create(bytes), factsOf(bytes));
  }

  constructor(graph, facts) {
    this.graph = graph;
    this.imageSize = JSON.parse(facts.image_size);
    this.classes = Object.keys(JSON.parse(facts.groups));
    this.palette = JSON.parse(facts.palette);
    this.scoreScale = JSON.parse(facts.score_scale);
    this.step = JSON.parse(facts.step ?? STEP);
    this.track = facts.track;
    this.licence = facts.licence;
  }

  /** The scores of a picture {data, width, height, channels}, its longer side at `imageSize` pixels. */
  async scores(picture, imageSize = this.imageSize) {
    const [h, w] = networkSize(picture.height, picture.width, imageSize);
    const small = resize(picture, w, h);
    const stepped = (side) => Math.max(SMALLEST_GRAPH, Math.ceil(side / this.step) * this.step);
    const [high, wide] = this.graph.sides ?? [stepped(h), stepped(w)];
    const pixels = filled(small, wide, high);
    const bytes = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
    const { scores } = await this.graph.run(bytes, "uint8", [1, high, wide, 3]);
    return new Scores(scores.data, scores.dims.slice(1), w, h);
  }
}
