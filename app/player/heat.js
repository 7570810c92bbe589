// The relevancy of each cell of a frame to a query, as colours over the picture.
//
// A colour stands for the same relevancy in every frame.

const CLEAR = 0.5; // relevancy from which on a match is clear
const FAINT = 0.3; // relevancy from which on a cell has a colour
// the upper two thirds of matplotlib's "inferno": its lightness rises steadily, so that it is read
// alike with every kind of colour vision
const STOPS = ["781c6d", "a52c60", "cf4446", "ed6925", "fb9b06", "f7d13d", "fcffa4"].map((hex) =>
  [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));

class Heat {
  constructor() {
    this.canvas = new OffscreenCanvas(1, 1);
    this.colours = Heat.colours();
  }

  // Red, green, blue and alpha for each of the 256 values of a map.
  static colours() {
    const table = new Uint8ClampedArray(4 * 256);
    for (let value = 0; value < 256; value++) {
      const relevancy = value / 255;
      const place = Math.max(0, Math.min(1, (relevancy - FAINT) / (1 - FAINT))) * (STOPS.length - 1);
      const low = Math.min(Math.floor(place), STOPS.length - 2);
      const share = place - low;
      for (let channel = 0; channel < 3; channel++)
        table[4 * value + channel] = STOPS[low][channel] * (1 - share) + STOPS[low + 1][channel] * share;
      table[4 * value + 3] = 255 * Math.max(0, Math.min(1, (relevancy - FAINT) / (CLEAR - FAINT)));
    }
    return table;
  }

  // `content` has the number of the map of each frame (uint32), then the maps (uint8), rows x
  // columns cells each. The cells cover `height` and `width` of a frame: above 1, the last ones
  // lie beyond it.
  set({ rows, columns, height, width }, content, frames) {
    this.numbers = new Uint32Array(content, 0, frames);
    Object.assign(this, { rows, columns, height, width, values: new Uint8Array(content, 4 * frames) });
    [this.canvas.width, this.canvas.height] = [columns, rows];
    this.drawn = null;
  }

  clear() { this.values = null; }

  // The teacher's own map of one frame, for the pane of the true frame; null for none.
  setTruth(truth) {
    this.truth = truth && { frame: truth.frame, values: Uint8Array.from(atob(truth.values), (c) => c.charCodeAt(0)) };
    this.drawn = null;
  }

  isTrue(name, frame) { return name === "true" && this.truth?.frame === frame; }

  // Arguments of drawImage: the part of the map of a frame that lies in the frame.
  source(name, frame) {
    const cells = this.rows * this.columns;
    const number = this.numbers[frame];
    const truth = this.isTrue(name, frame);
    const drawn = truth ? "truth" : number;
    if (this.drawn !== drawn) {
      const image = new ImageData(this.columns, this.rows);
      for (let i = 0; i < cells; i++) {
        const value = truth ? this.truth.values[i] : this.values[number * cells + i];
        for (let channel = 0; channel < 4; channel++) image.data[4 * i + channel] = this.colours[4 * value + channel];
      }
      this.canvas.getContext("2d").putImageData(image, 0, 0);
      this.drawn = drawn;
    }
    return [this.canvas, 0, 0, this.columns / this.width, this.rows / this.height];
  }

  // A bar from 0 to 1, with the mark of a clear match.
  static legend(canvas) {
    const [wide, tall] = [canvas.width, canvas.height];
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, wide, tall);
    const table = Heat.colours();
    for (let x = 0; x < wide; x++) {
      const at = 4 * Math.round((255 * x) / (wide - 1));
      pen.fillStyle = `rgba(${table[at]}, ${table[at + 1]}, ${table[at + 2]}, ${table[at + 3] / 255})`;
      pen.fillRect(x, 0, 1, tall);
    }
    pen.fillStyle = "#fff";
    pen.fillRect(Math.round(CLEAR * wide) - 1, 0, 2, tall);
  }
}
