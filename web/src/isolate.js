// Several threads need a page that is isolated from others. Where the host sends no headers for that, a service worker
// (public/isolation.js) adds them; the page then starts once more.

const PATIENCE = 3000; // ms for the service worker; one thread now is better than several never
const TRIED = "isolation-tried"; // once in each tab: where it does not help, one thread does

/** Make the page isolated if that can be done. True where it is about to start once more. */
export async function isolate() {
  if (self.crossOriginIsolated || !self.isSecureContext || !navigator.serviceWorker) return false;
  try {
    if (sessionStorage.getItem(TRIED)) return false;
    sessionStorage.setItem(TRIED, "1");
    const registered = navigator.serviceWorker.register("./isolation.js").then(() => navigator.serviceWorker.ready);
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE));
    if (!(await Promise.race([registered, late]))) return false;
    location.reload();
    return true;
  } catch {
    return false; // a browser that stores nothing: one thread
  }
}
