// The files that a person can save of a parsed photo.

import { CLASSES } from "./classes.js";
import { quadrangle, roll, sideOf } from "./faces/alignment.js";
import { palettePng, rgbaPng } from "./png.js";

/** Overlay: the photo under the colors of the classes that are shown, `opacity` (0 to 1) parts of them. */
function overlayPng({ photo, parsed, palette }, { shown, opacity }) {
  const data = new Uint8ClampedArray(photo.data);
  for (let i = 0, at = 0; i < parsed.mask.length; i++, at += 4) {
    const id = parsed.mask[i];
    if (!shown.includes(id)) continue;
    for (let c = 0; c < 3; c++) data[at + c] += (palette[id][c] - data[at + c]) * opacity;
  }
  return rgbaPng(data, photo.width, photo.height);
}

/** Cut-out: what the shown classes cover; all else is transparent. */
function cutoutPng({ photo, parsed }, { shown }) {
  const data = new Uint8ClampedArray(photo.data);
  const coverage = parsed.coverage(shown, photo.width, photo.height);
  for (let i = 0, at = 3; i < coverage.length; i++, at += 4) data[at] = coverage[i];
  return rgbaPng(data, photo.width, photo.height);
}

/** Of each class in a mask its count of pixels and its box [left, top, right, bottom], right and bottom outside. */
function regionsOf(mask, width, height) {
  const regions = CLASSES.map(() => ({ pixels: 0, box: [width, height, 0, 0] }));
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const { box } = regions[mask[at]];
      regions[mask[at]].pixels++;
      if (x < box[0]) box[0] = x;
      if (y < box[1]) box[1] = y;
      if (x >= box[2]) box[2] = x + 1;
      if (y >= box[3]) box[3] = y + 1;
    }
  }
  return regions;
}

/** Pixels of each class that is there, by its name; background is left out. */
function present(counts) {
  return Object.fromEntries(CLASSES.filter(({ id }) => id && counts[id]).map(({ id, name }) => [name, counts[id]]));
}

const rounded = (value) => Math.round(value * 100) / 100;

/** A face as plain values, as Python's `ParsedFace.to_json` gives them. */
function faceFacts({ box, points, score }, index, parsed) {
  const counts = CLASSES.map(() => 0);
  const { mask, instances, found } = parsed;
  for (let i = 0; i < mask.length; i++) {
    if (found === "portrait" || instances[i] === index + 1) counts[mask[i]]++;
  }
  const square = quadrangle(points);
  return {
    number: index + 1,
    score: Math.round(score * 1e4) / 1e4,
    roll: rounded(roll(points)),
    side: rounded(sideOf(square)),
    box: box.map(rounded),
    points: points.map((place) => place.map(rounded)),
    quadrangle: square.map((place) => place.map(rounded)),
    pixels: present(counts),
  };
}

/** What was found: the same keys as Python's `ParsedPhoto.to_json`, and what each class has of the photo. */
function factsJson({ photo, parsed, palette, network, name }) {
  const regions = regionsOf(parsed.mask, photo.width, photo.height);
  const facts = {
    file: name,
    width: photo.width,
    height: photo.height,
    found: parsed.found,
    faces: parsed.faces.map((face, index) => faceFacts(face, index, parsed)),
    pixels: present(regions.map((region) => region.pixels)),
    weights: ["face_parsing_open.onnx"],
    track: network.track,
    licence: network.licence,
    detector: "face_detector.onnx",
    code_licence: "MIT, for the code alone",
    classes: CLASSES.map(({ id, name: called }) => ({
      id,
      name: called,
      color: palette[id],
      pixels: regions[id].pixels,
      share: regions[id].pixels / parsed.mask.length,
      box: regions[id].pixels ? regions[id].box : null,
    })),
  };
  return new Blob([JSON.stringify(facts, null, 1)], { type: "application/json" });
}

/** Each kind of file: what its name ends with, and what makes it of a `result` and the view's `options`. */
const KINDS = {
  mask: ["_mask.png", ({ photo, parsed, palette }) => palettePng(parsed.mask, photo.width, photo.height, palette)],
  overlay: ["_overlay.png", overlayPng],
  cutout: ["_cutout.png", cutoutPng],
  json: [".json", factsJson],
};

/** A file of a kind: {blob, name}. */
export async function makeFile(kind, result, options) {
  const [ending, make] = KINDS[kind];
  const stem = result.name.replace(/\.[^.]*$/, "") || "photo";
  return { blob: await make(result, options), name: stem + ending };
}
