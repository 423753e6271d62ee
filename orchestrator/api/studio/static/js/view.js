/** Where the photo lies on the canvas, in CSS pixels. Pure functions. */

/** @typedef {import("./types.js").Point} Point */
/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ left: number, top: number, width: number, height: number }} Box The whole photo's place. */

/** @param {Size} photo @param {Size} canvas @returns {number} CSS pixels in a pixel of the photo when all of it is seen. */
const fitted = (photo, canvas) => Math.min(canvas.width / photo.width, canvas.height / photo.height);

/**
 * @param {Size} photo @param {Size} canvas @param {"fit" | number} zoom Device pixels in a pixel of the photo. @param {number} density Device pixels in a CSS pixel.
 * @param {Point} center Of what is seen, in fractions of the photo.
 * @returns {Box}
 */
export function placed(photo, canvas, zoom, density, center) {
  const scale = zoom === "fit" ? fitted(photo, canvas) : zoom / density;
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

/** The middle of what is seen, in fractions. @param {Box} box @param {Size} canvas @returns {Point} */
export const middle = (box, canvas) => [(canvas.width / 2 - box.left) / box.width, (canvas.height / 2 - box.top) / box.height];

const MAX_ZOOM = 4;

/**
 * Nearer or further, with what is under a place of the canvas staying there.
 *
 * @param {Size} photo @param {Size} canvas @param {number} density @param {Box} box As it lies now. @param {number} by @param {{ x: number, y: number }} at
 * @returns {{ zoom: "fit" | number, center: Point }}
 */
export function zoomed(photo, canvas, density, box, by, at) {
  const [now, least] = [(box.width / photo.width) * density, fitted(photo, canvas) * density];
  const zoom = Math.min(Math.max(MAX_ZOOM, least), now * by);
  if (zoom <= least * 1.001) return { zoom: "fit", center: [0.5, 0.5] };
  const size = { width: (photo.width * zoom) / density, height: (photo.height * zoom) / density };
  const [x, y] = [(at.x - box.left) / box.width, (at.y - box.top) / box.height];
  return { zoom, center: [(canvas.width / 2 - at.x) / size.width + x, (canvas.height / 2 - at.y) / size.height + y] };
}
