// A photo to its mask and its faces: what src/face_parsing/parser.py does.

import { enlargedCoverage, probabilityOf } from "./coverage.js";
import { largestClass } from "./largest_class.js";

/** What was found in a photo: its mask (height * width) uint8 of class ids, its faces, and how long each step took. */
export class Parsed {
  constructor(network, scores, mask, width, height, faces) {
    Object.assign(this, { network, scores, mask, width, height, faces });
  }

  /** How much of each pixel is of the classes `chosen`, uint8, at a size of the photo's shape. */
  coverage(chosen, width, height) {
    const plane = probabilityOf(this.scores, chosen, this.network.scoreScale);
    return enlargedCoverage(plane, this.scores.width, this.scores.height, width, height);
  }
}

/** Parse pixels {data RGBA, width, height, channels}. `imageSize` is at what size the network sees a face. */
export async function parse(network, detector, photo, imageSize = network.imageSize) {
  const { width, height } = photo;
  const scores = await network.scores(photo, imageSize);
  const mask = largestClass(scores, width, height);
  return new Parsed(network, scores, mask, width, height, []);
}
