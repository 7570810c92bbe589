// A card that shows the frame of a chart's point under the pointer.

const cards = new WeakMap();

export default function ({ parentElement, data }) {
  let card = cards.get(parentElement);
  if (!card) cards.set(parentElement, (card = new HoverCard(parentElement)));
  card.update(data);
  return () => {
    card.destroy();
    cards.delete(parentElement);
  };
}

class HoverCard {
  constructor(parent) {
    this.card = parent.querySelector(".hover-card");
    this.picture = this.card.querySelector("canvas");
    this.text = this.card.querySelector("span");
    this.stream = new Stream({
      onSeek: (frame) => this.draw(frame), onPlay: () => {}, onError: () => this.hide(),
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

  // Plotly has its own hover events, on elements that are created and removed with the page.
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
    this.requested = frame;
    this.stream.seek(frame);
  }

  hide() {
    this.requested = null;
    this.card.hidden = true;
  }

  draw(frame) {
    if (this.requested !== frame) return;
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
