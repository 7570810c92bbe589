// The frame under the pointer: wherever a chart's point names its frame, a card shows it.

const peeks = new WeakMap();

export default function ({ parentElement, data }) {
  let peek = peeks.get(parentElement);
  if (!peek) peeks.set(parentElement, (peek = new Peek(parentElement)));
  peek.update(data);
  return () => {
    peek.destroy();
    peeks.delete(parentElement);
  };
}

class Peek {
  constructor(parent) {
    this.card = parent.querySelector(".peek");
    this.picture = this.card.querySelector("canvas");
    this.text = this.card.querySelector("span");
    this.stream = new Stream({
      shown: (frame) => this.draw(frame), played: () => {}, failed: () => this.hide(),
    });
    this.hooked = new WeakSet();
    const options = { signal: this.stream.gone.signal, capture: true };
    document.addEventListener("pointerover", (event) => this.hook(event), options);
    document.addEventListener("pointermove", (event) => (this.pointer = event), options);
  }

  update(data) {
    const fresh = this.data?.url !== data.url;
    this.data = data;
    if (fresh) this.stream.open(data);
  }

  // Plotly tells of hovering by its own events, on elements that come and go with the page.
  hook(event) {
    const chart = event.target.closest?.(".js-plotly-plot");
    if (!chart || this.hooked.has(chart)) return;
    this.hooked.add(chart);
    chart.on("plotly_hover", ({ points }) => this.show(points[0].customdata));
    chart.on("plotly_unhover", () => this.hide());
  }

  show(frame) {
    if (Array.isArray(frame)) [frame] = frame;
    if (!Number.isInteger(frame) || this.stream.gone.signal.aborted) return;
    this.asked = frame;
    this.stream.seek(frame);
  }

  hide() {
    this.asked = null;
    this.card.hidden = true;
  }

  draw(frame) {
    if (this.asked !== frame) return;
    const { picture, card, pointer } = this;
    const [, , , wide, tall] = this.stream.part("true");
    picture.height = Math.round((picture.width / 2) * (tall / wide));
    const pen = picture.getContext("2d");
    const names = this.data.true_only ? ["true"] : ["true", "drawn"];
    pen.clearRect(0, 0, picture.width, picture.height);
    names.forEach((name, i) =>
      pen.drawImage(...this.stream.part(name), (i * picture.width) / 2, 0, picture.width / 2, picture.height));
    this.text.textContent = `frame ${frame}: true${this.data.true_only ? "" : ", reconstruction"}`;
    card.hidden = false;
    const box = card.getBoundingClientRect();
    const left = Math.min(pointer.clientX - box.width / 2, window.innerWidth - box.width - 8);
    const above = pointer.clientY - box.height - 28;
    card.style.left = `${Math.max(8, left)}px`;
    card.style.top = `${above > 8 ? above : pointer.clientY + 28}px`;
    card.dataset.frame = frame;
  }

  destroy() { this.stream.destroy(); }
}
