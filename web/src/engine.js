// The worker, as the page sees it: a function for each of its tasks that promises the outcome.
//
// It starts with the small runtime (runtime/), which lacks what the graphs were never seen to need. Should they need it
// after all, or not come to an end, a new worker starts with the whole one, and does what was being done.

const PATIENCE = 30_000; // ms for a photo or a frame, which take a few hundred: a thread that trapped keeps all waiting
const TIMED = new Set(["parse", "frame"]);

/** Start the worker. `onProgress` is told how many bytes have arrived, `onStart` which runtime it starts with. */
export function startEngine(onProgress, onStart) {
  const waiting = new Map();
  let worker = null;
  let small = true;
  let ready = false;
  let opened = null; // the task that opened the photo at hand
  let last = 0;

  function start(runtime) {
    worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: runtime });
    worker.onmessage = ({ data }) => answer(data);
    worker.onerror = () => {
      const error = new Error("This page's worker did not start. Reload the page, or use a newer browser.");
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    };
    small = runtime === "small";
    onStart(runtime);
  }

  function answer({ progress, trapped, id, result, error }) {
    if (progress) return onProgress(progress.arrived);
    if (trapped && small) return startAnew();
    const asked = waiting.get(id);
    if (!asked) return;
    waiting.delete(id);
    clearTimeout(asked.timer);
    ready ||= asked.task === "ready";
    if (error === undefined) asked.resolve(result);
    else asked.reject(new Error(error));
  }

  /** The whole runtime, and all again that is waited for. A frame that was given away is lost. */
  async function startAnew() {
    worker.terminate();
    ready = false;
    const tasks = [...waiting.values()];
    waiting.clear();
    start("whole");
    if (opened && !tasks.some(({ task }) => task === "open")) await send(opened.task, opened.given);
    for (const { task, given, moved, resolve, reject } of tasks) {
      if (moved.length) reject(new Error("The network had to start anew. Start the camera again."));
      else send(task, given, moved).then(resolve, reject);
    }
  }

  function send(task, given = {}, moved = []) {
    return new Promise((resolve, reject) => {
      const timed = ready && TIMED.has(task) && small;
      const timer = timed ? setTimeout(startAnew, PATIENCE) : 0;
      if (task === "open") opened = { task, given };
      waiting.set(++last, { task, given, moved, resolve, reject, timer });
      worker.postMessage({ id: last, task, ...given }, moved);
    });
  }

  start("small");
  return send;
}
