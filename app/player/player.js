// The player: true frames and reconstructions, with views, zoom, metrics and a timeline.

const VIEWS = { side: "side by side", wipe: "wipe", difference: "difference", flicker: "flicker" };
const REST = 250; // ms without a change until the server gets the current frame
const SPLITS = ["train", "val", "unused"]; // as numbers in the table of frames
const COLUMN = 3; // pixels of the timeline for several frames, where there is not one for each
const LOSSLESS = 60; // dB, top of the timeline: a black frame, drawn exactly, would flatten the rest
const TALLEST = 0.65; // of the window: the picture
const STILL = 4; // pixels: a pointer that moves less between down and up is a click
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

// "PSNR (dB)" and 30 give "PSNR 30.00 dB".
function withUnit(name, value) {
  const [label, unit] = name.split(/ \((.+)\)/);
  return unit ? `${label} ${value.toFixed(2)} ${unit}` : `${label} ${value.toFixed(3)}`;
}

class Player {
  constructor(parent) {
    this.root = parent.querySelector(".player");
    this.at = (name) => this.root.querySelector(name);
    this.picture = this.at(".picture");
    this.timeline = this.at(".timeline");
    this.stream = new Stream({
      onSeek: (frame) => this.showFrame(frame),
      onPlay: (frame) => this.playFrame(frame),
      onError: (reason) => (this.at(".note").textContent = `The video cannot be shown: ${reason}`),
    });
    this.view = "side";
    this.wipeAt = 0.5; // position of the wipe, 0 to 1
    this.zoom = { scale: 1, x: 0.5, y: 0.5 };
    this.frame = 0; // requested
    this.shown = -1; // drawn on the canvas
    this.flicker = 0; // 1 while the reconstruction is visible
    this.exact = new Map();
    this.heat = new Heat();
    this.build();
  }

