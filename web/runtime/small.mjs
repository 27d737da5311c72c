// The small runtime: ONNX Runtime without the functions that the page's two graphs do not need.
//
// Kept is what was called when the graphs ran (functions.json), what the page may call, and all that these call by name:
// so also what runs where threads wait for each other, or memory runs out, which a record happens on by chance.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FILES, hashes, record, RECORD } from "./record.mjs";
import { bodiesOf, calledBy, exportedFunctions, importedFunctions, trap, withBodies } from "./wasm.mjs";

export const SMALL = fileURLToPath(new URL("small.wasm", import.meta.url));

const recordOf = () => (existsSync(RECORD) ? JSON.parse(readFileSync(RECORD, "utf8")) : {});

/** Whether each function is kept, of the bodies of a file. */
function keptOf(file, bodies, bits) {
  const imported = importedFunctions(file);
  const kept = bodies.map((_, i) => Boolean((bits[i >> 3] >> (i & 7)) & 1));
  for (const number of exportedFunctions(file)) kept[number - imported] = true;
  const open = [...kept.keys()].filter((i) => kept[i]);
  while (open.length) {
    for (const number of calledBy(bodies[open.pop()])) {
      const i = number - imported;
      if (i < 0 || kept[i]) continue;
      kept[i] = true;
      open.push(i);
    }
  }
  return kept;
}

/** Write the small runtime. What it is made by is recorded anew where a graph or the runtime is another. */
export async function writeSmall() {
  if (JSON.stringify(recordOf().sha256) !== JSON.stringify(hashes())) await record();
  const file = readFileSync(FILES.runtime);
  const bodies = bodiesOf(file);
  const kept = keptOf(file, bodies, Buffer.from(recordOf().bits, "base64"));
  writeFileSync(SMALL, withBodies(file, bodies.map((body, i) => (kept[i] ? body : trap()))));
}
