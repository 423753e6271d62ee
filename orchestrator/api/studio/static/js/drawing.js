/** Draws the photo with its look, what is lit up on it, and the tools' marks. */

import { hexOf } from "./color.js";
import { newCanvas, tinted } from "./matte.js";

/** @typedef {import("./types.js").Matte} Matte */
/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./view.js").Box} Box */
/** @typedef {{ picture: ImageBitmap, rect: number[] }} Tile A part of the photo at its own size. */

const LIT = [64, 170, 255];

/** By matte: one that is being painted is another one with every move. @type {WeakMap<Matte, HTMLCanvasElement>} */
const tints = new WeakMap();

/** @param {Matte} matte @returns {HTMLCanvasElement} */
function tintOf(matte) {
  const kept = tints.get(matte);
  if (kept) return kept;
  const made = tinted(matte, LIT);
  tints.set(matte, made);
  return made;
}

/** @param {CanvasRenderingContext2D} context @param {CanvasImageSource} picture @param {Box} box @param {number[]} [rect] */
function lay(context, picture, box, rect = [0, 0, 1, 1]) {
  const [x0, y0, x1, y1] = rect;
  context.drawImage(picture, box.left + x0 * box.width, box.top + y0 * box.height, (x1 - x0) * box.width, (y1 - y0) * box.height);
}

const SQUARE = 8;
/** @type {HTMLCanvasElement | null} Four squares of a chessboard. */ let board = null;

/** What is transparent is seen to be: behind it lies a chessboard. @param {CanvasRenderingContext2D} context @param {Box} box */
function chequered(context, box) {
  if (!board) {
    board = Object.assign(document.createElement("canvas"), { width: 2 * SQUARE, height: 2 * SQUARE });
    const squares = board.getContext("2d");
    if (!squares) return;
    squares.fillStyle = "#fff";
    squares.fillRect(0, 0, 2 * SQUARE, 2 * SQUARE);
    squares.fillStyle = "#d4d4d4";
    squares.fillRect(0, 0, SQUARE, SQUARE);
    squares.fillRect(SQUARE, SQUARE, SQUARE, SQUARE);
  }
  const pattern = context.createPattern(board, "repeat");
  if (!pattern) return;
  context.fillStyle = pattern;
  context.fillRect(box.left, box.top, box.width, box.height);
}

/**
 * @param {CanvasRenderingContext2D} context Scaled to CSS pixels. @param {Box} box
 * @param {{ before: ImageBitmap | null, after: ImageBitmap | null, beforeTile: Tile | null, afterTile: Tile | null, slider: number }} what
 */
export function drawPhoto(context, box, { before, after, beforeTile, afterTile, slider }) {
  context.imageSmoothingQuality = "high";
  const shown = after ?? before;
  const edge = box.left + slider * box.width;
  const part = (/** @type {number} */ left, /** @type {number} */ right, /** @type {() => void} */ draw) => {
    context.save();
    context.beginPath();
    context.rect(left, box.top, right - left, box.height);
    context.clip();
    draw();
    context.restore();
  };
  if (slider > 0 && shown)
    part(box.left, edge, () => {
      chequered(context, box);
      lay(context, shown, box);
      if (afterTile) lay(context, afterTile.picture, box, afterTile.rect);
    });
  if (slider < 1 && before) {
    part(edge, box.left + box.width, () => {
      lay(context, before, box);
      if (beforeTile) lay(context, beforeTile.picture, box, beforeTile.rect);
    });
    if (slider > 0) {
      context.fillStyle = "#fff";
      context.fillRect(edge - 1, box.top, 2, box.height);
    }
  }
}

/** @param {CanvasRenderingContext2D} context @param {Box} box @param {Matte} matte */
export function drawLit(context, box, matte) {
  lay(context, tintOf(matte), box);
}

/** @param {CanvasRenderingContext2D} context @param {Box} box @param {Point} point @param {"at" | "not"} kind */
export function drawPin(context, box, [x, y], kind) {
  context.beginPath();
  context.arc(box.left + x * box.width, box.top + y * box.height, 6, 0, 2 * Math.PI);
  context.fillStyle = kind === "at" ? "#1769aa" : "#b3261e";
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = "#fff";
  context.stroke();
}

/** A line that is seen on any photo. @param {CanvasRenderingContext2D} context @param {() => void} path */
function outline(context, path) {
  for (const [width, color] of /** @type {const} */ ([
    [3, "#000"],
    [1.25, "#fff"],
  ])) {
    context.beginPath();
    path();
    context.lineWidth = width;
    context.strokeStyle = color;
    context.stroke();
  }
}

/** @param {CanvasRenderingContext2D} context @param {Box} box @param {Point} point @param {number} size Diameter as a share of the width. */
export function drawBrush(context, box, [x, y], size) {
  outline(context, () => context.arc(box.left + x * box.width, box.top + y * box.height, (size * box.width) / 2, 0, 2 * Math.PI));
}

/** @param {CanvasRenderingContext2D} context @param {Box} box @param {Point} point */
export function drawCross(context, box, [x, y]) {
  const [left, top] = [box.left + x * box.width, box.top + y * box.height];
  outline(context, () => {
    context.moveTo(left - 10, top);
    context.lineTo(left + 10, top);
    context.moveTo(left, top - 10);
    context.lineTo(left, top + 10);
  });
}

/** @param {CanvasRenderingContext2D} context @param {Box} box @param {Point[]} corners */
export function drawPolygon(context, box, corners) {
  outline(context, () => {
    for (const [x, y] of corners) context.lineTo(box.left + x * box.width, box.top + y * box.height);
  });
  for (const corner of corners) drawPin(context, box, corner, "at");
}

/** A box that is being drawn. @param {CanvasRenderingContext2D} context @param {Box} box @param {Point} from @param {Point} to */
export function drawBand(context, box, from, to) {
  outline(context, () => context.rect(box.left + from[0] * box.width, box.top + from[1] * box.height, (to[0] - from[0]) * box.width, (to[1] - from[1]) * box.height));
}

/** The photo's colour around a point: the mean of five by five pixels of the preview. @param {ImageBitmap | null} picture @param {Point} point */
export function colorAt(picture, [x, y]) {
  if (!picture) return null;
  const [, context] = newCanvas(5, 5);
  const [left, top] = [Math.round(x * picture.width) - 2, Math.round(y * picture.height) - 2];
  context.drawImage(picture, Math.min(picture.width - 5, Math.max(0, left)), Math.min(picture.height - 5, Math.max(0, top)), 5, 5, 0, 0, 5, 5);
  const pixels = context.getImageData(0, 0, 5, 5).data;
  const mean = [0, 1, 2].map((part) => Math.round(Array.from({ length: 25 }, (_, index) => pixels[4 * index + part]).reduce((sum, value) => sum + value, 0) / 25));
  return hexOf(mean);
}
