// All work, away from the page: the files that arrive, photos, masks, colors, files to save, the camera's frames.
//
// A message {id, task, ...} is answered by {id, result} or {id, error}; {progress} is sent while files arrive, {trapped}
// where the small runtime lacks something. The worker's name says which runtime it takes.

import detectorUrl from "../../weights/face_detector.onnx?url";
import networkUrl from "../../weights/face_parsing_open.onnx?url";
import smallUrl from "../runtime/small.wasm?url";
import wholeUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { CLASSES, TINTED } from "./classes.js";
import { download } from "./download.js";
import { Detector } from "./faces/detector.js";
import { Live } from "./live.js";
import { Network } from "./network.js";
import { parse } from "./parse.js";
import { bitmapOf, pixelsOf, readPhoto, sizeWithin } from "./photo.js";
import { startRuntime, threadsHere } from "./runtime.js";
import { makeFile } from "./save.js";
import { tint } from "./tint.js";

const WARM_UP = 64; // pixels of a side of an empty picture
const LARGEST_VIEW = 2048; // of a photo's longer side on the page; files are saved at full size

/** What is at hand: {network, detector} once all has arrived, and the photo that is looked at. */
const ready = start(self.name === "whole" ? wholeUrl : smallUrl);
ready.catch(noteTrap); // told to whoever waits for it as well
let current = null;

/** Get the files, side by side, and start what is in them. */
async function start(runtimeUrl) {
  let arrived = 0;
  const onBytes = (count) => {
    arrived += count;
    self.postMessage({ progress: { arrived } });
  };
  const files = [runtimeUrl, networkUrl, detectorUrl].map((url) => download(url, onBytes));
  const [code, networkFile, detectorFile] = await Promise.all(files);
  startRuntime(code);
  const network = await Network.create(networkFile);
  const detector = await Detector.create(detectorFile);
  // The first runs make the machine code fast; better now than under the first photo.
  const empty = { data: new Uint8ClampedArray(WARM_UP ** 2 * 3), width: WARM_UP, height: WARM_UP, channels: 3 };
  await detector.detect(empty, WARM_UP, 1);
  await network.scores(empty);
  return { network, detector, live: new Live(network, detector) };
}

/** A copy of RGBA pixels with hair and lips in other colors: `colors` has [red, green, blue] of each, or nothing. */
function recolored(pixels, parsed, colors, strength) {
  const data = new Uint8ClampedArray(pixels.data);
  for (const [what, ids] of Object.entries(TINTED)) {
    if (colors?.[what]) tint(data, parsed.coverage(ids, pixels.width, pixels.height), colors[what], strength);
  }
  return { ...pixels, data };
}

/** Pixels of each class in a mask. */
function countsOf(mask) {
  const counts = new Array(CLASSES.length).fill(0);
  for (let i = 0; i < mask.length; i++) counts[mask[i]]++;
  return counts;
}

const tasks = {
  /** Wait until photos can be parsed. */
  async ready() {
    const { network } = await ready;
    return { threads: threadsHere(), track: network.track };
  },

  /** Read a photo, and give a bitmap of it to show. */
  async open({ file, name }) {
    const photo = await readPhoto(file);
    current = { photo, name };
    const [width, height] = sizeWithin(photo.width, photo.height, LARGEST_VIEW);
    return { width: photo.width, height: photo.height, bitmap: await bitmapOf(photo, Math.max(width, height)) };
  },

  /** Parse the photo that was opened. */
  async parse() {
    const opened = current;
    const { network, detector } = await ready;
    const started = performance.now();
    const parsed = await parse(network, detector, opened.photo);
    const milliseconds = performance.now() - started;
    Object.assign(opened, { parsed, network, palette: network.palette, shown: opened.photo });
    return { mask: parsed.mask.slice(), pixels: countsOf(parsed.mask), faces: parsed.faces, found: parsed.found, milliseconds };
  },

  /** Other colors for hair and lips: a bitmap to show in the place of the photo's. */
  async recolor({ colors, strength }) {
    const { photo, parsed } = current;
    current.shown = recolored(photo, parsed, colors, strength);
    return { bitmap: await bitmapOf(current.shown, LARGEST_VIEW) };
  },

  /** A file to save, of the photo in the colors that are shown. */
  save({ kind, options }) {
    return makeFile(kind, { ...current, photo: current.shown }, options);
  },

  /** Parse a frame of the camera. */
  async frame({ bitmap, colors, strength }) {
    const { live } = await ready;
    const frame = pixelsOf(bitmap);
    const parsed = await live.parse(frame);
    const shown = colors ? recolored(frame, parsed, colors, strength) : frame;
    const pixels = countsOf(parsed.mask);
    return { bitmap: await bitmapOf(shown), mask: parsed.mask, pixels, width: frame.width, height: frame.height, faces: parsed.faces };
  },
};

/** Tell the page where the small runtime lacked something. */
function noteTrap(error) {
  if (/unreachable|abort/i.test(`${error.name} ${error.message}`)) self.postMessage({ trapped: true });
}

self.onmessage = async ({ data: { id, task, ...given } }) => {
  try {
    const result = await tasks[task](given);
    const moved = [result.bitmap, result.mask?.buffer].filter(Boolean);
    self.postMessage({ id, result }, moved);
  } catch (error) {
    noteTrap(error);
    self.postMessage({ id, error: error.message || String(error) });
  }
};
