// A file to pixels: upright by its EXIF data, colors as they are stored, what is transparent laid over white.

const MOST_PIXELS = 80e6; // as the command line's; beyond, browsers run out of memory

/** A drawing surface of a size that is read back, not shown. */
export function surface(width, height, options = {}) {
  const canvas = new OffscreenCanvas(width, height);
  return [canvas, canvas.getContext("2d", { willReadFrequently: true, ...options })];
}

async function decoded(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    const heic = /\.hei[cf]$/i.test(file.name ?? "");
    const advice = heic
      ? "Of the browsers, Safari alone reads HEIC: save it as JPEG first."
      : "Choose a JPEG, PNG, WebP, AVIF or GIF file that is not damaged.";
    throw new Error(`${file.name ? `“${file.name}”` : "What was given"} cannot be read as a photo. ${advice}`);
  }
}

/** Pixels {data RGBA, width, height, channels: 4} of an ImageBitmap or a video's frame, which is closed. */
export function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  const [, context] = surface(width, height, { alpha: false });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { data: context.getImageData(0, 0, width, height).data, width, height, channels: 4 };
}

/** The pixels of an image file. Throws an Error of one sentence or two. */
export async function readPhoto(file) {
  const bitmap = await decoded(file);
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    throw new Error(`The photo has more than ${MOST_PIXELS / 1e6} megapixels. Make it smaller first.`);
  }
  return pixelsOf(bitmap);
}

/** A bitmap to show of RGBA pixels, its longer side at most `longest`. */
export async function bitmapOf({ data, width, height }, longest = Infinity) {
  const image = new ImageData(data, width, height);
  const [w, h] = sizeWithin(width, height, longest);
  if (w === width) return createImageBitmap(image);
  return createImageBitmap(image, { resizeWidth: w, resizeHeight: h, resizeQuality: "high" });
}

/** [width, height] of the same shape, the longer side at most `longest`. */
export function sizeWithin(width, height, longest) {
  const scale = Math.min(1, longest / Math.max(width, height));
  return [width, height].map((side) => Math.max(1, Math.round(side * scale)));
}
