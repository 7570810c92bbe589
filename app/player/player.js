// True frames beside what the network draws: views, zoom, figures, and the line of time.

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
    this.stream = new Stream({
      shown: (frame) => this.stand(frame),
      played: (frame) => this.pass(frame),
      failed: (reason) => (this.at(".note").textContent = `no picture: ${reason}`),
    });
    this.view = "side";
    this.split = 0.5; // where the wipe stands
    this.zoom = { scale: 1, x: 0.5, y: 0.5 };
    this.frame = 0; // asked for
    this.shown = -1; // drawn
    this.flicker = 0;
    this.exact = new Map();
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
      left: () => this.wipe(-0.05), right: () => this.wipe(0.05),
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
      target.addEventListener(name, act, { ...options, signal: this.stream.gone.signal });
    const keys = {
      ArrowLeft: "prev", ArrowRight: "next", " ": "play", h: "held", "[": "left", "]": "right",
      "+": "in", "-": "out",
    };
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
    on(window, "nerv:go", (event) => this.go(event.detail));
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.root);
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.timer = setInterval(() => {
      if (this.view !== "flicker") return;
      this.flicker = 1 - this.flicker;
      this.draw();
    }, calm ? 2000 : 400);
  }

  update(data, component) {
    this.tell = component.setStateValue;
    const fresh = !this.data || this.data.url !== data.url;
    const jump = !this.data || this.data.jump !== data.jump;
    this.data = data;
    this.root.style.setProperty("--held", data.colours.held);
    if (fresh) this.open(data);
    const options = Object.keys(data.measures);
    if (this.at(".measure").options.length !== options.length)
      this.at(".measure").replaceChildren(...options.map((name) => new Option(name, name)));
    if (data.exact) this.keep(data.exact);
    if (jump) this.go(data.frame);
    this.resize();
  }

  async open(data) {
    this.shown = -1;
    this.exact.clear();
    this.at(".note").textContent = "loading…";
    await this.stream.open(data);
  }

  // --- time ---------------------------------------------------------------------------------

  go(frame) {
    this.pause();
    this.frame = Math.max(0, Math.min(this.data.frames - 1, Math.round(frame)));
    this.stream.seek(this.frame);
    this.say();
    this.drawLine();
    this.rest();
  }

  stand(frame) {
    this.shown = frame;
    this.at(".note").textContent = "";
    this.draw();
  }

  pass(frame) {
    this.shown = this.frame = frame;
    this.draw();
    this.say();
    this.drawLine();
    if (frame >= this.data.frames - 1) this.pause();
  }

  toggle() {
    if (!this.stream.paused) return this.pause();
    if (this.frame >= this.data.frames - 1) this.go(0);
    this.playing(true);
    this.stream.play();
  }

  pause() {
    if (this.stream.paused) return;
    this.stream.pause();
    this.playing(false);
    this.rest();
  }

  playing(now) {
    const button = this.at('[data-do="play"]');
    button.textContent = now ? "❚❚" : "▶";
    button.setAttribute("aria-label", now ? "Pause" : "Play");
    this.at(".figures").setAttribute("aria-live", now ? "off" : "polite");
  }

  rest() {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      if (this.stream.paused && this.told !== this.frame) this.tell("frame", (this.told = this.frame));
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
    const exact = this.stream.paused && this.exact.get(this.shown)?.[name];
    return exact ? [exact, 0, 0, exact.width, exact.height] : this.stream.part(name);
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
    this.line.height = 88 * ratio;
    this.draw();
    this.drawLine();
  }

  draw() {
    if (this.shown < 0 || !this.stream.ready) return;
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

  wipe(by) {
    this.split = Math.max(0, Math.min(1, this.split + by));
    this.draw();
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
    this.line.setAttribute("aria-valuetext", `frame ${frame} of ${data.frames}${held ? ", held out" : ""}`);
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
    const [top, foot] = [26 * ratio, 8 * ratio]; // above the curve, the words
    const y = (value) => line.height - foot - ((value - low) / (high - low || 1)) * (line.height - top - foot);
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
    pen.fillText(`${name}: ${low.toFixed(2)} to ${high.toFixed(2)} over time`, 8 * ratio, 14 * ratio);
    pen.fillStyle = style.getPropertyValue("--st-primary-color") || style.color;
    pen.fillRect(x(this.frame) - ratio, 18 * ratio, 2 * ratio, line.height);
  }

  async save(what) {
    if (!what) return;
    const name = `frame_${String(this.shown).padStart(5, "0")}_${what}`;
    if (what === "clip") return this.offer(this.stream.blob, "comparison.mp4");
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
    this.stream.destroy();
    this.sizes.disconnect();
    clearInterval(this.timer);
    clearTimeout(this.resting);
  }
}
