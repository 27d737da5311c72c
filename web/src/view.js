// The photo under its mask: two canvases, boxes around faces, and the name of the class that is pointed at.

import { CLASSES } from "./classes.js";

const CROSS_STEP = 0.01; // of the photo's longer side, for each press of an arrow key; ten times with Shift
const find = (id) => document.getElementById(id);

export class View {
  /** `onPoint` is told the id of the class that is pointed at, or null. */
  constructor(onPoint) {
    this.onPoint = onPoint;
    this.stage = find("stage");
    this.photo = find("photo").getContext("2d");
    this.overlay = find("overlay").getContext("2d");
    this.mask = null;
    this.cross = null;
    this.stage.addEventListener("pointermove", (event) => this.#pointer(event));
    this.stage.addEventListener("pointerdown", (event) => this.#pointer(event));
    this.stage.addEventListener("pointerleave", () => this.#leave());
    this.stage.addEventListener("blur", () => this.#leave());
    this.stage.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show a bitmap, which is closed, of a photo of width x height pixels. */
  showPhoto(bitmap, width, height) {
    const { canvas } = this.photo;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
    }
    this.photo.drawImage(bitmap, 0, 0);
    Object.assign(this, { width, height }); // before the bitmap is closed, which may be asked for its own
    bitmap.close();
    this.stage.style.setProperty("--shape", width / height);
  }

  /** Show the classes `shown` of a mask (height * width); none without a mask. */
  showMask(mask, shown) {
    const { canvas } = this.overlay;
    const { width, height } = this.photo.canvas;
    this.mask = mask;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      this.image = this.overlay.createImageData(width, height);
    }
    this.overlay.clearRect(0, 0, width, height);
    if (!mask) return;
    const colors = new Uint32Array(CLASSES.length);
    const bytes = new Uint8Array(colors.buffer);
    for (const { id, color } of CLASSES) if (shown.has(id)) bytes.set([...color, 255], id * 4);
    const pixels = new Uint32Array(this.image.data.buffer);
    const columns = Int32Array.from({ length: width }, (_, x) => Math.trunc(((x + 0.5) * this.width) / width));
    for (let y = 0, to = 0; y < height; y++) {
      const line = Math.trunc(((y + 0.5) * this.height) / height) * this.width;
      for (let x = 0; x < width; x++, to++) pixels[to] = colors[mask[line + columns[x]]];
    }
    this.overlay.putImageData(this.image, 0, 0);
  }

  /** Draw a box around each face. */
  showFaces(faces) {
    const percent = (value, whole) => `${(100 * value) / whole}%`;
    find("faces").replaceChildren(
      ...faces.map(({ box: [x, y, width, height] }) => {
        const element = document.createElement("div");
        element.className = "face";
        element.style.left = percent(x, this.width);
        element.style.top = percent(y, this.height);
        element.style.width = percent(width, this.width);
        element.style.height = percent(height, this.height);
        return element;
      }),
    );
  }

  set opacity(value) {
    this.stage.style.setProperty("--opacity", value);
  }

  set mirrored(value) {
    this.stage.classList.toggle("mirrored", value);
  }

  set waiting(value) {
    this.stage.classList.toggle("waiting", value);
    this.stage.setAttribute("aria-busy", value);
  }

  #pointer(event) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    this.cross = null;
    find("cross").hidden = true;
    this.#name((event.clientX - left) / width, (event.clientY - top) / height);
  }

  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === "Escape") return this.#leave();
    if (!moves[event.key] || !this.mask) return;
    event.preventDefault();
    const step = (CROSS_STEP * (event.shiftKey ? 10 : 1) * Math.max(this.width, this.height)) / 1;
    const [x, y] = this.cross ?? [0.5, 0.5];
    const inside = (value) => Math.min(Math.max(value, 0), 0.9999);
    const moved = this.cross ? moves[event.key] : [0, 0]; // the first press shows where it is
    this.cross = [inside(x + (moved[0] * step) / this.width), inside(y + (moved[1] * step) / this.height)];
    Object.assign(find("cross").style, { left: `${100 * this.cross[0]}%`, top: `${100 * this.cross[1]}%` });
    find("cross").hidden = false;
    const said = this.#name(...this.cross);
    if (said) find("spoken").textContent = said;
  }

  #leave() {
    this.cross = null;
    find("cross").hidden = true;
    find("tip").hidden = true;
    this.onPoint(null);
  }

  /** Name the class at a place, whose coordinates are from 0 to 1. */
  #name(x, y) {
    if (!this.mask || x < 0 || y < 0 || x >= 1 || y >= 1) return this.#leave();
    const across = this.stage.classList.contains("mirrored") ? 1 - x : x;
    const id = this.mask[Math.trunc(y * this.height) * this.width + Math.min(Math.trunc(across * this.width), this.width - 1)];
    const tip = find("tip");
    const swatch = document.createElement("i");
    swatch.style.background = `rgb(${CLASSES[id].color})`;
    tip.replaceChildren(swatch, CLASSES[id].words);
    tip.hidden = false;
    const { clientWidth, clientHeight } = this.stage;
    const beside = x * clientWidth + 16 + tip.offsetWidth > clientWidth ? -16 - tip.offsetWidth : 16;
    const below = y * clientHeight + 16 + tip.offsetHeight > clientHeight ? -16 - tip.offsetHeight : 16;
    tip.style.transform = `translate(${x * clientWidth + beside}px, ${y * clientHeight + below}px)`;
    Object.assign(tip.style, { left: 0, top: 0 });
    this.onPoint(id);
    return CLASSES[id].words;
  }
}
