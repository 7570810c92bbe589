// One H.264 stream, the true frame above its reconstruction: seeking, playing and comparing happen
// here, without the server. A frame is drawn only once the stream says that it is the one asked for.

const VIEWS = { side: "side by side", wipe: "wipe", difference: "difference", flicker: "flicker" };
const REST = 250; // ms without a change until the server is told which frame is looked at
const players = new WeakMap();

export default function (component) {
  const { parentElement, data } = component;
  let player = players.get(parentElement);
  if (!player) players.set(parentElement, (player = new Player(parentElement)));
  player.update(data, component);
  return () => {
    player.destroy();
    players.delete(parentElement);
  };
}

class Player {
  constructor(parent) {
    this.root = parent.querySelector(".player");
    this.at = (name) => this.root.querySelector(name);
    this.picture = this.at(".picture");
    this.line = this.at(".line");
    this.video = Object.assign(document.createElement("video"), {
      muted: true, playsInline: true, preload: "auto",
    });
    this.root.append(this.video);
    this.view = "side";
    this.split = 0.5; // where the wipe stands
    this.zoom = { scale: 1, x: 0.5, y: 0.5 };
    this.frame = 0; // asked for
    this.shown = -1; // drawn
    this.presented = -1; // by the browser
    this.wanted = null; // while a seek is under way
    this.flicker = 0;
    this.exact = new Map();
    this.gone = new AbortController();
    this.build();
  }

