// Which functions of ONNX Runtime the page's two graphs need: npm --prefix web run record
//
// The runtime knows some hundred operators; two graphs need a dozen of them. Here each function writes down that it was
// called, while both graphs run at all kinds of sizes, on one thread and on several. What was never called can be left
// out of what a visitor downloads (small.mjs). The page takes the whole runtime where the small one should ever miss one.

import { readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { isMainThread, Worker, parentPort, workerData } from "node:worker_threads";
import { bodiesOf, recording, withBodies } from "./wasm.mjs";

const at = (name) => fileURLToPath(new URL(name, import.meta.url));
export const FILES = {
  runtime: at("../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm"),
  network: at("../../weights/face_parsing_open.onnx"),
  detector: at("../../weights/face_detector.onnx"),
};
export const RECORD = at("functions.json");

const PAGE = 65536; // bytes of memory
const PAGES = 16384; // a gigabyte, of which the runtime uses the first part, and the record the last
const ROOM = 2 ** 20; // bytes for the record: one a function

/** What the record is of. */
export function hashes() {
  return Object.fromEntries(Object.entries(FILES).map(([name, path]) => {
    return [name, createHash("sha256").update(readFileSync(path)).digest("hex")];
  }));
}

/** Let every function of the runtime write down that it was called. */
function instrumented() {
  const file = readFileSync(FILES.runtime);
  const bodies = bodiesOf(file);
  if (bodies.length > ROOM) throw new Error(`The runtime has ${bodies.length} functions; make more room.`);
  const first = PAGES * PAGE - ROOM;
  return { count: bodies.length, code: withBodies(file, bodies.map((body, i) => recording(body, first + i))) };
}

/** Run both graphs in a process of its own, with so many threads: which functions were called, a byte each. */
function recorded(code, count, threads) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { code, count, threads } });
    worker.once("message", (called) => {
      resolve(called);
      worker.terminate();
    });
    worker.once("error", reject);
  });
}

async function runGraphs({ code, count, threads }) {
  let memory;
  const Memory = WebAssembly.Memory;
  WebAssembly.Memory = function (options) {
    return (memory = new Memory({ ...options, initial: PAGES }));
  };
  const ort = await import("onnxruntime-web");
  ort.env.wasm.wasmBinary = code.buffer;
  ort.env.wasm.numThreads = threads;
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
  for (const [path, step] of [[FILES.network, 64], [FILES.detector, 32]]) {
    const session = await ort.InferenceSession.create(readFileSync(path), options);
    const fixed = session.inputMetadata[0].shape.slice(1, 3);
    const sides = typeof fixed[0] === "number" && fixed[0] > 0 ? [fixed] : sidesOf(step);
    for (const [height, width] of sides) {
      for (let time = 0; time < 2; time++) {
        const pixels = Uint8Array.from({ length: height * width * 3 }, (_, i) => (i * 7919 + time * 13 + (i >> 5)) & 255);
        await session.run({ [session.inputNames[0]]: new ort.Tensor("uint8", pixels, [1, height, width, 3]) });
      }
    }
  }
  parentPort.postMessage(new Uint8Array(memory.buffer).slice(PAGES * PAGE - ROOM, PAGES * PAGE - ROOM + count));
}

/** Sizes to run a graph at whose sides are multiples of `step`. */
function sidesOf(step) {
  const sides = Array.from({ length: Math.floor(640 / step) }, (_, i) => step * (i + 1)).filter((side) => side >= 64);
  return [...sides.map((side) => [side, side]), ...sides.slice(0, 13).flatMap((side) => [[side, 320], [448, side]])];
}

/** Record, and write down what was called. */
export async function record() {
  const { count, code } = instrumented();
  const called = new Uint8Array(count);
  for (const threads of [1, 2, 3, 4]) {
    const some = await recorded(code, count, threads);
    some.forEach((value, i) => (called[i] |= value));
  }
  const bits = new Uint8Array(Math.ceil(count / 8));
  called.forEach((value, i) => (bits[i >> 3] |= value << (i & 7)));
  const kept = called.reduce((sum, value) => sum + value, 0);
  writeFileSync(RECORD, `${JSON.stringify({ sha256: hashes(), functions: count, kept, bits: Buffer.from(bits).toString("base64") }, null, 1)}\n`);
  console.log(`${kept} of ${count} functions of the runtime are needed.`);
}

if (!isMainThread && workerData?.code) await runGraphs(workerData);
else if (process.argv[1] === fileURLToPath(import.meta.url)) await record();
