/** Where the photo lies on the canvas, in CSS pixels. Pure functions. */

/** @typedef {import("./types.js").Point} Point */
/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ left: number, top: number, width: number, height: number }} Box The whole photo's place. */

/**
 * @param {Size} photo @param {Size} canvas @param {"fit" | "full"} zoom @param {number} density Device pixels in a CSS pixel.
 * @param {Point} center Of what is seen, in fractions of the photo.
 * @returns {Box}
 */
export function placed(photo, canvas, zoom, density, center) {
  const scale = zoom === "full" ? 1 / density : Math.min(canvas.width / photo.width, canvas.height / photo.height);
  const [width, height] = [photo.width * scale, photo.height * scale];
  const along = (/** @type {number} */ size, /** @type {number} */ room, /** @type {number} */ middle) =>
    size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, room / 2 - middle * size));
  return { left: along(width, canvas.width, center[0]), top: along(height, canvas.height, center[1]), width, height };
}

/** @param {Box} box @param {number} x @param {number} y @returns {Point | null} The point of the photo there; null beside it. */
export function pointAt(box, x, y) {
  const point = /** @type {Point} */ ([(x - box.left) / box.width, (y - box.top) / box.height]);
  return point.every((part) => part >= 0 && part <= 1) ? point : null;
}

/** @param {number} value @returns {number} 0..1 */
export const fraction = (value) => Math.min(1, Math.max(0, value));

/** What is seen of the photo: x0, y0, x1, y1 in fractions. @param {Box} box @param {Size} canvas @returns {[number, number, number, number]} */
export function seen(box, canvas) {
  const x = (/** @type {number} */ value) => fraction((value - box.left) / box.width);
  const y = (/** @type {number} */ value) => fraction((value - box.top) / box.height);
  return [x(0), y(0), x(canvas.width), y(canvas.height)];
}