  build() {
    for (const [name, label] of Object.entries(VIEWS)) {
      const button = Object.assign(document.createElement("button"), { textContent: label });
      button.setAttribute("aria-pressed", name === this.view);
      button.onclick = () => this.look(name);
      button.dataset.view = name;
      this.at(".views").append(button);
    }
    const acts = {
      prev: () => this.go(this.frame - 1), next: () => this.go(this.frame + 1),
      play: () => this.toggle(), held: () => this.go(this.nextHeld()),
      worst: () => this.go(this.extreme(-1)), best: () => this.go(this.extreme(1)),
      in: () => this.magnify(1.5), out: () => this.magnify(1 / 1.5), fit: () => this.magnify(0),
    };
    for (const button of this.root.querySelectorAll("[data-do]"))
      button.onclick = () => acts[button.dataset.do]();
    this.at(".gain input").oninput = (event) => {
      this.at(".gain output").textContent = `${event.target.value}×`;
      this.draw();
    };
    this.at(".measure").onchange = () => this.drawLine();
    this.at(".save").onchange = (event) => {
      this.save(event.target.value);
      event.target.value = "";
    };
    const on = (target, name, act, options = {}) =>
      target.addEventListener(name, act, { ...options, signal: this.gone.signal });
    const keys = { ArrowLeft: "prev", ArrowRight: "next", " ": "play", h: "held" };
    on(this.root, "keydown", (event) => {
      if (event.target !== this.root && event.target.tagName !== "CANVAS" && event.key === " ") return;
      if (event.target.tagName === "INPUT" || event.target.tagName === "SELECT") return;
      if (event.key === "Home" || event.key === "End") this.go(event.key === "Home" ? 0 : 1e9);
      else if (keys[event.key]) acts[keys[event.key]]();
      else return;
      event.preventDefault();
    });
    on(this.line, "pointerdown", (event) => {
      this.line.setPointerCapture(event.pointerId);
      this.pause();
      this.scrub(event);
    });
    on(this.line, "pointermove", (event) => event.buttons && this.scrub(event));
    on(this.picture, "pointerdown", (event) => this.grab(event));
    on(this.picture, "pointermove", (event) => this.drag(event));
    on(this.picture, "pointerup", () => (this.held = null));
    on(this.picture, "wheel", (event) => {
      if (!event.ctrlKey && this.zoom.scale === 1 && event.deltaY > 0) return;
      event.preventDefault();
      this.magnify(event.deltaY < 0 ? 1.2 : 1 / 1.2);
    }, { passive: false });
    on(this.video, "seeked", () => setTimeout(() => this.arrive()));
    on(window, "nerv:go", (event) => this.go(event.detail));
    this.watch();
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.root);
    this.timer = setInterval(() => {
      if (this.view !== "flicker") return;
      this.flicker = 1 - this.flicker;
      this.draw();
    }, 400);
  }

  update(data, component) {
    this.tell = component.setStateValue;
    const fresh = !this.data || this.data.url !== data.url;
    const jump = !this.data || this.data.jump !== data.jump;
    this.data = data;
    this.root.style.setProperty("--held", data.colours.val);
    if (fresh) this.open(data.url);
    const options = Object.keys(data.measures);
    if (this.at(".measure").options.length !== options.length)
      this.at(".measure").replaceChildren(...options.map((name) => new Option(name, name)));
    if (data.exact) this.keep(data.exact);
    if (jump) this.go(data.frame);
    this.resize();
  }

  async open(url) {
    this.shown = this.presented = -1;
    this.wanted = null;
    this.exact.clear();
    this.at(".note").textContent = "loading…";
    try {
      const answer = await fetch(url, { signal: this.gone.signal });
      if (!answer.ok) throw new Error(answer.statusText);
      this.blob = await answer.blob();
      if (this.address) URL.revokeObjectURL(this.address);
      this.video.src = this.address = URL.createObjectURL(this.blob);
      await new Promise((done, failed) => {
        this.video.onloadeddata = done;
        this.video.onerror = () => failed(new Error("the browser cannot play the stream"));
      });
      this.at(".note").textContent = "";
      this.seek();
    } catch (error) {
      if (!this.gone.signal.aborted) this.at(".note").textContent = `no picture: ${error.message}`;
    }
  }

  // --- time ---------------------------------------------------------------------------------

  go(frame) {
    this.pause();
    this.frame = Math.max(0, Math.min(this.data.frames - 1, Math.round(frame)));
    this.seek();
    this.say();
    this.drawLine();
    this.rest();
  }

  // Every frame that the browser presents tells its time; only what was asked for is drawn.
  watch() {
    this.video.requestVideoFrameCallback((_, about) => {
      this.presented = Math.round(about.mediaTime * this.data.fps);
      if (this.video.paused) this.arrive();
      else this.played();
      if (!this.gone.signal.aborted) this.watch();
    });
  }

  seek() {
    if (this.wanted !== null || this.video.readyState < 2) return;
    if (this.presented === this.frame) return this.arrive();
    this.wanted = this.frame;
    this.video.currentTime = (this.frame + 0.5) / this.data.fps;
    clearTimeout(this.again);
    this.again = setTimeout(() => this.retry(), 400);
  }

  arrive() {
    if (this.presented === this.frame) {
      this.wanted = null;
      this.shown = this.frame;
      this.draw();
    } else if (this.wanted !== null && this.wanted !== this.frame && !this.video.seeking) this.retry();
  }

  retry() {
    if (this.wanted === null) return;
    this.wanted = null;
    this.seek();
  }

  toggle() {
    if (!this.video.paused) return this.pause();
    this.wanted = null;
    if (this.frame >= this.data.frames - 1) this.video.currentTime = 0;
    this.at('[data-do="play"]').textContent = "❚❚";
    this.video.play();
  }

  played() {
    this.shown = this.frame = this.presented;
    this.draw();
    this.say();
    this.drawLine();
    if (this.video.ended || this.frame >= this.data.frames - 1) this.pause();
  }

  pause() {
    if (this.video.paused) return;
    this.video.pause();
    this.at('[data-do="play"]').textContent = "▶";
    this.rest();
  }

  rest() {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      if (this.video.paused && this.told !== this.frame) this.tell("frame", (this.told = this.frame));
    }, REST);
  }

  scrub(event) {
    const box = this.line.getBoundingClientRect();
    this.go(((event.clientX - box.left) / box.width) * (this.data.frames - 1));
  }

  nextHeld() {
    const { split, frames } = this.data;
    for (let step = 1; step <= frames; step++)
      if (split[(this.frame + step) % frames] === "val") return (this.frame + step) % frames;
    return this.frame;
  }

  extreme(sign) {
    const values = this.data.psnr;
    return values.reduce((best, value, i) => (sign * value > sign * values[best] ? i : best), 0);
  }

  // --- pictures -----------------------------------------------------------------------------

  async keep({ frame, drawn, true: exactTrue }) {
    if (this.exact.has(frame)) return;
    const read = async (url) => url && createImageBitmap(await (await fetch(url)).blob());
    const found = { drawn: await read(drawn), true: await read(exactTrue) };
    this.exact.clear(); // one is enough
    this.exact.set(frame, found);
    this.draw();
  }

  source(name) {
    const { layout } = this.data;
    const exact = this.video.paused && this.exact.get(this.shown)?.[name];
    if (exact) return [exact, 0, 0, exact.width, exact.height];
    const [height, width] = layout.shown.map((side) => side * layout.scale);
    return [this.video, 0, name === "true" ? 0 : layout.height / 2, width, height];
  }

  panes() {
    const [h, w] = this.data.layout.shown;
    const width = this.picture.width;
    const beside = this.root.clientWidth > 640;
    if (this.view !== "side") return { height: (width * h) / w, true: [0, 0, width], drawn: [0, 0, width] };
    if (!beside) {
      const each = (width * h) / w;
      return { height: 2 * each, true: [0, 0, width], drawn: [0, each, width] };
    }
    return { height: (width / 2) * (h / w), true: [0, 0, width / 2], drawn: [width / 2, 0, width / 2] };
  }

  resize() {
    if (!this.data) return;
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.picture, this.line]) {
      const wide = Math.round(this.root.clientWidth * ratio);
      if (canvas.width !== wide) canvas.width = wide;
    }
    const tall = Math.round(this.panes().height);
    if (this.picture.height !== tall) this.picture.height = tall;
    this.line.height = 72 * ratio;
    this.draw();
    this.drawLine();
  }

  draw() {
    if (this.shown < 0 || this.video.readyState < 2) return;
    const tall = Math.round(this.panes().height);
    if (this.picture.height !== tall) this.picture.height = tall;
    const pen = this.picture.getContext("2d");
    const panes = this.panes();
    pen.imageSmoothingEnabled = this.zoom.scale < 3;
    if (this.view === "side") for (const name of ["true", "drawn"]) this.paint(pen, name, panes[name]);
    if (this.view === "flicker") this.paint(pen, this.flicker ? "drawn" : "true", panes.true);
    if (this.view === "wipe") {
      this.paint(pen, "true", panes.true);
      const edge = this.split * this.picture.width;
      pen.save();
      pen.beginPath();
      pen.rect(edge, 0, this.picture.width - edge, tall);
      pen.clip();
      this.paint(pen, "drawn", panes.drawn);
      pen.restore();
      pen.fillStyle = "#fff";
      pen.fillRect(edge - 1, 0, 2, tall);
    }
    if (this.view === "difference") {
      this.paint(pen, "true", panes.true);
      pen.globalCompositeOperation = "difference";
      this.paint(pen, "drawn", panes.drawn);
      pen.globalCompositeOperation = "lighter"; // |a - b| added to itself: the gain
      let left = Number(this.at(".gain input").value);
      for (let have = 1; have < left; have *= 2) {
        pen.globalAlpha = Math.min(1, (left - have) / have);
        pen.drawImage(this.picture, 0, 0);
      }
      pen.globalAlpha = 1;
      pen.globalCompositeOperation = "source-over";
    }
    this.label(pen, panes);
    this.root.dataset.shown = this.shown;
    this.root.dataset.exact = Boolean(this.exact.get(this.shown));
  }

  paint(pen, name, [x, y, wide]) {
    const [image, left, top, width, height] = this.source(name);
    const { scale } = this.zoom;
    const [part, rest] = [1 / scale, 1 - 1 / scale];
    const tall = (wide * height) / width;
    pen.drawImage(
      image, left + this.zoom.x * rest * width, top + this.zoom.y * rest * height,
      width * part, height * part, x, y, wide, tall,
    );
  }

  label(pen, panes) {
    const ratio = window.devicePixelRatio || 1;
    pen.font = `${12 * ratio}px system-ui, sans-serif`;
    const tag = (text, x, y) => {
      const wide = pen.measureText(text).width + 12 * ratio;
      pen.fillStyle = "#000a";
      pen.fillRect(x + 6 * ratio, y + 6 * ratio, wide, 20 * ratio);
      pen.fillStyle = "#fff";
      pen.fillText(text, x + 12 * ratio, y + 20 * ratio);
    };
    if (this.view === "side") {
      tag("true", panes.true[0], panes.true[1]);
      tag("reconstruction", panes.drawn[0], panes.drawn[1]);
    } else if (this.view === "wipe") tag("true | reconstruction", 0, 0);
    else if (this.view === "flicker") tag(this.flicker ? "reconstruction" : "true", 0, 0);
    else tag("|true − reconstruction|", 0, 0);
  }

  look(name) {
    this.view = name;
    for (const button of this.root.querySelectorAll("[data-view]"))
      button.setAttribute("aria-pressed", button.dataset.view === name);
    this.at(".gain").hidden = name !== "difference";
    this.resize();
  }

  magnify(factor) {
    this.zoom.scale = factor ? Math.max(1, Math.min(16, this.zoom.scale * factor)) : 1;
    if (this.zoom.scale === 1) this.zoom = { scale: 1, x: 0.5, y: 0.5 };
    this.at('[data-do="fit"]').textContent = `${this.zoom.scale.toFixed(1).replace(".0", "")}×`;
    this.draw();
  }

  grab(event) {
    this.picture.setPointerCapture(event.pointerId);
    this.held = { x: event.clientX, y: event.clientY, zoom: { ...this.zoom } };
    if (this.view === "wipe" && this.zoom.scale === 1) this.drag(event);
  }

  drag(event) {
    if (!this.held) return;
    const box = this.picture.getBoundingClientRect();
    if (this.view === "wipe" && this.zoom.scale === 1) {
      this.split = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    } else if (this.zoom.scale > 1) {
      const wide = (box.width * this.panes().true[2]) / this.picture.width;
      const move = (from, now, side) => (from - now) / side / (this.zoom.scale - 1);
      const held = this.held;
      const inside = (value) => Math.max(0, Math.min(1, value));
      this.zoom.x = inside(held.zoom.x + move(held.x, event.clientX, wide));
      this.zoom.y = inside(held.zoom.y + move(held.y, event.clientY, box.height));
    }
    this.draw();
  }

  // --- figures ------------------------------------------------------------------------------

  say() {
    const { data, frame } = this;
    const held = data.split[frame] === "val";
    const parts = [
      `<b>frame ${frame}</b>`,
      `t ${(frame / Math.max(data.frames - 1, 1)).toFixed(3)}`,
      `${data.seconds[frame].toFixed(2)} s`,
      held ? '<span class="held">◆ held out</span>' : data.split[frame] === "train" ? "● seen" : "unused",
    ];
    for (const [name, values] of Object.entries(data.measures))
      if (values[frame] !== null) parts.push(`${name} ${values[frame].toFixed(name.includes("dB") ? 2 : 3)}`);
    this.at(".figures").innerHTML = parts.join(" · ");
    this.line.setAttribute("aria-valuenow", frame);
    this.line.setAttribute("aria-valuemax", data.frames - 1);
  }

  drawLine() {
    const { data, line } = this;
    if (!data || !line.width) return;
    const pen = line.getContext("2d");
    const ratio = window.devicePixelRatio || 1;
    const name = this.at(".measure").value || Object.keys(data.measures)[0];
    const values = data.measures[name];
    const real = values.filter((value) => value !== null);
    const [low, high] = [Math.min(...real), Math.max(...real)];
    const x = (i) => 6 * ratio + (i / Math.max(data.frames - 1, 1)) * (line.width - 12 * ratio);
    const y = (value) => line.height - 10 * ratio - ((value - low) / (high - low || 1)) * (line.height - 24 * ratio);
    const style = getComputedStyle(this.root);
    pen.clearRect(0, 0, line.width, line.height);
    pen.strokeStyle = style.color + "";
    pen.globalAlpha = 0.35;
    pen.lineWidth = ratio;
    pen.beginPath();
    values.forEach((value, i) => value !== null && pen.lineTo(x(i), y(value)));
    pen.stroke();
    pen.globalAlpha = 1;
    const size = 2.2 * ratio;
    values.forEach((value, i) => {
      if (value === null) return;
      pen.fillStyle = data.colours[data.split[i]];
      pen.beginPath();
      if (data.split[i] === "val") {
        pen.moveTo(x(i), y(value) - 1.5 * size);
        pen.lineTo(x(i) + 1.5 * size, y(value));
        pen.lineTo(x(i), y(value) + 1.5 * size);
        pen.lineTo(x(i) - 1.5 * size, y(value));
      } else pen.arc(x(i), y(value), size, 0, 7);
      pen.fill();
    });
    pen.fillStyle = style.color;
    pen.font = `${11 * ratio}px system-ui, sans-serif`;
    pen.fillText(`${name}: ${low.toFixed(2)} to ${high.toFixed(2)}`, 8 * ratio, 13 * ratio);
    pen.fillStyle = style.getPropertyValue("--st-primary-color") || style.color;
    pen.fillRect(x(this.frame) - ratio, 0, 2 * ratio, line.height);
  }

  async save(what) {
    if (!what) return;
    const name = `frame_${String(this.shown).padStart(5, "0")}_${what}`;
    if (what === "clip") return this.offer(this.blob, "comparison.mp4");
    const names = what === "pair" ? ["true", "drawn"] : [what];
    const sources = names.map((each) => this.source(each));
    const [, , , width, height] = sources[0];
    const canvas = new OffscreenCanvas(width * names.length, height);
    sources.forEach((source, i) =>
      canvas.getContext("2d").drawImage(...source, i * width, 0, width, height));
    this.offer(await canvas.convertToBlob(), `${name}.png`);
  }

  offer(blob, name) {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  destroy() {
    this.gone.abort();
    this.sizes.disconnect();
    clearInterval(this.timer);
    clearTimeout(this.resting);
    clearTimeout(this.again);
    this.video.pause();
    this.video.removeAttribute("src");
    if (this.address) URL.revokeObjectURL(this.address);
  }
}
