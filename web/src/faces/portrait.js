// Which photos are aligned portraits already, and left alone. As src/face_parsing/faces/portrait.py, where the numbers
// were measured; they are of a photo of which the longer side is 512 pixels.

import { eyesOf, roll } from "./alignment.js";

const SEEN_AT = 512;
const EYE_DISTANCE = [88, 156];
const EYES_TO_MOUTH = [105, 168];
const [EYES_X, EYES_Y] = [[236, 272], [226, 262]]; // of the middle between the eyes
const MOST_ROLL = 13;
const [LEAST_SCORE, SURE] = [0.9, 0.93];
const BYSTANDER = 0.5; // another face counts from so many times the size of the largest on

/** The face of a photo, if it is an aligned portrait, or null. `upsideDown` gives the best score of the photo turned. */
export async function portraitFace(faces, height, width, upsideDown) {
  if (!faces.length) return null;
  const sizes = faces.map(({ box }) => Math.sqrt(box[2] * box[3]));
  const [largest, second = 0] = sizes.toSorted((a, b) => b - a);
  if (second > BYSTANDER * largest) return null;
  const face = faces[sizes.indexOf(largest)];
  if (!liesAsTrained(face, SEEN_AT / Math.max(height, width))) return null;
  return face.score >= SURE || (await upsideDown()) < face.score ? face : null;
}

/** Whether a face, its places times `scale`, is upright, of the size and at the place of those trained on. */
function liesAsTrained({ points, score }, scale) {
  const { middle, across, down } = eyesOf(points.map(([x, y]) => [x * scale, y * scale]));
  const within = (value, [least, most]) => least <= value && value <= most;
  return (
    score >= LEAST_SCORE &&
    within(Math.hypot(...across), EYE_DISTANCE) &&
    within(Math.hypot(...down), EYES_TO_MOUTH) &&
    within(middle[0], EYES_X) &&
    within(middle[1], EYES_Y) &&
    within(roll(points), [-MOST_ROLL, MOST_ROLL])
  );
}
