// A file of this page, with progress while it arrives.

/** The bytes of a file. `onBytes` is told how many have arrived, after each part. */
export async function download(url, onBytes) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new Error("A part of this page did not arrive. Check the connection, then reload the page.");
  }
  if (!response.ok) throw new Error(`A part of this page is missing on its server (${response.status}). Reload later.`);
  const parts = [];
  let length = 0;
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    length += part.value.length;
    onBytes(part.value.length);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
