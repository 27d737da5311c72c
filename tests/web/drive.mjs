// Uses the page as a person would, in Chromium, and writes down what came of it: node drive.mjs SITE PHOTOS OUT
//
// SITE has the built page in a folder page/, PHOTOS the photos, named here, and camera.mjpeg. OUT gets the saved files
// and outcome.json: for each step below what it found, or {"error"} where it failed.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [site, photos, out] = process.argv.slice(2);
const web = new URL("../../web/", import.meta.url);
const { chromium } = createRequire(new URL("package.json", web))("playwright-core");
const { makeServer } = await import(new URL("serve.mjs", web));
const { bodiesOf, trap, withBodies } = await import(new URL("runtime/wasm.mjs", web));
const { CLASSES } = await import(new URL("src/classes.js", web));

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
];
const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
const requests = new Set();
const complaints = [];

function serve(isolated) {
  const server = makeServer({ folder: site, isolated });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const addressOf = (server) => `http://localhost:${server.address().port}/page/`;

/** A page that is ready to parse, in a context of its own. Where `trapped`, every function of the small runtime traps. */
async function open(browser, server, { trapped = false, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  if (trapped) await context.route(/small.*wasm$/, (route) => route.fulfill({ body: trappedRuntime(), contentType: "application/wasm" }));
  context.on("request", (request) => requests.add(request.url()));
  const page = await context.newPage();
  if (!trapped) {
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  }
  await page.goto(addressOf(server));
  await page.waitForSelector("body[data-state=ready]", { timeout: 120_000 });
  return page;
}

function trappedRuntime() {
  const file = readFileSync(new URL("runtime/small.wasm", web));
  return Buffer.from(withBodies(file, bodiesOf(file).map(trap)));
}

/** Do something that ends in a parsed photo; gives what the page says then. */
async function parsed(page, action) {
  await page.evaluate(() => delete document.body.dataset.parsed);
  await action();
  await page.waitForSelector("body[data-parsed], #error:not([hidden])", { timeout: 60_000 });
  return page.textContent("#status");
}

const choose = (page, name) => parsed(page, () => page.setInputFiles("#file", join(photos, name)));

async function save(page, kind, name) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click(`[data-kind=${kind}]`)]);
  await download.saveAs(join(out, name ?? download.suggestedFilename()));
  return download.suggestedFilename();
}

