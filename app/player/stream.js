// One H.264 file, the true frame of every time above its reconstruction, decoded frame by frame
// (WebCodecs): no server is asked, and a picture is known by its index, not by a clock.

const KEPT_PIXELS = 6e7; // of decoded frames, about 90 MB

class Stream {
  // `shown(frame)` is called with each frame that stands, `played(frame)` with each that runs past.
  constructor({ shown, played, failed }) {
    this.on = { shown, played, failed };
    this.gone = new AbortController();
    this.frames = new Map(); // index → VideoFrame
    this.paused = true;
  }

  async open({ url, layout, samples }) {
    this.forget();
    Object.assign(this, { url, layout, samples });
    try {
      if (!window.VideoDecoder) throw new Error("this browser cannot decode frames (WebCodecs)");
      const answer = await fetch(url, { signal: this.gone.signal });
      if (!answer.ok) throw new Error(answer.statusText);
      const blob = await answer.blob();
      const bytes = new Uint8Array(await blob.arrayBuffer());
      if (this.url !== url) return;
      Object.assign(this, { blob, bytes });
      this.decoder = new VideoDecoder({
        output: (picture) => this.take(picture),
        error: (error) => this.fail(error),
      });
      const description = Uint8Array.from(atob(samples.description), (c) => c.charCodeAt(0));
      this.decoder.configure({ codec: samples.codec, description, optimizeForLatency: true });
      if (this.frame !== undefined) this.seek(this.frame);
    } catch (error) {
      this.fail(error);
    }
  }

  forget() {
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    for (const picture of this.frames.values()) picture.close();
    this.frames.clear();
    this.decoder = this.bytes = null;
    this.current = null; // index of the frame that `part` gives
  }

  fail(error) {
    if (!this.gone.signal.aborted) this.on.failed(error.message);
  }

  get count() { return this.samples.offsets.length; }
  get ready() { return this.frames.has(this.current); }

  seek(frame) {
    frame = Math.min(frame, this.count - 1); // beyond the end nothing would ever arrive
    this.ahead = frame < this.frame ? -1 : 1;
    this.frame = frame;
    this.stand();
    this.fill();
  }

  stand() {
    if (!this.paused || !this.frames.has(this.frame)) return;
    this.current = this.frame;
    this.on.shown(this.frame);
  }

  // --- decoding: a group of pictures at a time, the one asked for first, then its neighbour -------

  async fill() {
    if (this.busy || !this.bytes) return;
    this.busy = true;
    const { decoder } = this;
    try {
      for (let key; decoder === this.decoder && (key = this.missing()) !== null; )
        await this.decode(key);
    } catch (error) {
      if (decoder === this.decoder) this.fail(error);
    }
    this.busy = false;
    if (decoder !== this.decoder) this.fill();
  }

  missing() {
    const [first, last] = this.group(this.frame);
    if (!this.frames.has(this.frame)) return first;
    const next = this.ahead > 0 ? last : first - 1;
    return next >= 0 && next < this.count && !this.frames.has(next) ? this.group(next)[0] : null;
  }

  // Of the group that a frame is in: its key frame, and the next group's.
  group(frame) {
    const { keys } = this.samples;
    let at = keys.length - 1;
    while (keys[at] > frame) at--;
    return [keys[at], keys[at + 1] ?? this.count];
  }

  async decode(key) {
    const { offsets, sizes } = this.samples;
    const [first, end] = this.group(key);
    this.keep([first, end]);
    for (let i = first; i < end; i++) {
      const data = this.bytes.subarray(offsets[i], offsets[i] + sizes[i]);
      this.decoder.decode(new EncodedVideoChunk({ type: i === first ? "key" : "delta", timestamp: i, data }));
    }
    await this.decoder.flush();
  }

  take(picture) {
    this.frames.get(picture.timestamp)?.close();
    this.frames.set(picture.timestamp, picture);
    if (picture.timestamp === this.frame) this.stand();
  }

  // Let go of what is farthest from the frame asked for, so that a new group has room.
  keep([first, end]) {
    const most = Math.max(48, KEPT_PIXELS / (this.layout.width * this.layout.height));
    const far = [...this.frames.keys()].sort((a, b) => Math.abs(b - this.frame) - Math.abs(a - this.frame));
    for (const index of far) {
      if (this.frames.size + end - first <= most) break;
      if (index === this.current) continue;
      this.frames.get(index).close();
      this.frames.delete(index);
    }
  }

  // --- playing ------------------------------------------------------------------------------

  play() {
    this.paused = false;
    this.ahead = 1;
    let [from, since] = [this.frame, performance.now()];
    const tick = (now) => {
      if (this.paused || this.gone.signal.aborted) return;
      const due = Math.min(from + Math.floor(((now - since) * this.layout.fps) / 1000), this.count - 1);
      if (due !== this.frame && this.frames.has(due)) {
        this.frame = this.current = due;
        this.on.played(due);
      } else if (due !== this.frame) [from, since] = [this.frame, now]; // wait for the decoder
      this.fill();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  pause() { this.paused = true; }

  // Arguments of drawImage: where the true frame, or the reconstruction, lies in the picture.
  part(name) {
    const { shown, scale, height } = this.layout;
    const [tall, wide] = shown.map((side) => side * scale);
    return [this.frames.get(this.current), 0, name === "true" ? 0 : height / 2, wide, tall];
  }

  destroy() {
    this.gone.abort();
    this.forget();
  }
}
