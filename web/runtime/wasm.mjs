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

// --- calls --------------------------------------------------------------------------------------

const [IMPORT, EXPORT] = [2, 7];

/** The place behind the head of a section, where its count of entries is. */
function sectionOf(file, id) {
  for (let at = 8; ; ) {
    const [size, start] = readNumber(file, at + 1);
    if (file[at] === id) return start;
    at = start + size;
  }
}

/** The numbers of the functions that a file exports. */
export function exportedFunctions(file) {
  let [count, at] = readNumber(file, sectionOf(file, EXPORT));
  const numbers = [];
  for (; count; count--) {
    const [length, start] = readNumber(file, at);
    const kind = file[start + length];
    const [number, next] = readNumber(file, start + length + 1);
    if (kind === 0) numbers.push(number);
    at = next;
  }
  return numbers;
}

/** How many functions are imported: the file's own are numbered behind them. */
export function importedFunctions(file) {
  let [count, at] = readNumber(file, sectionOf(file, IMPORT));
  let functions = 0;
  for (; count; count--) {
    for (let name = 0; name < 2; name++) {
      const [length, start] = readNumber(file, at);
      at = start + length;
    }
    const kind = file[at++];
    if (kind === 0) functions++;
    if (kind === 1 || kind === 3) at++; // the type of a table's elements, of a global
    if (kind === 4) at++;
    if (kind === 3) at++;
    else if (kind === 1 || kind === 2) {
      const limits = file[at++];
      for (let i = 0; i <= (limits & 1); i++) at = readNumber(file, at)[1];
    } else at = readNumber(file, at)[1];
  }
  return functions;
}

/** The numbers of the functions that a body calls by name, not through a table. */
export function calledBy(body) {
  const called = new Set();
  let [groups, at] = readNumber(body, 0);
  const skip = (count) => {
    for (; count; count--) while (body[at++] & 128);
  };
  for (; groups; groups--) at = readNumber(body, at)[1] + 1;
  while (at < body.length) {
    const code = body[at++];
    if (code === 0x10 || code === 0x12) {
      const [number, next] = readNumber(body, at);
      called.add(number);
      at = next;
    } else if (code === 0x0e) {
      const [count, next] = readNumber(body, at);
      at = next;
      skip(count + 1);
    } else if (code === 0x43) at += 4;
    else if (code === 0x44) at += 8;
    else if (code >= 0x28 && code <= 0x3e) skip(2);
    else if (code === 0x11 || code === 0x13) skip(2);
    else if (code === 0xfc || code === 0xfd || code === 0xfe) {
      const [more, next] = readNumber(body, at);
      at = next;
      if (code === 0xfc) skip([8, 10, 12, 14].includes(more) ? 2 : more >= 8 ? 1 : 0);
      else if (code === 0xfe) more === 3 ? at++ : skip(2);
      else if (more === 12 || more === 13) at += 16;
      else if (more <= 11 || more === 92 || more === 93) skip(2);
      else if (more >= 84 && more <= 91) {
        skip(2);
        at++;
      } else if (more >= 21 && more <= 34) at++;
    } else if (ONE_NUMBER.has(code)) skip(1);
    else if (code === 0x1c) {
      const [count, next] = readNumber(body, at);
      at = next + count;
    } else if (!(code <= 0x1b || (code >= 0x45 && code <= 0xc4) || code === 0xd1)) {
      throw new Error(`The runtime has an instruction ${code.toString(16)} that is not known here.`);
    }
  }
  return called;
}

/** Instructions that are followed by one number: blocks, branches, exceptions, locals and globals, constants, tables. */
const ONE_NUMBER = new Set([
  0x02, 0x03, 0x04, 0x06, 0x07, 0x08, 0x09, 0x0c, 0x0d, 0x18, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x3f, 0x40, 0x41, 0x42,
  0xd0, 0xd2,
]);