  build() {
    for (const [name, label] of Object.entries(VIEWS)) {
      const button = Object.assign(document.createElement("button"), { textContent: label });
      button.setAttribute("aria-pressed", name === this.view);
      button.onclick = () => this.setView(name);
      button.dataset.view = name;
      this.at(".views").append(button);
    }
    const actions = {
      prev: () => this.go(this.frame - 1), next: () => this.go(this.frame + 1),
      play: () => this.toggle(), heldout: () => this.goTo(() => this.nextHeldOut()),
      shotback: () => this.go(this.data.shots.findLast((first) => first < this.frame) ?? 0),
      shotnext: () => this.go(this.data.shots.find((first) => first > this.frame) ?? this.frame),
      worst: () => this.goTo(() => this.extreme(-1)), best: () => this.goTo(() => this.extreme(1)),
      left: () => this.moveWipe(-0.05), right: () => this.moveWipe(0.05),
      in: () => this.zoomBy(1.5), out: () => this.zoomBy(1 / 1.5), fit: () => this.zoomBy(0),
    };
    for (const button of this.root.querySelectorAll("[data-do]"))
      button.onclick = () => actions[button.dataset.do]();
    this.at(".gain input").oninput = (event) => {
      this.at(".gain output").textContent = `${event.target.value}×`;
      this.draw();
    };
    this.at(".heat input").oninput = () => this.draw();
    Heat.legend(this.at(".legend"));
    this.at(".metric").onchange = () => this.drawTimeline();
    this.at(".save").onchange = (event) => {
      this.save(event.target.value);
      event.target.value = "";
    };
    const on = (target, name, handler, options = {}) =>
      target.addEventListener(name, handler, { ...options, signal: this.stream.gone.signal });
    const keys = {
      ArrowLeft: "prev", ArrowRight: "next", " ": "play", h: "heldout", "[": "left", "]": "right",
      p: "shotback", n: "shotnext", "+": "in", "-": "out",
    };
    on(this.root, "keydown", (event) => {
      if (event.target !== this.root && event.target.tagName !== "CANVAS" && event.key === " ") return;
      if (event.target.tagName === "INPUT" || event.target.tagName === "SELECT") return;
      if (event.key === "Home" || event.key === "End") this.go(event.key === "Home" ? 0 : 1e9);
      else if (keys[event.key]) actions[keys[event.key]]();
      else return;
      event.preventDefault();
    });
    on(this.timeline, "pointerdown", (event) => {
      this.timeline.setPointerCapture(event.pointerId);
      this.pause();
      this.scrub(event);
    });
    on(this.timeline, "pointermove", (event) => event.buttons && this.scrub(event));
    on(this.picture, "pointerdown", (event) => this.grab(event));
    on(this.picture, "pointermove", (event) => this.drag(event));
    on(this.picture, "pointerup", (event) => this.release(event));
    on(this.picture, "wheel", (event) => {
      if (!event.ctrlKey && this.zoom.scale === 1 && event.deltaY > 0) return;
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2);
    }, { passive: false });
    on(window, "nerv:go", (event) => this.go(event.detail));
    // The server is told the frame before a click elsewhere. It must not be told of one after a
    // change of the page: Streamlit would run a fragment that is gone, and its front end would stop.
    const elsewhere = (name, handler) => on(window, name, (event) => {
      const path = event.composedPath();
      if (!path.includes(this.root)) handler(path);
    }, { capture: true });
    elsewhere("pointerdown", () => this.report());
    elsewhere("click", (path) => path.some((at) => at.localName === "a") && clearTimeout(this.reportTimer));
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
    this.setState = component.setStateValue;
    this.trigger = component.setTriggerValue;
    const fresh = !this.data || this.data.url !== data.url;
    const jump = fresh || this.data.jump !== data.jump;
    this.data = data;
    this.root.style.setProperty("--held-out", data.colours.held_out_text);
    this.at(".shots").hidden = data.shots.length < 2;
    if (fresh) this.open(data);
    if (this.at(".metric").options.length !== data.metrics.length)
      this.at(".metric").replaceChildren(...data.metrics.map((name) => new Option(name, name)));
    if (this.tableUrl !== data.table) this.loading = this.load(data);
    if (this.heatUrl !== data.heat?.url) this.loadHeat(data.heat);
    this.heat.setTruth(data.heat?.truth);
    this.showHeatControls();
    this.storeExact(data.exact);
    if (jump) {
      this.reported = data.frame; // the server knows it
      this.go(data.frame);
    }
    this.resize();
  }

  async open(data) {
    this.shown = -1;
    this.exact.clear();
    this.at(".note").textContent = "Loading…";
    await this.stream.open(data);
  }

  // The numbers of the frames: seconds and metrics (float32), then the split (uint8).
  async load({ table, metrics, frames }) {
    this.tableUrl = table;
    this.values = null;
    let content;
    try {
      content = await (await this.stream.fetched(table)).arrayBuffer();
    } catch (error) {
      return this.stream.fail(error);
    }
    if (this.tableUrl !== table) return;
    const column = (index) => new Float32Array(content, 4 * index * frames, frames);
    const split = new Uint8Array(content, 4 * (metrics.length + 1) * frames, frames);
    this.seconds = column(0);
    this.split = (frame) => SPLITS[split[frame]];
    this.values = Object.fromEntries(metrics.map((name, i) => [name, column(i + 1)]));
    this.curve = null;
    this.showMetrics();
    this.drawTimeline();
  }

  // The scale where a heat map is visible, the cross where a click is a spot.
  showHeatControls() {
    this.at(".heat").hidden = !this.data.heat || this.view === "difference";
    this.root.classList.toggle("spots", this.data.spots && this.view !== "wipe");
  }

  async loadHeat(heat) {
    this.heatUrl = heat?.url;
    this.heat.clear();
    if (heat) {
      this.at(".heat-name").textContent = this.at(".heat-name").title = heat.name;
      try {
        const content = await (await this.stream.fetched(heat.url)).arrayBuffer();
        if (this.heatUrl !== heat.url) return;
        this.heat.set(heat, content, this.data.frames);
      } catch (error) {
        return this.stream.fail(error);
      }
    }
    this.draw();
  }

  // --- time ---------------------------------------------------------------------------------

  go(frame) {
    this.pause();
    this.frame = Math.max(0, Math.min(this.data.frames - 1, Math.round(frame)));
    this.stream.seek(this.frame);
    this.showMetrics();
    this.drawTimeline();
    this.reportFrame();
  }

  // to a frame that is found by the numbers of the frames, which may still be loading
  async goTo(find) {
    await this.loading;
    this.go(find());
  }

  showFrame(frame) {
    this.shown = frame;
    this.at(".note").textContent = "";
    this.draw();
  }

  playFrame(frame) {
    this.shown = this.frame = frame;
    this.draw();
    this.showMetrics();
    this.drawTimeline();
    if (frame >= this.data.frames - 1) this.pause();
  }

  toggle() {
    if (!this.stream.paused) return this.pause();
    if (this.frame >= this.data.frames - 1) this.go(0);
    this.showPlaying(true);
    this.stream.play();
  }

  pause() {
    if (this.stream.paused) return;
    this.stream.pause();
    this.showPlaying(false);
    this.reportFrame();
  }

  showPlaying(now) {
    const button = this.at('[data-do="play"]');
    button.textContent = now ? "❚❚" : "▶";
    button.setAttribute("aria-label", now ? "Pause" : "Play");
    this.at(".metrics").setAttribute("aria-live", now ? "off" : "polite");
  }

  reportFrame() {
    clearTimeout(this.reportTimer);
    this.reportTimer = setTimeout(() => this.report(), REST);
  }

  // With the jump, which makes a frame that was reported before it a change.
  report() {
    clearTimeout(this.reportTimer);
    if (!this.stream.paused || this.reported === this.frame) return;
    this.reported = this.frame;
    this.setState("frame", { index: this.frame, jump: this.data.jump });
  }

  scrub(event) {
    const box = this.timeline.getBoundingClientRect();
    this.go(((event.clientX - box.left) / box.width) * (this.data.frames - 1));
  }

  nextHeldOut() {
    const { frames } = this.data;
    for (let step = 1; this.values && step <= frames; step++)
      if (this.split((this.frame + step) % frames) === "val") return (this.frame + step) % frames;
    return this.frame;
  }

  extreme(sign) {
    const values = this.values?.[this.data.metrics[0]] ?? [];
    return values.reduce((best, value, i) => (sign * value > sign * values[best] ? i : best), 0);
  }

  // --- pictures -----------------------------------------------------------------------------

  async storeExact({ frame, drawn, true: exactTrue }) {
    if (this.exact.has(frame)) return;
    const decode = async (url) => url && createImageBitmap(await (await fetch(url)).blob());
    const found = { drawn: await decode(drawn), true: await decode(exactTrue) };
    this.exact.clear(); // only the current frame is stored
    this.exact.set(frame, found);
    this.draw();
  }

  source(name) {
    const exact = this.stream.paused && this.exact.get(this.shown)?.[name];
    return exact ? [exact, 0, 0, exact.width, exact.height] : this.stream.part(name);
  }

  sideBySide() {
    const [h, w] = this.data.layout.shown;
    return this.root.clientWidth > 640 || h > w; // a narrow window stacks wide pictures
  }

  panes() {
    const [h, w] = this.data.layout.shown;
    const width = this.picture.width;
    if (this.view !== "side") return { height: (width * h) / w, true: [0, 0, width], drawn: [0, 0, width] };
    if (!this.sideBySide()) {
      const each = (width * h) / w;
      return { height: 2 * each, true: [0, 0, width], drawn: [0, each, width] };
    }
    return { height: (width / 2) * (h / w), true: [0, 0, width / 2], drawn: [width / 2, 0, width / 2] };
  }

  // as wide as the player, but no taller than most of the window, so that the controls stay visible
  fit() {
    if (!this.root.clientWidth) return; // not on the page yet: there is nothing to fit into
    const ratio = window.devicePixelRatio || 1;
    const shape = this.panes().height / this.picture.width;
    const wide = Math.min(this.root.clientWidth, Math.max(160, (TALLEST * window.innerHeight) / shape));
    this.picture.style.width = `${wide}px`;
    const size = [Math.round(wide * ratio), Math.round(wide * ratio * shape)];
    if (this.picture.width !== size[0]) this.picture.width = size[0];
    if (this.picture.height !== size[1]) this.picture.height = size[1];
  }

  resize() {
    if (!this.data) return;
    const ratio = window.devicePixelRatio || 1;
    const wide = Math.round(this.root.clientWidth * ratio);
    if (this.timeline.width !== wide) this.timeline.width = wide;
    this.timeline.height = 88 * ratio;
    this.draw();
    this.drawTimeline();
  }

  draw() {
    if (this.shown < 0 || !this.stream.ready) return;
    this.fit();
    const tall = this.picture.height;
    const pen = this.picture.getContext("2d");
    const panes = this.panes();
    pen.imageSmoothingEnabled = this.zoom.scale < 3;
    if (this.view === "side") for (const name of ["true", "drawn"]) this.paint(pen, name, panes[name]);
    if (this.view === "flicker") this.paint(pen, this.flicker ? "drawn" : "true", panes.true);
    if (this.view === "wipe") {
      this.paint(pen, "true", panes.true);
      const edge = this.wipeAt * this.picture.width;
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
      pen.globalCompositeOperation = "lighter"; // adding |a - b| to itself applies the gain
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
    const source = this.source(name);
    const [, , , width, height] = source;
    const tall = (wide * height) / width;
    this.drawZoomed(pen, source, [x, y, wide, tall]);
    if (this.heat.values && this.view !== "difference") this.paintHeat(pen, name, [x, y, wide, tall]);
  }

  // The part of an image that the zoom shows; `image` is followed by its own box.
  drawZoomed(pen, [image, left, top, width, height], box) {
    const [part, rest] = [1 / this.zoom.scale, 1 - 1 / this.zoom.scale];
    pen.drawImage(
      image, left + this.zoom.x * rest * width, top + this.zoom.y * rest * height,
      width * part, height * part, ...box,
    );
  }

  paintHeat(pen, name, [x, y, wide, tall]) {
    const [part, rest] = [1 / this.zoom.scale, 1 - 1 / this.zoom.scale];
    const smooth = pen.imageSmoothingEnabled;
    Object.assign(pen, { imageSmoothingEnabled: true, globalAlpha: this.at(".heat input").value });
    this.drawZoomed(pen, this.heat.source(name, this.shown), [x, y, wide, tall]);
    Object.assign(pen, { imageSmoothingEnabled: smooth, globalAlpha: 1 });
    const { spot } = this.data.heat;
    if (spot?.frame === this.shown) {
      const at = [spot.x, spot.y].map((share, i) => (share - [this.zoom.x, this.zoom.y][i] * rest) / part);
      this.drawSpot(pen, x + at[0] * wide, y + at[1] * tall);
    }
    this.root.dataset.heat = this.shown;
  }

  // A ring around the spot that the heat map looks for.
  drawSpot(pen, x, y) {
    const ratio = window.devicePixelRatio || 1;
    for (const [colour, wide] of [["#000", 4], ["#fff", 2]]) {
      pen.beginPath();
      pen.arc(x, y, 7 * ratio, 0, 7);
      Object.assign(pen, { strokeStyle: colour, lineWidth: wide * ratio });
      pen.stroke();
    }
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
      const truth = this.heat.values && this.heat.isTrue("true", this.shown);
      tag(truth ? "true, with the teacher's map" : "true", panes.true[0], panes.true[1]);
      tag("reconstruction", panes.drawn[0], panes.drawn[1]);
    } else if (this.view === "wipe") tag("true | reconstruction", 0, 0);
    else if (this.view === "flicker") tag(this.flicker ? "reconstruction" : "true", 0, 0);
    else tag("|true − reconstruction|", 0, 0);
  }

  setView(name) {
    this.view = name;
    for (const button of this.root.querySelectorAll("[data-view]"))
      button.setAttribute("aria-pressed", button.dataset.view === name);
    this.at(".gain").hidden = name !== "difference";
    this.showHeatControls();
    this.resize();
  }

  moveWipe(by) {
    this.wipeAt = Math.max(0, Math.min(1, this.wipeAt + by));
    this.draw();
  }

  zoomBy(factor) {
    this.zoom.scale = factor ? Math.max(1, Math.min(16, this.zoom.scale * factor)) : 1;
    if (this.zoom.scale === 1) this.zoom = { scale: 1, x: 0.5, y: 0.5 };
    this.at('[data-do="fit"]').textContent = `${this.zoom.scale.toFixed(1).replace(".0", "")}×`;
    this.draw();
  }

  grab(event) {
    this.picture.setPointerCapture(event.pointerId);
    this.dragStart = { x: event.clientX, y: event.clientY, zoom: { ...this.zoom } };
    if (this.view === "wipe" && this.zoom.scale === 1) this.drag(event);
  }

  release(event) {
    const start = this.dragStart;
    this.dragStart = null;
    if (!start || !this.data.spots || this.view === "wipe") return;
    if (Math.hypot(event.clientX - start.x, event.clientY - start.y) > STILL) return;
    const spot = this.spotAt(event);
    if (spot) this.trigger("spot", { ...spot, frame: this.shown });
  }

  // The place in the frame under the pointer, from 0 to 1; null beside the panes.
  spotAt(event) {
    const box = this.picture.getBoundingClientRect();
    const ratio = this.picture.width / box.width;
    const [across, down] = [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
    const [h, w] = this.data.layout.shown;
    const panes = this.panes();
    for (const [left, top, wide] of [panes.true, panes.drawn]) {
      const shares = [(across - left) / wide, (down - top) / ((wide * h) / w)];
      if (shares.some((share) => share < 0 || share > 1)) continue;
      const { scale } = this.zoom;
      const [x, y] = shares.map((share, i) => share / scale + [this.zoom.x, this.zoom.y][i] * (1 - 1 / scale));
      return { x, y };
    }
    return null;
  }

  drag(event) {
    if (!this.dragStart) return;
    const box = this.picture.getBoundingClientRect();
    if (this.view === "wipe" && this.zoom.scale === 1) {
      this.wipeAt = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    } else if (this.zoom.scale > 1) {
      const wide = (box.width * this.panes().true[2]) / this.picture.width;
      const move = (from, now, side) => (from - now) / side / (this.zoom.scale - 1);
      const start = this.dragStart;
      const inside = (value) => Math.max(0, Math.min(1, value));
      this.zoom.x = inside(start.zoom.x + move(start.x, event.clientX, wide));
      this.zoom.y = inside(start.zoom.y + move(start.y, event.clientY, box.height));
    }
    this.draw();
  }

  // --- metrics ------------------------------------------------------------------------------

  showMetrics() {
    const { data, frame } = this;
    if (!this.values) return;
    const split = this.split(frame), heldOut = split === "val";
    const parts = [
      `<b>frame ${frame}</b>`,
      `t ${(frame / Math.max(data.frames - 1, 1)).toFixed(3)}`,
      `${this.seconds[frame].toFixed(2)} s`,
      heldOut ? '<span class="held-out">◆ held out</span>' : split === "train" ? "● train" : "unused",
    ];
    for (const [name, values] of Object.entries(this.values))
      if (!isNaN(values[frame])) parts.push(withUnit(name, values[frame]));
    this.at(".metrics").innerHTML = parts.join(" · ");
    const shot = data.shots.findLastIndex((first) => first <= frame) + 1;
    this.at(".shots span").textContent = `shot ${shot} of ${data.shots.length}`;
    this.timeline.setAttribute("aria-valuenow", frame);
    this.timeline.setAttribute("aria-valuemax", data.frames - 1);
    this.timeline.setAttribute("aria-valuetext", `frame ${frame} of ${data.frames}${heldOut ? ", held out" : ""}`);
  }

  // The curve is drawn once, onto a canvas of its own; then only the line of the current frame moves.
  drawTimeline() {
    const { timeline } = this;
    if (!this.values || !timeline.width) return;
    const ratio = window.devicePixelRatio || 1;
    const style = getComputedStyle(this.root);
    const about = [this.at(".metric").value, timeline.width, timeline.height, style.color].join();
    if (!this.curve || this.curve.about !== about)
      this.curve = { about, picture: this.drawCurve(style.color + "") };
    const pen = timeline.getContext("2d");
    pen.clearRect(0, 0, timeline.width, timeline.height);
    pen.drawImage(this.curve.picture, 0, 0);
    pen.fillStyle = style.getPropertyValue("--st-primary-color") || style.color;
    pen.fillRect(this.placeOf(this.frame) - ratio, 18 * ratio, 2 * ratio, timeline.height);
  }

  placeOf(frame) {
    const margin = 6 * (window.devicePixelRatio || 1);
    return margin + (frame / Math.max(this.data.frames - 1, 1)) * (this.timeline.width - 2 * margin);
  }

  // Of more frames than fit side by side, columns are drawn: from the lowest to the highest value,
  // with a mark for the mean of each split.
  drawCurve(colour) {
    const { data } = this;
    const { width, height } = this.timeline;
    const canvas = new OffscreenCanvas(width, height), pen = canvas.getContext("2d");
    const ratio = window.devicePixelRatio || 1;
    const name = this.at(".metric").value || data.metrics[0], values = this.values[name];
    const room = width / ratio;
    const each = data.frames <= room ? 1 : Math.ceil((data.frames * COLUMN) / room);
    const columns = each === 1 ? [] : this.inColumns(values, each);
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const most = name.startsWith("PSNR") ? LOSSLESS : Infinity, beyond = high > most;
    [low, high] = [Math.min(low, most), Math.min(high, most)];
    const x = (i) => this.placeOf(i);
    const [top, foot] = [26 * ratio, 8 * ratio]; // the label is above the curve
    const y = (value) =>
      height - foot - ((Math.min(value, most) - low) / (high - low || 1)) * (height - top - foot);
    pen.strokeStyle = colour;
    pen.globalAlpha = 0.35;
    pen.lineWidth = each === 1 ? ratio : COLUMN * ratio;
    pen.beginPath();
    if (each === 1) values.forEach((value, i) => isNaN(value) || pen.lineTo(x(i), y(value)));
    for (const { middle, low, high } of columns) {
      pen.moveTo(x(middle), y(low) + ratio / 2);
      pen.lineTo(x(middle), y(high) - ratio / 2);
    }
    pen.stroke();
    pen.globalAlpha = 1;
    const mark = (frame, value, split) => {
      const size = (each === 1 ? 2.2 : 1.4) * ratio;
      pen.fillStyle = data.colours[split];
      pen.beginPath();
      if (split === "val") {
        pen.moveTo(x(frame), y(value) - 1.5 * size);
        pen.lineTo(x(frame) + 1.5 * size, y(value));
        pen.lineTo(x(frame), y(value) + 1.5 * size);
        pen.lineTo(x(frame) - 1.5 * size, y(value));
      } else pen.arc(x(frame), y(value), size, 0, 7);
      pen.fill();
    };
    if (each === 1) values.forEach((value, i) => isNaN(value) || mark(i, value, this.split(i)));
    for (const { middle, means } of columns)
      for (const [split, mean] of Object.entries(means)) mark(middle, mean, split);
    pen.fillStyle = colour;
    pen.font = `${11 * ratio}px system-ui, sans-serif`;
    const range = `${low.toFixed(2)} to ${high.toFixed(2)}${beyond ? " and above" : ""}`;
    const label = each > 1 ? `${name}, ${range}, ${each} frames a column` : `${name} over time, ${range}`;
    pen.fillText(label, 8 * ratio, 14 * ratio);
    if (data.shots.length > 1) this.drawCuts(pen, x, pen.measureText(label).width + 22 * ratio);
    return canvas;
  }

  inColumns(values, each) {
    const columns = [];
    for (let first = 0; first < values.length; first += each) {
      const end = Math.min(first + each, values.length);
      let [low, high] = [Infinity, -Infinity];
      const sums = {};
      for (let i = first; i < end; i++) {
        if (isNaN(values[i])) continue;
        low = Math.min(low, values[i]);
        high = Math.max(high, values[i]);
        const sum = (sums[this.split(i)] ??= [0, 0]);
        sum[0] += values[i];
        sum[1] += 1;
      }
      if (low > high) continue;
      const means = Object.fromEntries(Object.entries(sums).map(([split, [sum, n]]) => [split, sum / n]));
      columns.push({ middle: (first + end - 1) / 2, low, high, means });
    }
    return columns;
  }

  // Dashed lines between the shots; one at `key`, behind the label, explains them.
  drawCuts(pen, x, key) {
    const ratio = window.devicePixelRatio || 1;
    if (this.data.shots.length * 8 * ratio > this.timeline.width) return; // they would cover the curve
    pen.save();
    pen.strokeStyle = pen.fillStyle;
    pen.globalAlpha = 0.5;
    pen.lineWidth = ratio;
    pen.setLineDash([2 * ratio, 3 * ratio]);
    pen.beginPath();
    for (const first of this.data.shots.slice(1)) {
      pen.moveTo(x(first - 0.5), 20 * ratio);
      pen.lineTo(x(first - 0.5), this.timeline.height);
    }
    pen.moveTo(key, 4 * ratio);
    pen.lineTo(key, 16 * ratio);
    pen.stroke();
    pen.restore();
    pen.fillText("cut", key + 5 * ratio, 14 * ratio);
  }

  async save(what) {
    if (!what) return;
    const name = `frame_${String(this.shown).padStart(5, "0")}_${what}`;
    if (what === "video") return this.download(this.stream.blob, "comparison.mp4");
    const names = what === "pair" ? ["true", "drawn"] : [what];
    const sources = names.map((each) => this.source(each));
    const [, , , width, height] = sources[0];
    const canvas = new OffscreenCanvas(width * names.length, height);
    sources.forEach((source, i) =>
      canvas.getContext("2d").drawImage(...source, i * width, 0, width, height));
    this.download(await canvas.convertToBlob(), `${name}.png`);
  }

  download(blob, name) {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  destroy() {
    this.stream.destroy();
    this.sizes.disconnect();
    clearInterval(this.timer);
    clearTimeout(this.reportTimer);
  }
}
