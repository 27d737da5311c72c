import { readFileSync, statSync } from "node:fs";
import { defaultClientConditions, defineConfig } from "vite";
import { FILES } from "./runtime/record.mjs";
import { SMALL, writeSmall } from "./runtime/small.mjs";

// Nothing is loaded from elsewhere, and nothing is sent: the browser itself refuses it.
const POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "img-src 'self' blob: data:",
  "worker-src 'self' blob:",
].join("; ");

// What several threads need. Hosts that cannot send headers get them from public/isolation.js.
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** The policy in the built page; Vite's own development page writes its styles and scripts into the document. */
const policy = {
  name: "content-security-policy",
  apply: "build",
  transformIndexHtml: () => [
    { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: POLICY }, injectTo: "head-prepend" },
  ],
};

/** licences.txt: of the code, the weights, the detector and the runtime, which is under the terms of the first. */
const licences = {
  name: "licences",
  apply: "build",
  generateBundle() {
    const text = (name) => readFileSync(new URL(name, import.meta.url), "utf8").trim();
    const parts = [
      `This page\n\n${text("../LICENSE")}`,
      `The network's weights\n\n${text("../weights/LICENSE")}`,
      `The face detector\n\n${text("../weights/LICENSE.face_detector")}`,
      "ONNX Runtime, of which this page holds a part\n\nCopyright (c) Microsoft Corporation. All rights reserved.\n" +
        "Licensed under the MIT License, whose terms stand above.",
    ];
    this.emitFile({ type: "asset", fileName: "licences.txt", source: `${parts.join("\n\n---\n\n")}\n` });
  },
};

await writeSmall();

// What the page waits for, whose progress it shows: as many bytes, before compression.
const awaitedBytes = [FILES.network, FILES.detector, SMALL].reduce((sum, path) => sum + statSync(path).size, 0);

export default defineConfig({
  base: "./", // the built folder works at any place of a host
  define: { __BYTES__: awaitedBytes },
  assetsInclude: ["**/*.onnx"],
  build: { assetsInlineLimit: 0, sourcemap: false },
  worker: { format: "es" },
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
  server: { headers: ISOLATION, fs: { allow: [".."] } },
  preview: { headers: ISOLATION },
  plugins: [policy, licences],
});
