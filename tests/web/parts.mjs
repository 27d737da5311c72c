// Modules of the page that need no browser, on the arguments of standard input: what they give, as JSON.

const web = new URL("../../web/src/", import.meta.url);
const { crop, quadrangle } = await import(new URL("faces/alignment.js", web));
const { STAYS, fillAround } = await import(new URL("faces/around.js", web));
const { owners } = await import(new URL("faces/paste.js", web));
const { resizeWithGap } = await import(new URL("resize.js", web));
const { Scores, largestClass } = await import(new URL("largest_class.js", web));
const { factsOf } = await import(new URL("onnx_facts.js", web));
const { readFileSync } = await import("node:fs");

const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const text = (values) => Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");

const parts = {
  resize: ({ data, width, height, channels, w, h, gap }) => text(resizeWithGap({ data: bytes(data), width, height, channels }, w, h, gap ?? Infinity).data),
  largestClass: ({ data, shape, corner, size }) => text(largestClass(new Scores(bytes(data), shape, corner[1], corner[0]), size[1], size[0])),
  crop: ({ data, width, height, points, margin, size }) => {
    const square = quadrangle(points, margin);
    const picture = { data: bytes(data), width, height, channels: 3 };
    return { quadrangle: square, pixels: text(crop(picture, square, size).data) };
  },
  owners: ({ quadrangles, width, height }) => text(owners(quadrangles, width, height)),
  around: ({ data, whole, mask, owner, width, height, corners }) => {
    const picture = { data: bytes(data), width, height, channels: 3 };
    const [inside, owners] = [bytes(mask), Uint16Array.from(bytes(owner))];
    fillAround(picture, corners, 1, inside, bytes(whole).map((id) => STAYS[id]), owners);
    return [text(inside), text(Uint8Array.from(owners))];
  },
  facts: ({ file }) => factsOf(readFileSync(file)),
};

const calls = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(calls.map(({ part, ...given }) => parts[part](given))));
