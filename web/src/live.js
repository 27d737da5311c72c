// The camera's frames: as photos, but made fast. Faces are looked for once, upright; crops are smaller where the network
// takes other sizes; what lies around them is looked at anew in every fourth frame alone.

import { sideOf, quadrangle } from "./faces/alignment.js";
import { overlap } from "./faces/detector.js";
import { largestClass } from "./largest_class.js";
import { looksAt, Parsed } from "./parse.js";

const SEEN_AT = 320; // the longer side at which faces are looked for
const LEAST_SCORE = 0.8;
const MOST_FACES = 3;
const CROP_SIDE = 256;
const WHOLE_EVERY = 4; // frames
const SAME_FACE = 0.3; // of two boxes' union that they share
// Points shake by about 1.5 % of a crop's side. What moves by less is mostly that, and follows slowly.
const [STILL, FOLLOWS] = [0.02, 0.3];

export class Live {
  #faces = [];
  #whole = null;
  #frames = 0;

  constructor(network, detector) {
    Object.assign(this, { network, detector });
  }

  /** Parse a frame: a Parsed, as of a photo. */
  async parse(frame) {
    const { network } = this;
    const side = network.graph.sides ? network.imageSize : CROP_SIDE;
    const found = await this.detector.detect(frame, SEEN_AT, LEAST_SCORE);
    this.#faces = found.slice(0, MOST_FACES).map((face) => this.#steady(face));
    const old = !this.#whole || this.#whole.width !== frame.width || this.#whole.height !== frame.height;
    if (old || !this.#faces.length || this.#frames++ % WHOLE_EVERY === 0) await this.#lookAround(frame, side);
    const parsed = new Parsed(network, this.#whole.scores, this.#whole.mask.slice(), frame.width, frame.height);
    if (!this.#faces.length) return parsed;
    Object.assign(parsed, { found: "faces", faces: this.#faces });
    parsed.putBack(frame, await looksAt(network, frame, this.#faces, side));
    return parsed;
  }

  async #lookAround(frame, side) {
    const { width, height } = frame;
    const scores = await this.network.scores(frame, side);
    this.#whole = { scores, mask: largestClass(scores, width, height), width, height };
  }

  /** A face at the place of the frame before, as far as it hardly moved. */
  #steady(face) {
    const before = this.#faces.find((one) => overlap(one.box, face.box) > SAME_FACE);
    if (!before) return face;
    const side = sideOf(quadrangle(before.points));
    const moves = face.points.map(([x, y], i) => Math.hypot(x - before.points[i][0], y - before.points[i][1]));
    const share = Math.max(...moves) / side < STILL ? FOLLOWS : 1;
    const points = face.points.map(([x, y], i) => {
      const [from, to] = before.points[i];
      return [from + (x - from) * share, to + (y - to) * share];
    });
    return { ...face, points };
  }
}
