// One H.264 file, the true frame of every time above its reconstruction, in a hidden video.
// Seeking happens here, without the server; a frame counts as shown only once the browser says
// that it presents that very one.

class Stream {
  // `shown(frame)` is called with each frame that stands, `played(frame)` with each that runs past.
  constructor(root, { shown, played, failed }) {
    this.on = { shown, played, failed };
    this.video = Object.assign(document.createElement("video"), {
      muted: true, playsInline: true, preload: "auto",
    });
    root.append(this.video);
    this.gone = new AbortController();
    this.forget();
    this.video.addEventListener("seeked", () => setTimeout(() => this.arrive()),
      { signal: this.gone.signal });
    this.watch();
  }

  forget() {
    this.presented = -1; // by the browser
    this.wanted = null; // while a seek is under way
  }

  get ready() { return this.video.readyState >= 2; }
  get paused() { return this.video.paused; }

  async open(url, layout) {
    this.forget();
    Object.assign(this, { url, layout });
    try {
      const answer = await fetch(url, { signal: this.gone.signal });
      if (!answer.ok) throw new Error(answer.statusText);
      const blob = await answer.blob();
      if (this.url !== url) return;
      if (this.address) URL.revokeObjectURL(this.address);
      this.blob = blob;
      this.video.src = this.address = URL.createObjectURL(blob);
      await new Promise((done, failed) => {
        this.video.onloadeddata = done;
        this.video.onerror = () => failed(new Error("the browser cannot play the stream"));
      });
      if (this.frame !== undefined) this.seek(this.frame);
    } catch (error) {
      if (!this.gone.signal.aborted) this.on.failed(error.message);
    }
  }

  // Every frame that the browser presents tells its time.
  watch() {
    this.video.requestVideoFrameCallback((_, about) => {
      this.presented = Math.round(about.mediaTime * this.layout.fps);
      if (this.paused) this.arrive();
      else this.on.played((this.frame = this.presented));
      if (!this.gone.signal.aborted) this.watch();
    });
  }

  seek(frame) {
    this.frame = frame;
    if (this.wanted !== null || !this.ready) return;
    if (this.presented === frame) return this.arrive();
    this.wanted = frame;
    this.video.currentTime = (frame + 0.5) / this.layout.fps;
    clearTimeout(this.again);
    this.again = setTimeout(() => this.retry(), 400);
  }

  arrive() {
    if (this.presented === this.frame) {
      this.wanted = null;
      this.on.shown(this.frame);
    } else if (this.wanted !== null && this.wanted !== this.frame && !this.video.seeking) this.retry();
  }

  retry() {
    if (this.wanted === null) return;
    this.wanted = null;
    this.seek(this.frame);
  }

  play() {
    this.wanted = null;
    this.video.play();
  }

  pause() { this.video.pause(); }

  rewind() { this.video.currentTime = 0; }

  // Arguments of drawImage: where the true frame, or the reconstruction, lies in the video.
  part(name) {
    const { shown, scale, height } = this.layout;
    const [tall, wide] = shown.map((side) => side * scale);
    return [this.video, 0, name === "true" ? 0 : height / 2, wide, tall];
  }

  destroy() {
    this.gone.abort();
    clearTimeout(this.again);
    this.video.pause();
    this.video.removeAttribute("src");
    if (this.address) URL.revokeObjectURL(this.address);
  }
}
