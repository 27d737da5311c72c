import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { defaultClientConditions, defineConfig } from "vite";

// Nothing is loaded from elsewhere, and nothing is sent: the browser itself refuses it.
const POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "img-src 'self' blob: data:",
  "worker-src 'self' blob:",
].join("; ");

// What several threads need. Hosts that cannot send headers get them from public/isolation.js.
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

const SMALLEST_COMPRESSED = 1024; // bytes; and pictures are compressed already
const COMPRESSIBLE = /\.(html|js|mjs|css|wasm|onnx|svg|webmanifest)$/;

/** The policy in the built page; Vite's own development page writes its styles and scripts into the document. */
const policy = {
  name: "content-security-policy",
  apply: "build",
  transformIndexHtml: () => [
    { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: POLICY }, injectTo: "head-prepend" },
  ],
};

/** FILE.br beside each file, for hosts that send such files to browsers that take them. */
const brotli = {
  name: "brotli",
  apply: "build",
  writeBundle({ dir }) {
    for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (!entry.isFile() || !COMPRESSIBLE.test(path)) continue;
      const bytes = readFileSync(path);
      if (bytes.length < SMALLEST_COMPRESSED || process.env.NOBR) continue;
      const params = {
        [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
        [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
        [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
      };
      writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params }));
    }
  },
};

// What the page waits for, whose progress it shows: as many bytes, before compression.
const AWAITED = [
  "../weights/face_parsing.onnx",
  "../weights/face_detector.onnx",
  "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
];
const awaitedBytes = AWAITED.reduce((sum, name) => sum + statSync(new URL(name, import.meta.url)).size, 0);

export default defineConfig({
  base: "./", // the built folder works at any place of a host
  define: { __BYTES__: awaitedBytes },
  assetsInclude: ["**/*.onnx"],
  build: { assetsInlineLimit: 0, sourcemap: false },
  worker: { format: "es" },
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
  server: { headers: ISOLATION, fs: { allow: [".."] } },
  preview: { headers: ISOLATION },
  plugins: [policy, brotli],
});
