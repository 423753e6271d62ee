/** Mattes: decoded, measured, painted, written. One byte a pixel, 255 is selected. */

/** @typedef {import("./types.js").Matte} Matte */
/** @typedef {import("./types.js").Point} Point */

const SELECTED = 128;

/** @param {number} width @param {number} height @returns {[HTMLCanvasElement, CanvasRenderingContext2D]} */
export function newCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("this browser has no canvas");
  return [canvas, context];
}

/**
 * A grey picture as a matte of the given size.
 *
 * @param {string} url A data: URL. @param {number} width @param {number} height @returns {Promise<Matte>}
 */
export async function readMatte(url, width, height) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const [canvas, context] = newCanvas(width, height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const data = new Uint8ClampedArray(canvas.width * canvas.height);
  for (let index = 0; index < data.length; index += 1) data[index] = pixels[4 * index];
  return { width: canvas.width, height: canvas.height, data };
}

/** @param {number} width @param {number} height @returns {Matte} */
export function emptyMatte(width, height) {
  return { width, height, data: new Uint8ClampedArray(width * height) };
}

/** @param {Matte[]} mattes Of one size. @returns {Matte} */
export function union(mattes) {
  const [first] = mattes;
  const data = new Uint8ClampedArray(first.data);
  for (const { data: other } of mattes.slice(1)) for (let index = 0; index < data.length; index += 1) data[index] = Math.max(data[index], other[index]);
  return { ...first, data };
}

/** @param {Matte} matte @param {Point} point @returns {number} 0..255 */
export function valueAt({ width, height, data }, [x, y]) {
  const column = Math.min(width - 1, Math.max(0, Math.floor(x * width)));
  const row = Math.min(height - 1, Math.max(0, Math.floor(y * height)));
  return data[row * width + column];
}

/** @param {Matte} matte @returns {number} The share that is selected. */
export function coverage({ data }) {
  let sum = 0;
  for (const value of data) sum += value;
  return sum / 255 / data.length;
}

/** The connected part of what is selected under a point; empty where nothing is. @param {Matte} matte @param {Point} point @returns {Matte} */
export function partAt(matte, [x, y]) {
  const { width, height, data } = matte;
  const part = emptyMatte(width, height);
  const start = Math.min(height - 1, Math.floor(y * height)) * width + Math.min(width - 1, Math.floor(x * width));
  const stack = data[start] >= SELECTED ? [start] : [];
  while (stack.length) {
    const index = /** @type {number} */ (stack.pop());
    if (part.data[index] || data[index] < SELECTED) continue;
    part.data[index] = data[index];
    const column = index % width;
    if (column > 0) stack.push(index - 1);
    if (column < width - 1) stack.push(index + 1);
    if (index >= width) stack.push(index - width);
    if (index < data.length - width) stack.push(index + width);
  }
  return part;
}

/** @param {Matte} one @param {Matte} two @returns {Matte} What is in the first and not in the second. */
export function without(one, two) {
  return { ...one, data: one.data.map((value, index) => Math.min(value, 255 - two.data[index])) };
}

/**
 * The matte grown (or, with a negative radius, shrunk) by a number of pixels: the maximum over a square, along rows, then columns.
 *
 * @param {Matte} matte @param {number} radius @returns {Matte}
 */
export function grown(matte, radius) {
  const { width, height } = matte;
  const reach = Math.abs(radius);
  const pick = radius > 0 ? Math.max : Math.min;
  const start = radius > 0 ? 0 : 255;
  let { data } = matte;
  for (const [lines, length, step, stride] of [
    [height, width, 1, width],
    [width, height, width, 1],
  ]) {
    const next = new Uint8ClampedArray(data.length);
    for (let line = 0; line < lines; line += 1) {
      for (let place = 0; place < length; place += 1) {
        let value = start;
        for (let near = Math.max(0, place - reach); near <= Math.min(length - 1, place + reach); near += 1) value = pick(value, data[line * stride + near * step]);
        next[line * stride + place * step] = value;
      }
    }
    data = next;
  }
  return { width, height, data };
}

/**
 * Everything that the selection encloses is selected too: what no path of unselected pixels joins with the border.
 *
 * @param {Matte} matte @returns {Matte}
 */
