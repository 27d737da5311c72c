// The small runtime: ONNX Runtime without the functions that the page's two graphs never call (functions.json).

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FILES, hashes, record, RECORD } from "./record.mjs";
import { bodiesOf, trap, withBodies } from "./wasm.mjs";

export const SMALL = fileURLToPath(new URL("small.wasm", import.meta.url));

const recordOf = () => (existsSync(RECORD) ? JSON.parse(readFileSync(RECORD, "utf8")) : {});

/** Write the small runtime. What it is made by is recorded anew where a graph or the runtime is another. */
export async function writeSmall() {
  if (JSON.stringify(recordOf().sha256) !== JSON.stringify(hashes())) await record();
  const bits = Buffer.from(recordOf().bits, "base64");
  const file = readFileSync(FILES.runtime);
  const bodies = bodiesOf(file).map((body, i) => ((bits[i >> 3] >> (i & 7)) & 1 ? body : trap()));
  writeFileSync(SMALL, withBodies(file, bodies));
}
