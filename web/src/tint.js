// Other colors for hair and lips, the texture kept: light and shade stay, as multiples of the region's mean light.

const SHIFT = 0.85; // of the way to the chosen color's light: what is left keeps black hair from becoming a lamp
const STRANDS = 0.85; // how much of the contrast between strands stays: all of it, under a light color, looks burnt

const light = (red, green, blue) => 0.299 * red + 0.587 * green + 0.114 * blue;

/** The mean light of RGBA pixels where they are covered, 0 to 255, or 0 where none is. */
function meanLight(data, coverage) {
  let sum = 0;
  let weight = 0;
  for (let i = 0, at = 0; i < coverage.length; i++, at += 4) {
    if (!coverage[i]) continue;
    sum += coverage[i] * light(data[at], data[at + 1], data[at + 2]);
    weight += coverage[i];
  }
  return weight ? sum / weight : 0;
}

/** Color RGBA pixels, in place, where they are covered (0 to 255 each), `strength` (0 to 1) parts of it. */
export function tint(data, coverage, [red, green, blue], strength) {
  const mean = Math.max(meanLight(data, coverage), 1);
  const target = light(red, green, blue);
  const level = Math.max(mean + (target - mean) * SHIFT, 8) / Math.max(target, 8);
  const color = [red * level, green * level, blue * level];
  const gains = Float32Array.from({ length: 256 }, (_, value) => (Math.max(value, 1) / mean) ** STRANDS);
  for (let i = 0, at = 0; i < coverage.length; i++, at += 4) {
    if (!coverage[i]) continue;
    const share = (coverage[i] / 255) * strength;
    const gain = gains[Math.round(light(data[at], data[at + 1], data[at + 2]))];
    for (let c = 0; c < 3; c++) data[at + c] += (Math.min(color[c] * gain, 255) - data[at + c]) * share;
  }
}
