// One H.264 file with the true frame above its reconstruction, decoded frame by frame with
// WebCodecs: seeking needs no server, and frames are addressed by index, not by time.

const KEPT_PIXELS = 6e7; // of decoded frames in memory, about 90 MB

class Stream {
  // `onSeek(frame)` is called when a requested frame is ready while paused, `onPlay(frame)` for
  // each frame of playback, `onError(message)` if the file cannot be decoded.
  constructor({ onSeek, onPlay, onError }) {
    Object.assign(this, { onSeek, onPlay, onError });
    this.gone = new AbortController();
    this.frames = new Map(); // index → VideoFrame
    this.paused = true;
  }

  // `places` is the URL of a file: the offset of each coded frame (float64), then its size (uint32).
  async open({ url, places, layout, samples }) {
    this.close();
    Object.assign(this, { url, layout, samples });
    try {
      if (!window.VideoDecoder) throw new Error("this browser does not support WebCodecs");
      const [blob, table] = await Promise.all([this.fetched(url), this.fetched(places)]);
      const [bytes, lists] = [new Uint8Array(await blob.arrayBuffer()), await table.arrayBuffer()];
      if (this.url !== url) return;
      const offsets = new Float64Array(lists, 0, this.count);
      const sizes = new Uint32Array(lists, 8 * this.count, this.count);
      Object.assign(this, { blob, bytes, offsets, sizes });
      this.decoder = new VideoDecoder({
        output: (picture) => this.receive(picture),
        error: (error) => this.fail(error),
      });
      const description = Uint8Array.from(atob(samples.description), (c) => c.charCodeAt(0));
      this.decoder.configure({ codec: samples.codec, description, optimizeForLatency: true });
      if (this.frame !== undefined) this.seek(this.frame);
    } catch (error) {
      this.fail(error);
    }
  }

  async fetched(url) {
    const answer = await fetch(url, { signal: this.gone.signal });
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.blob();
  }

  close() {
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    for (const picture of this.frames.values()) picture.close();
    this.frames.clear();
    this.decoder = this.bytes = null;
    this.current = null; // index of the frame that `part` returns
  }

  fail(error) {
    if (!this.gone.signal.aborted) this.onError(error.message);
  }

  get count() { return this.layout.frames; }
  get ready() { return this.frames.has(this.current); }

  seek(frame) {
    frame = Math.min(frame, this.count - 1); // the decoder has no later frame
    this.ahead = frame < this.frame ? -1 : 1;
    this.frame = frame;
    this.showRequested();
    this.fill();
  }

  showRequested() {
    if (!this.paused || !this.frames.has(this.frame)) return;
    this.current = this.frame;
    this.onSeek(this.frame);
  }

  // --- decoding: one group of pictures at a time, the requested one first, then its neighbour -----

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

  // The key frame of the group that contains a frame, and the next group's key frame.
  group(frame) {
    const { keys } = this.samples;
    let at = keys.length - 1;
    while (keys[at] > frame) at--;
    return [keys[at], keys[at + 1] ?? this.count];
  }

  async decode(key) {
    const { offsets, sizes } = this;
    const [first, end] = this.group(key);
    this.makeRoom([first, end]);
    for (let i = first; i < end; i++) {
      const data = this.bytes.subarray(offsets[i], offsets[i] + sizes[i]);
      this.decoder.decode(new EncodedVideoChunk({ type: i === first ? "key" : "delta", timestamp: i, data }));
    }
    await this.decoder.flush();
  }

  receive(picture) {
    this.frames.get(picture.timestamp)?.close();
    this.frames.set(picture.timestamp, picture);
    if (picture.timestamp === this.frame) this.showRequested();
  }

  // Delete the frames farthest from the requested one, to make room for a new group.
  makeRoom([first, end]) {
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
        this.onPlay(due);
      } else if (due !== this.frame) [from, since] = [this.frame, now]; // wait for the decoder
      this.fill();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  pause() { this.paused = true; }

  // Arguments of drawImage: the part of the picture with the true frame or the reconstruction.
  part(name) {
    const { shown, scale, height } = this.layout;
    const [tall, wide] = shown.map((side) => side * scale);
    return [this.frames.get(this.current), 0, name === "true" ? 0 : height / 2, wide, tall];
  }

  destroy() {
    this.gone.abort();
    this.close();
  }
}
