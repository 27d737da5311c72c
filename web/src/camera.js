// The camera: frames as bitmaps, one after the other, until it is stopped.

const SIZE = { width: { ideal: 640 }, height: { ideal: 480 } };

const REASONS = {
  NotAllowedError: "The camera was not allowed. Allow it for this page in the browser, then try again.",
  NotFoundError: "No camera was found. Connect one, or choose a photo.",
  NotReadableError: "The camera is in use by another program. Close that, then try again.",
};

export class Camera {
  /** Open the camera. Throws an Error of a sentence. */
  static async open() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("This browser gives pages no camera here. Choose a photo, or open the page by https.");
    }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { ...SIZE, facingMode: "user" }, audio: false });
      const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
      await video.play();
      return new Camera(stream, video);
    } catch (error) {
      throw new Error(REASONS[error.name] ?? "The camera could not be started. Choose a photo, or try another browser.");
    }
  }

  constructor(stream, video) {
    Object.assign(this, { stream, video, open: true });
    stream.getVideoTracks()[0].addEventListener("ended", () => this.stop());
  }

  /** Whether it looks at who holds it, whose picture is then shown as in a mirror. */
  get facesUser() {
    return this.stream.getVideoTracks()[0].getSettings().facingMode !== "environment";
  }

  /** The picture of now. */
  frame() {
    return createImageBitmap(this.video);
  }

  stop() {
    this.open = false;
    for (const track of this.stream.getTracks()) track.stop();
    this.video.srcObject = null;
  }
}

/** Frames a second over the last second or so. */
export class Rate {
  #times = [];

  /** Count a frame; gives the rate. */
  count(now = performance.now()) {
    this.#times.push(now);
    while (this.#times.length > 2 && this.#times[0] < now - 1500) this.#times.shift();
    const span = now - this.#times[0];
    return span ? ((this.#times.length - 1) * 1000) / span : 0;
  }
}
