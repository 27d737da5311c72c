// The page: what can be pressed, dropped, pasted and pointed at, and what happens then.

import { Camera, Rate } from "./camera.js";
import { CLASSES } from "./classes.js";
import { startEngine } from "./engine.js";
import { EXAMPLES } from "./examples.js";
import { isolate } from "./isolate.js";
import { Legend } from "./legend.js";
import { TintChoice } from "./tint_choice.js";
import { View } from "./view.js";

const DOWNLOADED = __BYTES__; // of network, detector and runtime, before compression; vite.config.js counts them

const find = (id) => document.getElementById(id);
const state = { mask: null, faces: [], camera: null, opened: 0, parsed: false };
let engine;

// --- what is said -------------------------------------------------------------------------------

function say(words) {
  find("status").textContent = words;
}

function showError(error) {
  find("error").textContent = error.message;
  find("error").hidden = false;
  say("");
}

function clearError() {
  find("error").hidden = true;
}

/** Do something, and say in a sentence what went wrong if it did. */
async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    showError(error);
  }
}

function showProgress(arrived) {
  const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
  find("progress").value = Math.min(arrived / DOWNLOADED, 1);
  find("loading").querySelector("label").textContent =
    arrived < DOWNLOADED ? `Getting the network ready: ${megabytes(arrived)} of ${megabytes(DOWNLOADED)} MB` : "Starting the network";
}

// --- photos -------------------------------------------------------------------------------------

/** Show a photo at once, and its mask when it is there. */
async function openPhoto(file, name = file.name || "pasted.png") {
  stopCamera();
  clearError();
  const turn = ++state.opened;
  find("examples").querySelectorAll("button").forEach((one) => one.setAttribute("aria-pressed", one.dataset.name === name));
  say(`Reading ${name}`);
  const { bitmap, width, height } = await engine("open", { file, name });
  if (turn !== state.opened) return bitmap.close();
  showResult();
  Object.assign(state, { mask: null, parsed: false, faces: [] });
  view.mirrored = false;
  view.waiting = true;
  view.showPhoto(bitmap, width, height);
  view.showMask(null);
  view.showFaces([]);
  enableControls(false);
  find("caption").textContent = `${name}, ${width} × ${height} pixels`;
  say("Parsing");
  try {
    await showParsed(turn, name, width, height);
  } finally {
    if (turn === state.opened) view.waiting = false;
  }
}

async function showParsed(turn, name, width, height) {
  const found = await engine("parse");
  if (turn !== state.opened) return;
  Object.assign(state, { mask: found.mask, faces: found.faces, parsed: true });
  legend.list(found.pixels);
  redraw();
  enableControls(true);
  if (tints.colors) recolor();
  say(`${facesWords(found)} Parsed in ${Math.round(found.milliseconds)} ms.`);
  Object.assign(document.body.dataset, { parsed: name, milliseconds: found.milliseconds });
}

function facesWords({ found, faces }) {
  if (found === "portrait") return "One face was found, aligned already.";
  if (found === "whole") return "No face was found, so the photo was parsed as a whole.";
  return faces.length === 1 ? "One face was found." : `${faces.length} faces were found.`;
}

function showResult() {
  find("result").hidden = false;
  find("start").classList.add("small");
  find("offers").hidden = true;
}

function enableControls(on) {
  find("save").querySelectorAll("button").forEach((one) => (one.disabled = !on));
}

function redraw() {
  if (!state.mask) return;
  view.showMask(state.mask, legend.shown);
  view.showFaces(find("boxes").checked ? state.faces : []);
}

let recoloring = null;

/** The photo in the colors that are chosen. The last choice counts, however fast they follow each other. */
async function recolor() {
  if (state.camera || !state.parsed) return;
  const asked = (recoloring = Symbol("asked"));
  await attempt(async () => {
    const { bitmap } = await engine("recolor", { colors: tints.colors, strength: find("strength").value / 100 });
    if (asked !== recoloring || state.camera) return bitmap.close();
    view.showPhoto(bitmap, view.width, view.height);
  });
}

async function save(kind) {
  const options = { shown: [...legend.shown], opacity: find("opacity").value / 100 };
  const { blob, name } = await engine("save", { kind, options });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say(`Saved ${name}.`);
}

// --- the camera ---------------------------------------------------------------------------------

async function startCamera() {
  clearError();
  stopCamera();
  say("Waiting for the camera");
  const camera = await Camera.open();
  state.opened++; // what is parsed now is not shown any more
  Object.assign(state, { camera, mask: null, faces: [], parsed: false });
  showResult();
  enableControls(false);
  view.waiting = false;
  view.mirrored = camera.facesUser;
  find("live").hidden = false;
  find("caption").textContent = "Live";
  say("");
  await runCamera(camera);
}

