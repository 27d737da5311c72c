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

// Answers each line by the milliseconds of a photo to its mask.
const NATIVE = `
import sys, time
from face_parsing import FaceParser
from face_parsing.data.photos import read_photo
parser, photo = FaceParser(threads=int(sys.argv[1])), read_photo(sys.argv[2])
for line in sys.stdin:
    start = time.perf_counter()
    parser(photo)
    print((time.perf_counter() - start) * 1e3, flush=True)
`;

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
async function onPage(page) {
  await page.evaluate(() => delete document.body.dataset.parsed);
  await page.setInputFiles("#file", PHOTO);
  await page.waitForSelector("body[data-parsed]", { timeout: 60_000 });
  return Number(await page.getAttribute("body", "data-milliseconds"));
}

/** The same in native ONNX Runtime: a function that measures, and one that ends it. */
function native(threads) {
  const environment = { ...process.env, PYTHONPATH: SOURCE };
  const python = spawn(process.env.PYTHON || "python", ["-c", NATIVE, String(threads), PHOTO], {
    env: environment, stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: python.stdout })[Symbol.asyncIterator]();
  const measure = async () => {
    python.stdin.write("\n");
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

async function printTimes(pages) {
  const rows = pages.map(({ page, threads }) => {
    const [measure, end] = native(threads);
    return { page, threads, measure, end, onPage: [], native: [] };
  });
  for (let round = 0; round <= ROUNDS; round++) {
    for (const row of rows) {
      for (const [kind, measure] of [["onPage", () => onPage(row.page)], ["native", row.measure]]) {
        const times = [];
        for (let i = 0; i < PHOTOS; i++) times.push(await measure());
        if (round) row[kind].push(median(times)); // the first round warms up
      }
    }
  }
  console.log("\n| photo of 512 px to mask | page, ms | native, ms | times as slow |\n|---|---:|---:|---:|");
  for (const { threads, onPage: here, native: there, end } of rows) {
    end();
    const ratio = median(here.map((value, i) => value / there[i]));
    const name = threads === 1 ? "one thread" : `${threads} threads`;
    console.log(`| ${name} | ${median(here).toFixed(1)} | ${median(there).toFixed(1)} | ${ratio.toFixed(2)} |`);
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
await printTimes([one, several]);
await writeFilm(several.page, join(folder, "film.mjpeg"));
await browser.close();
await printCamera(isolated, join(folder, "film.mjpeg"));
rmSync(folder, { recursive: true });
for (const server of [isolated, plain]) server.close();
