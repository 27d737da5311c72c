// A photo to its mask and its faces: what src/face_parsing/parser.py and faces/people.py do.

import { asCoverage, enlargedCoverage, probabilityOf } from "./coverage.js";
import { crop, quadrangle } from "./faces/alignment.js";
import { fillAround, STAYS } from "./faces/around.js";
import { eachOwn, fill, owners } from "./faces/paste.js";
import { chooseFaces } from "./faces/search.js";
import { largestClass } from "./largest_class.js";

/** What was found in a photo.
 *
 * `mask` (height * width) holds class ids; `found` is how: "portrait" (as it is, since its face lies as the network knows
 * them), "faces" (each in its aligned crop) or "whole" (there was none). `instances` says which face a pixel is of.
 */
export class Parsed {
  constructor(network, whole, mask, width, height) {
    Object.assign(this, { network, whole, mask, width, height, found: "whole", faces: [], looks: [], instances: null });
  }

  /** Put the crops of faces back: `looks` has the quadrangle and the scores of each. */
  putBack(photo, looks) {
    const { width, height, mask } = this;
    const quadrangles = looks.map((look) => look.quadrangle);
    const around = mask.map((id) => STAYS[id]);
    mask.fill(0);
    const owner = owners(quadrangles, width, height);
    looks.forEach((look, i) => fill(look.scores, look.quadrangle, i + 1, owner, mask, width, height));
    quadrangles.forEach((quadrangle, i) => fillAround(photo, quadrangle, i + 1, mask, around, owner));
    for (let i = 0; i < mask.length; i++) if (!mask[i]) owner[i] = 0;
    Object.assign(this, { looks, instances: owner });
  }

  /** How much of each pixel is of the classes `chosen`, uint8, at a size of the photo's shape. */
  coverage(chosen, width, height) {
    const scale = this.network.scoreScale;
    const plane = probabilityOf(this.whole, chosen, scale);
    const out = enlargedCoverage(plane, this.whole.width, this.whole.height, width, height);
    if (!this.looks.length) return out;
    // Beyond crops nobody is, but where hair and clothes go on.
    const nobody = chosen.includes(0) ? 255 : 0;
    for (let y = 0, at = 0; y < height; y++) {
      const row = Math.trunc(((y + 0.5) * this.height) / height) * this.width;
      for (let x = 0; x < width; x++, at++) {
        if (!this.instances[row + Math.trunc(((x + 0.5) * this.width) / width)]) out[at] = nobody;
      }
    }
    const shrink = width / this.width;
    const quadrangles = this.looks.map((look) => look.quadrangle.map(([x, y]) => [x * shrink, y * shrink]));
    const owner = owners(quadrangles, width, height);
    this.looks.forEach(({ scores }, i) => {
      const { width: w, height: h } = scores;
      const own = probabilityOf(scores, chosen, scale);
      eachOwn(quadrangles[i], i + 1, owner, width, height, w, h, (at, column, row, beside, below) => {
        const [upper, lower] = [row * w, Math.min(row + 1, h - 1) * w];
        const right = Math.min(column + 1, w - 1);
        const first = own[upper + column] + beside * (own[upper + right] - own[upper + column]);
        const second = own[lower + column] + beside * (own[lower + right] - own[lower + column]);
        out[at] = asCoverage(first + below * (second - first));
      });
    });
    return out;
  }
}

/** Parse pixels {data RGBA, width, height, channels}. */
export async function parse(network, detector, photo) {
  const { found, faces } = await chooseFaces(detector, photo);
  const { width, height } = photo;
  const whole = await network.scores(photo);
  const parsed = new Parsed(network, whole, largestClass(whole, width, height), width, height);
  Object.assign(parsed, { found, faces });
  if (found === "faces") parsed.putBack(photo, await looksAt(network, photo, faces));
  return parsed;
}

/** What the network says of each face's crop of `size` pixels. */
export async function looksAt(network, photo, faces, size = network.imageSize) {
  const looks = [];
  for (const face of faces) {
    const square = quadrangle(face.points);
    looks.push({ quadrangle: square, scores: await network.scores(crop(photo, square, size), size) });
  }
  return looks;
}
