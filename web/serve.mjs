// The built page on this machine: node serve.mjs [--port 8080] [--no-isolation]
//
// It sends files compressed, and with the headers that let a page have several threads. Without them
// (--no-isolation) it is such a host as most are.

import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const BUILT = fileURLToPath(new URL("dist/", import.meta.url));
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
  ".onnx": "application/octet-stream",
  ".svg": "image/svg+xml",
  ".jpg": "image/jpeg",
  ".txt": "text/plain; charset=utf-8",
};
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

function fileOf(folder, url) {
  const path = normalize(decodeURIComponent(new URL(url, "http://here").pathname));
  const file = join(folder, path.endsWith("/") ? `${path}index.html` : path);
  return file.startsWith(folder) && existsSync(file) && statSync(file).isFile() ? file : null;
}

/** A server of the files in a folder; `isolated` says whether it sends the headers for threads. */
export function makeServer({ folder = BUILT, isolated = true } = {}) {
  return createServer((request, response) => {
    let file = null;
    try {
      file = fileOf(folder, request.url);
    } catch {
      // an address that cannot be decoded is no file's
    }
    if (!file) {
      response.writeHead(404, { "Content-Type": "text/plain" }).end("There is no such file.\n");
      return;
    }
    const compressed = existsSync(`${file}.br`) && /\bbr\b/.test(request.headers["accept-encoding"] ?? "");
    const sent = compressed ? `${file}.br` : file;
    response.writeHead(200, {
      "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
      "Content-Length": statSync(sent).size,
      // Names of files in assets/ change with their content.
      "Cache-Control": file.includes("/assets/") ? "public, max-age=31536000, immutable" : "no-cache",
      Vary: "Accept-Encoding",
      ...(compressed ? { "Content-Encoding": "br" } : {}),
      ...(isolated ? ISOLATION : {}),
    });
    if (request.method === "HEAD") response.end();
    else createReadStream(sent).pipe(response);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = { port: { type: "string", default: "8080" }, "no-isolation": { type: "boolean", default: false } };
  const { values } = parseArgs({ options });
  if (!existsSync(join(BUILT, "index.html"))) {
    console.error("There is no built page yet: npm --prefix web run build");
    process.exit(1);
  }
  const server = makeServer({ isolated: !values["no-isolation"] });
  server.on("error", (error) => {
    console.error(`The page cannot be served at port ${values.port} (${error.code}); name another: --port 8081`);
    process.exit(1);
  });
  server.listen(Number(values.port), "127.0.0.1", () => console.log(`http://localhost:${values.port}/`));
}
