// The worker, as the page sees it: a function for each of its tasks that promises the outcome.

/** Start the worker. `onProgress` is told how many bytes of the network and its runtime have arrived. */
export function startEngine(onProgress) {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let last = 0;

  worker.onmessage = ({ data }) => {
    if (data.progress) return onProgress(data.progress.arrived);
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error === undefined) resolve(data.result);
    else reject(new Error(data.error));
  };
  worker.onerror = () => {
    const error = new Error("This page's worker did not start. Reload the page, or use a newer browser.");
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };

  return (task, given = {}, moved = []) => {
    return new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      worker.postMessage({ id: last, task, ...given }, moved);
    });
  };
}
