// Finding the faces of a photo of any size, however they are turned. As src/face_parsing/faces/search.py.
//
// The detector leans to upright faces: one that lies is missed, one upside down is found with its eyes on the mouth. So a
// photo is also looked at turned, and each face again in its own crop, until it stands upright there.

import { resizeWithGap, roundHalfEven } from "../resize.js";
import { crop, quadrangle, roll, sideOf, toPhoto } from "./alignment.js";
import { OVERLAP, overlap } from "./detector.js";
import { portraitFace } from "./portrait.js";

const CANDIDATE = 0.6; // the least score of what may be a face at first sight
const FIRST_SIDE = 320;
const FINE_SIDE = 640; // at the look for small faces
// At that for a face that fills the photo: the first look is sure of none, or of one of such a part of it.
const [COARSE_SIDE, HUGE] = [160, 0.6];
const [TURNED_SIDE, TURNED_SCORE] = [224, 0.75]; // at turned copies of a photo that has a sure face
const SEARCHED = 640; // the longer side to which a large photo is brought before that, once
const SURE = 0.92; // from this score on, a face that was found stands upright
const CLEARLY = 0.02; // a face lies only if it scores so much more than where it stands: most faces stand
const LEAST_SCORE = 0.85;
const LEAST_SIZE = 16; // pixels of the shorter side of a face's box
const [AGAIN, AGAIN_SIDE, AGAIN_MARGIN] = [3, 256, 1.26];
const [FILLS, FILLS_SCORE] = [0.7, 0.88]; // a face larger than this part of the photo, for which such a score is enough
const STILL = 2; // degrees: a face whose roll changes by less stands

/** How a photo is to be parsed, "portrait", "faces" or "whole", and its faces, largest first. */
export async function chooseFaces(detector, photo) {
  const { small, shrink } = shrunk(photo);
  const seen = await firstLook(detector, small, shrink);
  const upsideDown = async () => {
    const found = await firstLook(detector, turned(small, 2), shrink);
    return Math.max(0, ...found.map(({ score }) => score));
  };
  const face = await portraitFace(seen, photo.height, photo.width, upsideDown);
  if (face && face.score >= LEAST_SCORE) return { found: "portrait", faces: [face] };
  const faces = await findFaces(detector, photo, small, shrink, seen);
  return { found: faces.length ? "faces" : "whole", faces };
}

async function findFaces(detector, photo, small, shrink, seen) {
  const upright = scaled(seen, 1 / shrink);
  for (const side of moreSides(upright, small)) upright.push(...(await detector.detect(small, side, CANDIDATE)));
  const lookAgain = (candidates, known) => seenAgain(detector, photo, small, shrink, candidates, known);
  const standing = await lookAgain(bestOf(upright), []);
  const lying = [];
  // One place may be seen in several turns, and the wrong one score higher at first: their own crops tell.
  for await (const candidates of seenTurned(detector, small, scaled(standing, 1 / shrink))) {
    lying.push(...(await lookAgain(candidates, lying)));
  }
  const faces = [...standing, ...lying.filter((face) => beats(face, standing, CLEARLY))];
  const counts = ({ score, box }) => score >= LEAST_SCORE && Math.min(box[2], box[3]) >= LEAST_SIZE;
  const side = ({ points }) => sideOf(quadrangle(points));
  return bestOf(faces).filter(counts).sort((a, b) => side(b) - side(a));
}

/** At which sizes a photo is looked at after the first look, which has seen these. */
function moreSides(first, { width, height }) {
  const sides = first.filter(({ score }) => score >= LEAST_SCORE).flatMap(({ box }) => [box[2], box[3]]);
  const largest = Math.fround(Math.max(0, ...sides) / Math.max(width, height));
  return 0 < largest && largest < Math.fround(HUGE) ? [FINE_SIDE] : [COARSE_SIDE, FINE_SIDE];
}

/** Of each quarter turn of a photo the faces that may lie so; `standing` are those that were found upright. */
async function* seenTurned(detector, small, standing) {
  const sure = standing.filter(({ score }) => score >= SURE);
  if (!sure.length) {
    for (const turns of [1, 2, 3]) {
      yield bestOf(await facesTurned(detector, small, turns, [FIRST_SIDE, COARSE_SIDE, FINE_SIDE]));
    }
    return;
  }
  const { small: tiny, shrink } = shrunk(small, TURNED_SIDE);
  for (const turns of [1, 2, 3]) {
    const seen = scaled(await facesTurned(detector, tiny, turns, [TURNED_SIDE]), shrink);
    yield bestOf(seen.filter((face) => face.score >= TURNED_SCORE && beats(face, sure, 0)));
  }
}

/** The candidates, of `small`, as each is seen in its own crop; left out where its place has a surer one. */
async function seenAgain(detector, photo, small, shrink, candidates, known) {
  const found = [];
  for (const face of scaled(candidates, shrink)) {
    const sure = [...known, ...found].filter(({ score }) => score >= Math.max(SURE, face.score));
    if (sure.some((other) => overlap(face.box, other.box) > OVERLAP)) continue;
    const again = await standUp(detector, photo, small, shrink, face);
    if (again) found.push(again);
  }
  return found;
}

/** Whether a face that was found in a turned photo scores so much more than one that stands at its place. One that was
 * found upright there, and lies in its own crop, is beaten by a higher score.
 */