/** Show frame after frame, parsed as soon as that can be done, until the camera is stopped. */
async function runCamera(camera) {
  const rate = new Rate();
  while (camera.open) {
    const bitmap = await camera.frame();
    if (document.body.dataset.state !== "ready") {
      view.showPhoto(bitmap, bitmap.width, bitmap.height);
      view.showMask(null);
      await new Promise(requestAnimationFrame);
      continue;
    }
    const wishes = { colors: tints.colors, strength: find("strength").value / 100 };
    const found = await engine("frame", { bitmap, ...wishes }, [bitmap]);
    if (state.camera !== camera) return found.bitmap.close();
    Object.assign(state, { mask: found.mask, faces: found.faces });
    view.showPhoto(found.bitmap, found.width, found.height);
    legend.list(found.pixels);
    redraw();
    const frames = rate.count();
    find("rate").textContent = frames ? `${frames.toFixed(1)} frames/s` : "";
  }
}

function stopCamera() {
  state.camera?.stop();
  state.camera = null;
  find("live").hidden = true;
}

async function takePicture() {
  const bitmap = await state.camera.frame();
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  await openPhoto(await canvas.convertToBlob(), "camera.png");
}

// --- the parts of the page ----------------------------------------------------------------------

const legend = new Legend(find("classes"), () => redraw());
const view = new View((id) => legend.point(id));
const tints = new TintChoice(find("tints"), () => recolor());

function imageOf(transfer) {
  return [...(transfer?.files ?? [])][0];
}

function listen() {
  find("choose").addEventListener("click", () => find("file").click());
  find("file").addEventListener("change", ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (file) attempt(() => openPhoto(file));
  });
  find("camera").addEventListener("click", () => attempt(startCamera));
  find("stop").addEventListener("click", stopCamera);
  find("still").addEventListener("click", () => attempt(takePicture));
  document.addEventListener("paste", ({ clipboardData }) => {
    const file = imageOf(clipboardData);
    if (file) attempt(() => openPhoto(file));
    else if (!clipboardData.getData("text")) showError(new Error("What was pasted holds no photo. Copy a photo, then paste it."));
  });
  listenForDrops();
  listenToControls();
}

/** A photo can be dropped anywhere on the page. */
function listenForDrops() {
  const over = (on) => find("drop").classList.toggle("over", on);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || over(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    const file = imageOf(event.dataTransfer);
    if (file) attempt(() => openPhoto(file));
    else showError(new Error("What was dropped is no file. Save the photo, then drop its file."));
  });
}

function listenToControls() {
  const slider = (id, change) => {
    find(id).addEventListener("input", ({ target }) => {
      find(`${id}-value`).textContent = `${target.value} %`;
      change(target.value / 100);
    });
  };
  slider("opacity", (value) => (view.opacity = value));
  slider("strength", () => recolor());
  find("boxes").addEventListener("change", redraw);
  find("all").addEventListener("click", () => legend.choose(() => true));
  find("none").addEventListener("click", () => legend.choose(() => false));
  find("invert").addEventListener("click", () => legend.choose((id, shown) => !shown));
  for (const button of find("save").querySelectorAll("button")) {
    button.addEventListener("click", () => attempt(() => save(button.dataset.kind)));
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = find("theme");
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  theme.setAttribute("aria-pressed", isDark());
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    theme.setAttribute("aria-pressed", isDark());
  });
}

function showExamples() {
  for (const { name, words, url, thumbnail } of EXAMPLES) {
    const button = Object.assign(document.createElement("button"), { type: "button", title: words });
    button.dataset.name = name;
    button.append(Object.assign(document.createElement("img"), { src: thumbnail, alt: words, width: 60, height: 60 }));
    button.addEventListener("click", () => attempt(async () => openPhoto(await (await fetch(url)).blob(), name)));
    find("examples").append(button);
  }
}

/** What this browser lacks, as a sentence, or null. */
function missing() {
  const needed = globalThis.WebAssembly && globalThis.OffscreenCanvas && globalThis.CompressionStream && globalThis.createImageBitmap;
  // A module of one function that uses a 128-bit number.
  const simd = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
  if (needed && WebAssembly.validate(new Uint8Array(simd))) return null;
  return "This browser is too old for this page. Chrome, Edge or Firefox from 2023 on, or Safari from 16.4 on, can show it.";
}

async function main() {
  const lack = missing();
  if (lack) return showError(new Error(lack));
  if (await isolate()) return;
  engine = startEngine(showProgress, (runtime) => (document.body.dataset.runtime = runtime));
  find("loading").hidden = false;
  showExamples();
  listen();
  document.body.dataset.state = "listening";
  await attempt(async () => {
    const { threads } = await engine("ready");
    document.body.dataset.state = "ready";
    document.body.dataset.threads = threads;
    if (!state.opened) say(`Ready. It computes on ${threads === 1 ? "one thread" : `${threads} threads`} of this device.`);
  });
  find("loading").hidden = true;
}

main();
