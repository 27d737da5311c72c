// What an ONNX file says of itself: the texts of its metadata_props, read from the file's bytes.
//
// ONNX Runtime's web build does not hand them out. A file is a protobuf: fields of a number, a wire type and a value.

const METADATA_PROPS = 14; // field of ModelProto
const [KEY, VALUE] = [1, 2]; // fields of StringStringEntryProto

/** The fields of bytes, as [number, value]: bytes of those with a length, null of the others, which are passed over. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128 || byte === undefined) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const type = tag & 7;
    let value = null;
    if (type === 0) varint();
    else if (type === 1) at += 8;
    else if (type === 5) at += 4;
    else if (type === 2) {
      const length = varint();
      value = bytes.subarray(at, at + length);
      at += length;
    } else throw new Error("The network's file is damaged. Reload the page.");
    yield [Math.floor(tag / 8), value];
  }
}

/** The facts of an ONNX file by their names, as texts. */
export function factsOf(bytes) {
  const facts = {};
  const decoder = new TextDecoder();
  for (const [number, value] of fields(bytes)) {
    if (number !== METADATA_PROPS) continue;
    const entry = Object.fromEntries(fields(value));
    facts[decoder.decode(entry[KEY])] = decoder.decode(entry[VALUE] ?? new Uint8Array());
  }
  return facts;
}
