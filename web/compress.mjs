// FILE.br beside each file of the built page, for hosts that send such files to browsers that take them.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";

const FOLDER = fileURLToPath(new URL("dist/", import.meta.url));
const COMPRESSIBLE = /\.(html|js|mjs|css|wasm|onnx|svg)$/; // pictures are compressed already
const SMALLEST = 1024; // bytes
const SLOW = 8e6; // bytes; the whole runtime, which hardly anybody needs, takes minutes at the best quality

for (const entry of readdirSync(FOLDER, { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath, entry.name);
  if (!entry.isFile() || !COMPRESSIBLE.test(path)) continue;
  const bytes = readFileSync(path);
  if (bytes.length < SMALLEST) continue;
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: bytes.length < SLOW ? constants.BROTLI_MAX_QUALITY : 9,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  const compressed = brotliCompressSync(bytes, { params });
  writeFileSync(`${path}.br`, compressed);
  console.log(`${String(compressed.length).padStart(9)} of ${String(bytes.length).padStart(9)} bytes  ${entry.name}`);
}