const steps = {
  classes: async () => CLASSES,

  async masks({ page }) {
    const names = readdirSync(photos).filter((name) => /\.(jpg|png)$/.test(name) && name !== "broken.jpg");
    const said = {};
    for (const name of names) {
      said[name] = { status: await choose(page, name), boxes: await page.locator(".face").count() };
      said[name].file = await save(page, "mask");
    }
    return said;
  },

  async saving({ page }) {
    await choose(page, "portrait.jpg");
    await page.click("#none");
    await page.getByLabel("Hair", { exact: true }).check();
    await page.locator("#opacity").fill("40");
    return [await save(page, "overlay"), await save(page, "cutout"), await save(page, "json")];
  },

  async colors({ page }) {
    await choose(page, "portrait.jpg");
    await page.click("#none");
    await page.getByRole("radiogroup", { name: "Color of hair" }).getByLabel("Blue").check();
    await page.getByRole("radiogroup", { name: "Color of lips" }).getByLabel("Plum").check();
    await save(page, "overlay", "colored.png"); // tasks of the worker are done in turn
    await page.getByRole("radiogroup", { name: "Color of hair" }).getByLabel("As it is").check();
    await page.getByRole("radiogroup", { name: "Color of lips" }).getByLabel("As it is").check();
    await save(page, "overlay", "uncolored.png");
    await page.click("#all");
  },

  async broken({ page }) {
    await choose(page, "broken.jpg");
    const error = await page.textContent("#error");
    return { error, after: await choose(page, "portrait.jpg"), hidden: await page.isHidden("#error") };
  },

  async pastedAndDropped({ page }) {
    const give = (kind) =>
      parsed(page, () =>
        page.evaluate(async (kind) => {
          const image = document.querySelector("#examples img");
          const blob = await (await fetch(image.src)).blob();
          const transfer = new DataTransfer();
          transfer.items.add(new File([blob], `${kind}.jpg`, { type: "image/jpeg" }));
          const options = { bubbles: true, cancelable: true, clipboardData: transfer, dataTransfer: transfer };
          const event = kind === "paste" ? new ClipboardEvent("paste", options) : new DragEvent("drop", options);
          document.body.dispatchEvent(event);
        }, kind),
      );
    const captions = [];
    for (const kind of ["paste", "drop"]) {
      await give(kind);
      captions.push(await page.textContent("#caption"));
    }
    return captions;
  },

  async examples({ page }) {
    const said = [];
    for (const button of await page.locator("#examples button").all()) said.push(await parsed(page, () => button.click()));
    return said;
  },

  async keyboard({ page }) {
    await choose(page, "portrait.jpg");
    await page.focus("body");
    const reached = [];
    for (let i = 0; i < 80; i++) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate(() => document.activeElement.id || document.activeElement.ariaLabel || document.activeElement.dataset.kind));
    }
    await page.focus("#stage");
    for (const key of ["ArrowUp", "ArrowUp", "Shift+ArrowDown"]) await page.keyboard.press(key);
    const spoken = await page.textContent("#spoken");
    await page.focus("#opacity");
    await page.keyboard.press("ArrowRight");
    const opacity = await page.textContent("#opacity-value");
    const unnamed = await page.evaluate(() =>
      [...document.querySelectorAll("button, input:not([hidden])")].filter((one) => {
        return !(one.textContent.trim() || one.ariaLabel || one.labels?.[0]?.textContent.trim() || one.querySelector("img")?.alt);
      }).length,
    );
    return { reached, spoken, opacity, unnamed };
  },

  async pointing({ page }) {
    await choose(page, "portrait.jpg");
    const box = await page.locator("#stage").boundingBox();
    await page.mouse.move(box.x + box.width * 0.45, box.y + box.height * 0.13);
    const tip = await page.textContent("#tip");
    const marked = await page.textContent(".class.pointed");
    await page.screenshot({ path: join(out, "screen-light.png"), fullPage: true });
    await page.click("#theme");
    await page.screenshot({ path: join(out, "screen-dark.png"), fullPage: true });
    await page.click("#theme");
    await choose(page, "group.jpg");
    await page.screenshot({ path: join(out, "screen-group.png"), fullPage: true });
    return { tip, marked };
  },

  async camera({ page }) {
    await page.click("#camera");
    await page.waitForFunction(() => /\d/.test(document.getElementById("rate").textContent), null, { timeout: 60_000 });
    await page.waitForTimeout(1500);
    const rate = await page.textContent("#rate");
    const faces = await page.locator(".face").count();
    await page.screenshot({ path: join(out, "screen-camera.png"), fullPage: true });
    const still = await parsed(page, () => page.click("#still"));
    await save(page, "mask");
    await page.click("#camera");
    await page.click("#stop");
    const stopped = await page.isHidden("#live");
    return { rate, faces, still, stopped };
  },

  async noCamera({ page }) {
    await page.evaluate(() => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "NotFoundError"));
    });
    await page.click("#camera");
    await page.waitForSelector("#error:not([hidden])");
    return page.textContent("#error");
  },

  async trappedRuntime({ browser, isolated }) {
    const page = await open(browser, isolated, { trapped: true });
    const runtime = await page.getAttribute("body", "data-runtime");
    const status = await choose(page, "portrait.jpg");
    await save(page, "mask", "whole_runtime.png");
    await page.context().close();
    return { runtime, status };
  },

  async phone({ browser, isolated }) {
    const page = await open(browser, isolated, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: "dark" });
    const widths = () => page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    const before = await widths();
    await page.screenshot({ path: join(out, "screen-phone-first.png") });
    const status = await choose(page, "portrait.jpg");
    await page.screenshot({ path: join(out, "screen-phone.png"), fullPage: true });
    const after = await widths();
    await page.context().close();
    return { before, after, status };
  },

  async plainHost({ browser, plain }) {
    const page = await open(browser, plain);
    const threads = await page.getAttribute("body", "data-threads");
    const status = await choose(page, "portrait.jpg");
    await save(page, "mask", "plain_host.png");
    await page.context().close();
    return { threads, status };
  },

  async oneThread({ browser, plain }) {
    const page = await open(browser, plain, { serviceWorkers: "block" });
    const threads = await page.getAttribute("body", "data-threads");
    const status = await choose(page, "portrait.jpg");
    await save(page, "mask", "one_thread.png");
    await page.context().close();
    return { threads, status };
  },
};

mkdirSync(out, { recursive: true });
const video = `--use-file-for-fake-video-capture=${join(photos, "camera.mjpeg")}`;
const browser = await chromium.launch({ executablePath, args: [...FLAGS, video] });
const [isolated, plain] = await Promise.all([serve(true), serve(false)]);
const page = await open(browser, isolated);
const outcome = { threads: await page.getAttribute("body", "data-threads") };
await page.screenshot({ path: join(out, "screen-first.png") });
for (const [name, step] of Object.entries(steps)) {
  try {
    outcome[name] = (await step({ browser, page, isolated, plain })) ?? {};
  } catch (error) {
    outcome[name] = { error: String(error.stack) };
  }
}
outcome.runtime = await page.getAttribute("body", "data-runtime");
outcome.requests = [...requests];
outcome.origins = [isolated, plain].map((server) => new URL(addressOf(server)).origin);
outcome.complaints = complaints;
writeFileSync(join(out, "outcome.json"), JSON.stringify(outcome, null, 1));
await browser.close();
for (const server of [isolated, plain]) server.close();
