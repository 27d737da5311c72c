// How fast the page is, and how much it downloads: npm --prefix web run build && node web/benchmark.mjs
//
// Times are medians of rounds in which page and native runtime take turns, so that both see the same machine. Native is
// face_parsing in the Python of the environment variable PYTHON, or `python`. Needs an idle machine and Chromium.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { makeServer } from "./serve.mjs";

const ROUNDS = 7;
const PHOTOS = 4; // in each round
const CAMERA_SECONDS = 12;
const PHOTO = fileURLToPath(new URL("../docs/images/astronaut.jpg", import.meta.url));
const SOURCE = fileURLToPath(new URL("../src", import.meta.url));
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
];

// Writes the portrait's face as an aligned photo of 512 pixels.
const ALIGN = `
import sys
from PIL import Image
from face_parsing import FaceParser
from face_parsing.data.photos import read_photo
from face_parsing.faces.alignment import crop, quadrangle
photo = read_photo(sys.argv[1])
square = quadrangle(FaceParser()(photo).faces[0].points, margin=0.95)
Image.fromarray(crop(photo, square, 512)).save(sys.argv[2])
`;

// Answers each line, the path of a photo, by the milliseconds of its pixels to its mask.
const NATIVE = `
import sys, time
from face_parsing import FaceParser
from face_parsing.data.photos import read_photo
parser = FaceParser(threads=int(sys.argv[1]))
for line in sys.stdin:
    photo = read_photo(line.strip())
    start = time.perf_counter()
    parser(photo)
    print((time.perf_counter() - start) * 1e3, flush=True)
`;
const PYTHON = process.env.PYTHON || "python";
const ENVIRONMENT = { ...process.env, PYTHONPATH: SOURCE };

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

function launch(film) {
  const video = film ? [`--use-file-for-fake-video-capture=${film}`] : [];
  return chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: [...FLAGS, ...video] });
}

function serve(isolated) {
  const server = makeServer({ isolated });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

async function open(browser, server, options) {
  const page = await (await browser.newContext(options)).newPage();
  const received = [];
  page.context().on("response", (response) => received.push(response));
  await page.goto(`http://localhost:${server.address().port}/`);
  await page.waitForSelector("body[data-state=ready]", { timeout: 120_000 });
  return { page, received, threads: Number(await page.getAttribute("body", "data-threads")) };
}

/** Milliseconds from a photo's pixels to its mask on the page. */
async function onPage(page, photo) {
  await page.evaluate(() => delete document.body.dataset.parsed);
  await page.setInputFiles("#file", photo);
  await page.waitForSelector("body[data-parsed]", { timeout: 60_000 });
  return Number(await page.getAttribute("body", "data-milliseconds"));
}

/** The same in native ONNX Runtime: a function that measures, and one that ends it. */
function native(threads) {
  const python = spawn(PYTHON, ["-c", NATIVE, String(threads)], { env: ENVIRONMENT, stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: python.stdout })[Symbol.asyncIterator]();
  const measure = async (photo) => {
    python.stdin.write(`${photo}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error("Native ONNX Runtime did not run; set PYTHON to a Python that has the project's packages.");
    return Number(value);
  };
  return [measure, () => python.stdin.end()];
}

async function printSizes(received) {
  console.log("\n| first visit | bytes |\n|---|---:|");
  let total = 0;
  for (const response of received) {
    const size = Number((await response.allHeaders())["content-length"] ?? 0);
    total += size;
    console.log(`| ${basename(new URL(response.url()).pathname) || "index.html"} | ${size.toLocaleString("en")} |`);
  }
  console.log(`| **all** | **${total.toLocaleString("en")}** |`);
}

async function printTimes(pages, photos) {
  const rows = [];
  for (const { page, threads } of pages) {
    const [measure, end] = native(threads);
    for (const [name, photo] of photos) rows.push({ page, threads, measure, end, name, photo, here: [], there: [] });
  }
  for (let round = 0; round <= ROUNDS; round++) {
    for (const row of rows) {
      for (const [times, measure] of [[row.here, (photo) => onPage(row.page, photo)], [row.there, row.measure]]) {
        const some = [];
        for (let i = 0; i < PHOTOS; i++) some.push(await measure(row.photo));
        if (round) times.push(median(some)); // the first round warms up
      }
    }
  }
  console.log("\n| 512 px to mask | threads | page, ms | native, ms | times as slow |\n|---|---:|---:|---:|---:|");
  for (const { threads, name, here, there, end } of rows) {
    end();
    const ratio = median(here.map((value, i) => value / there[i])).toFixed(2);
    console.log(`| ${name} | ${threads} | ${median(here).toFixed(1)} | ${median(there).toFixed(1)} | ${ratio} |`);
  }
}

/** A film of one picture, 640 x 480 pixels, with the portrait in it. */
async function writeFilm(page, path) {
  await page.setInputFiles("#file", PHOTO);
  await page.waitForSelector("body[data-parsed]");
  const url = await page.evaluate(() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
    canvas.getContext("2d").drawImage(document.getElementById("photo"), 100, 20, 440, 440);
    return canvas.toDataURL("image/jpeg", 0.92);
  });
  writeFileSync(path, Buffer.from(url.split(",")[1], "base64"));
}

async function printCamera(server, film) {
  const browser = await launch(film);
  const { page, threads } = await open(browser, server, {});
  await page.click("#camera");
  await page.waitForFunction(() => /\d/.test(document.getElementById("rate").textContent), null, { timeout: 60_000 });
  const rates = [];
  for (let second = 0; second < CAMERA_SECONDS; second++) {
    await page.waitForTimeout(1000);
    rates.push(parseFloat(await page.textContent("#rate")));
  }
  const faces = await page.locator(".face").count();
  console.log(`\nCamera, 640 x 480, ${threads} threads, faces found: ${faces}: ${median(rates).toFixed(1)} frames/s`);
  await browser.close();
}

const folder = mkdtempSync(join(tmpdir(), "page-"));
const browser = await launch();
const [isolated, plain] = await Promise.all([serve(true), serve(false)]);
console.log(`${execFileSync("nproc").toString().trim()} cores, ${cpus()[0].model}; Chromium ${browser.version()}`);
const one = await open(browser, plain, { serviceWorkers: "block" });
const several = await open(browser, isolated, {});
await printSizes(several.received);
const aligned = join(folder, "aligned.png");
execFileSync(PYTHON, ["-c", ALIGN, PHOTO, aligned], { env: ENVIRONMENT });
await printTimes([one, several], [["aligned portrait, parsed as it is", aligned], ["face found, aligned and put back", PHOTO]]);
await writeFilm(several.page, join(folder, "film.mjpeg"));
await browser.close();
await printCamera(isolated, join(folder, "film.mjpeg"));
rmSync(folder, { recursive: true });
for (const server of [isolated, plain]) server.close();
