// A WebAssembly file's functions, whose bodies are replaced one by one; everything else stays as it is.

const CODE = 10;
const I32_CONST = 0x41;
const I32_STORE8 = 0x3a;
const UNREACHABLE = Uint8Array.of(0, 0x00, 0x0b); // no locals, a trap, the end

/** An unsigned LEB128 number at a place of bytes: [value, the place behind it]. */
function readNumber(bytes, at) {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++];
    value += (byte & 127) * scale;
    if (byte < 128) return [value, at];
  }
}

function number(value) {
  const bytes = [];
  do {
    bytes.push((value % 128) | (value > 127 ? 128 : 0));
    value = Math.floor(value / 128);
  } while (value);
  return bytes;
}

function signedNumber(value) {
  const bytes = [];
  for (;;) {
    const byte = value & 127;
    value >>= 7;
    if ((value === 0 && !(byte & 64)) || (value === -1 && byte & 64)) return [...bytes, byte];
    bytes.push(byte | 128);
  }
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The bodies of the file's own functions, in their order. */
export function bodiesOf(file) {
  const { start } = codeOf(file);
  let [count, at] = readNumber(file, start);
  return Array.from({ length: count }, () => {
    const [size, from] = readNumber(file, at);
    at = from + size;
    return file.subarray(from, at);
  });
}

/** Where the section of code begins, with its head and without, and where it ends. */
function codeOf(file) {
  for (let at = 8; at < file.length; ) {
    const [size, start] = readNumber(file, at + 1);
    if (file[at] === CODE) return { head: at, start, end: start + size };
    at = start + size;
  }
  throw new Error("The file holds no code.");
}

/** The file with other bodies. */
export function withBodies(file, bodies) {
  const { head, end } = codeOf(file);
  const content = joined([number(bodies.length), ...bodies.flatMap((body) => [number(body.length), body])]);
  return joined([file.subarray(0, head), [CODE], number(content.length), content, file.subarray(end)]);
}

/** A body that first writes a 1 into memory. */
export function recording(body, address) {
  let [groups, at] = readNumber(body, 0);
  for (; groups; groups--) at = readNumber(body, at)[1] + 1; // so many locals of a type, of one byte
  const record = [I32_CONST, ...signedNumber(address), I32_CONST, 1, I32_STORE8, 0, 0];
  return joined([body.subarray(0, at), record, body.subarray(at)]);
}

/** A body that traps. */
export const trap = () => UNREACHABLE;
