// ONNX Runtime in WebAssembly: how it is started, and a graph in it.

import * as ort from "onnxruntime-web/wasm";
import glueUrl from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";

const MOST_THREADS = 4; // more gain little on a network this small, and a phone's other cores are slow ones

/** How many threads: several need memory that they share, which browsers give to isolated pages alone. */
export function threadsHere() {
  return self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
}

/** Start the runtime with its code, the bytes of its .wasm file. */
export function startRuntime(code) {
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = code.buffer;
  ort.env.wasm.wasmPaths = { mjs: new URL(glueUrl, import.meta.url).href };
  ort.env.wasm.numThreads = threadsHere();
  ort.env.wasm.proxy = false; // this is a worker already
}

/** A graph of one input and several outputs, ready to run. */
export class Graph {
  static async create(bytes) {
    const session = await ort.InferenceSession.create(bytes, {
      executionProviders: ["wasm"],
      graphOptimizationLevel: "all",
    });
    return new Graph(session);
  }

  constructor(session) {
    this.session = session;
    this.input = session.inputNames[0];
  }

  /** Its input's sides, (height, width), or null where they are free. */
  get sides() {
    const [, height, width] = this.session.inputMetadata[0].shape;
    return typeof height === "number" && height > 0 ? [height, width] : null;
  }

  /** What it gives of values of a type ("uint8", "float32") and shape: tensors {data, dims} by their names. */
  run(values, type, shape) {
    return this.session.run({ [this.input]: new ort.Tensor(type, values, shape) });
  }
}