export function filled(matte) {
  const { width, height, data } = matte;
  const outside = new Uint8Array(data.length);
  /** @type {number[]} */
  const stack = [];
  for (let column = 0; column < width; column += 1) stack.push(column, (height - 1) * width + column);
  for (let row = 0; row < height; row += 1) stack.push(row * width, row * width + width - 1);
  while (stack.length) {
    const index = /** @type {number} */ (stack.pop());
    if (outside[index] || data[index] >= SELECTED) continue;
    outside[index] = 1;
    const column = index % width;
    if (column > 0) stack.push(index - 1);
    if (column < width - 1) stack.push(index + 1);
    if (index >= width) stack.push(index - width);
    if (index < data.length - width) stack.push(index + width);
  }
  return { width, height, data: data.map((value, index) => (outside[index] ? value : 255)) };
}

/**
 * Paint along a line with a round brush.
 *
 * @param {Matte} matte Changed in place. @param {Point} from @param {Point} to
 * @param {{ size: number, softness: number, erase: boolean }} brush `size`: its diameter as a share of the width; `softness` 0..1.
 */
export function paint(matte, from, to, { size, softness, erase }) {
  const { width, height, data } = matte;
  const radius = Math.max(0.75, (size * width) / 2);
  const hard = radius * (1 - softness);
  const [x0, y0, x1, y1] = [from[0] * width, from[1] * height, to[0] * width, to[1] * height];
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  const [left, right] = [Math.max(0, Math.floor(Math.min(x0, x1) - radius)), Math.min(width - 1, Math.ceil(Math.max(x0, x1) + radius))];
  const [top, bottom] = [Math.max(0, Math.floor(Math.min(y0, y1) - radius)), Math.min(height - 1, Math.ceil(Math.max(y0, y1) + radius))];
  for (let row = top; row <= bottom; row += 1) {
    for (let column = left; column <= right; column += 1) {
      const [px, py] = [column + 0.5 - x0, row + 0.5 - y0];
      const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
      const away = Math.hypot(px - along * dx, py - along * dy);
      if (away > radius) continue;
      const value = away <= hard ? 255 : Math.round((255 * (radius - away)) / (radius - hard));
      const index = row * width + column;
      data[index] = erase ? Math.min(data[index], 255 - value) : Math.max(data[index], value);
    }
  }
}

/** Select a polygon's inside, or take it out. @param {Matte} matte @param {Point[]} corners @param {boolean} erase @returns {Matte} */
export function withPolygon(matte, corners, erase) {
  const { width, height } = matte;
  const [, context] = newCanvas(width, height);
  context.beginPath();
  for (const [x, y] of corners) context.lineTo(x * width, y * height);
  context.closePath();
  context.fill();
  const inside = context.getImageData(0, 0, width, height).data;
  const data = matte.data.map((value, index) => {
    const share = inside[4 * index + 3];
    return erase ? Math.min(value, 255 - share) : Math.max(value, share);
  });
  return { width, height, data };
}

/** @param {Matte} matte @returns {HTMLCanvasElement} */
function picture({ width, height, data }) {
  const [canvas, context] = newCanvas(width, height);
  const image = context.createImageData(width, height);
  for (let index = 0; index < data.length; index += 1) {
    image.data.fill(data[index], 4 * index, 4 * index + 3);
    image.data[4 * index + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** @param {Matte} matte @returns {string} Base64 of a grey PNG, white where it selects. */
export function writeMatte(matte) {
  return picture(matte).toDataURL("image/png").split(",")[1];
}

/** The matte as a tint to lay over the photo. @param {Matte} matte @param {number[]} rgb @returns {HTMLCanvasElement} */
export function tinted({ width, height, data }, [r, g, b]) {
  const [canvas, context] = newCanvas(width, height);
  const image = context.createImageData(width, height);
  for (let index = 0; index < data.length; index += 1) {
    const at = 4 * index;
    image.data[at] = r;
    image.data[at + 1] = g;
    image.data[at + 2] = b;
    const edge = data[index] > 40 && data[index] < 215;
    image.data[at + 3] = edge ? 230 : Math.round(data[index] * 0.45);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