function beats(face, standing, by) {
  const there = standing.filter((other) => overlap(face.box, other.box) > OVERLAP);
  return there.every((other) => face.score > other.score + (Math.abs(roll(other.points)) < 45 ? by : 0));
}

/** The photo with a longer side of `side` at most, and how many of its pixels are one there. */
function shrunk(photo, side = SEARCHED) {
  const factor = Math.max(photo.width, photo.height) / side;
  if (factor <= 1) return { small: photo, shrink: 1 };
  const [w, h] = [photo.width, photo.height].map((one) => Math.max(1, roundHalfEven(one / factor)));
  return { small: resizeWithGap(photo, w, h, 1), shrink: factor };
}

async function firstLook(detector, small, shrink) {
  return scaled(await detector.detect(small, FIRST_SIDE, CANDIDATE), shrink);
}

/** The same faces in a photo that is so many times as large; float32, as Python's are. */
function scaled(faces, factor) {
  const times = (value) => Math.fround(value * Math.fround(factor));
  return faces.map(({ box, points, score }) => ({
    box: box.map(times),
    points: points.map((place) => place.map(times)),
    score,
  }));
}

/** A picture turned by so many times 90 degrees counterclockwise. */
function turned({ data, width, height, channels }, turns) {
  const [w, h] = turns === 2 ? [width, height] : [height, width];
  const out = new Uint8ClampedArray(w * h * channels);
  for (let y = 0, to = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      let from;
      if (turns === 1) from = x * width + width - 1 - y;
      else if (turns === 2) from = (height - 1 - y) * width + width - 1 - x;
      else from = (height - 1 - x) * width + y;
      for (let c = 0; c < channels; c++, to++) out[to] = data[from * channels + c];
    }
  }
  return { data: out, width: w, height: h, channels };
}

/** The faces of a turned photo, at their places in the photo as it is. */
async function facesTurned(detector, small, turns, sides) {
  const picture = turned(small, turns);
  const faces = [];
  for (const side of sides) faces.push(...(await detector.detect(picture, side, CANDIDATE)));
  const { width, height } = small;
  const back = ([x, y]) => ({ 1: [width - y, x], 2: [width - x, height - y], 3: [y, height - x] })[turns].map(Math.fround);
  return faces.map(({ box, points, score }) => {
    const [a, b] = [back([box[0], box[1]]), back([box[0] + box[2], box[1] + box[3]].map(Math.fround))];
    const [left, top] = [Math.min(a[0], b[0]), Math.min(a[1], b[1])];
    const size = [Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])].map(Math.fround);
    return { box: [left, top, ...size], points: points.map(back), score };
  });
}

/** The best face of each place, best first. */
function bestOf(faces) {
  const kept = [];
  for (const face of faces.toSorted((a, b) => b.score - a.score)) {
    if (kept.every((other) => overlap(face.box, other.box) <= OVERLAP)) kept.push(face);
  }
  return kept;
}

/** The face as it is seen in its own crop, where it stands upright; null where no face is seen there. */
async function standUp(detector, photo, small, shrink, first) {
  let face = first;
  // The crop of a face that fills the photo shows no more than the photo does.
  const fills = first.box[2] > FILLS * photo.width && first.box[3] > FILLS * photo.height;
  const least = fills ? FILLS_SCORE : SURE;
  for (let time = 0; time < AGAIN; time++) {
    const square = quadrangle(face.points, AGAIN_MARGIN);
    const large = sideOf(square) / shrink >= AGAIN_SIDE;
    const inSmall = square.map(([x, y]) => [x / shrink, y / shrink]);
    const view = large ? crop(small, inSmall, AGAIN_SIDE) : crop(photo, square, AGAIN_SIDE);
    const again = middleOne(await detector.detect(view, AGAIN_SIDE, CANDIDATE));
    if (!again) return first.score >= least ? first : null;
    const before = face;
    face = placed(again, toPhoto(again.points, square, AGAIN_SIDE), square);
    if (Math.abs(difference(roll(face.points), roll(before.points))) < STILL) break;
  }
  return face.score < first.score && first.score >= least ? first : face;
}

/** The face in the middle of a crop, or null. */
function middleOne(faces) {
  const away = ({ box: [x, y, width, height] }) => {
    const distance = Math.hypot(x + width / 2 - AGAIN_SIDE / 2, y + height / 2 - AGAIN_SIDE / 2);
    return distance / Math.max(width, height, 1);
  };
  let nearest = null;
  for (const face of faces) if (!nearest || away(face) < away(nearest)) nearest = face;
  return nearest && away(nearest) < 0.5 ? nearest : null;
}

/** A face of a crop with its points in the photo, and the upright box around its turned one. */
function placed({ box: [x, y, width, height], score }, points, square) {
  const [center] = toPhoto([[x + width / 2, y + height / 2]], square, AGAIN_SIDE);
  const scale = sideOf(square) / AGAIN_SIDE;
  const lying = Math.abs(roll(points));
  const lies = 45 < lying && lying < 135;
  const [w, h] = (lies ? [height, width] : [width, height]).map((side) => side * scale);
  return { box: [center[0] - w / 2, center[1] - h / 2, w, h], points, score };
}

/** By how many degrees an angle is ahead of another, -180 to 180. */
function difference(angle, other) {
  return ((((angle - other + 180) % 360) + 360) % 360) - 180;
}
