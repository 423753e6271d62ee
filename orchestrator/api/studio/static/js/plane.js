/** A surface's plane in the photo, and what a hand does to a material on it. Pure functions. */

/** @typedef {import("./types.js").Laid} Laid */
/** @typedef {import("./types.js").Point} Point */
/** @typedef {{ scale: number, rotation: number, offset: [number, number] }} Lie How a material lies: as a texture's value has it. */

const RADIANS = Math.PI / 180;
export const SCALES = /** @type {const} */ ([0.125, 8]);

/** @param {number[]} m Row by row. @param {Point} point @returns {Point | null} Null behind the camera. */
function mapped(m, [x, y]) {
  const w = m[6] * x + m[7] * y + m[8];
  return w > 1e-9 ? [(m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w] : null;
}

/** @param {number[]} m @returns {number[]} */
function inverse([a, b, c, d, e, f, g, h, i]) {
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  return [e * i - f * h, c * h - b * i, b * f - c * e, f * g - d * i, a * i - c * g, c * d - a * f, d * h - e * g, b * g - a * h, a * e - b * d].map(
    (value) => value / determinant,
  );
}

/** @param {Laid} plane @param {Point} point @returns {Point | null} Metres. */
export const onPlane = (plane, point) => mapped(plane.to_metres, point);

/** @param {Laid} plane @param {Point} metres @returns {Point | null} Fractions of the photo, which may lie outside it. */
export const inPhoto = (plane, metres) => mapped(inverse(plane.to_metres), metres);

/** Of walls that meet at corners, the one at a point. @param {Laid[]} planes From left to right. @param {Point} point @returns {Laid | undefined} */
export const planeAt = (planes, [x, y]) => planes.filter(({ begins }) => !begins || begins[0] * x + begins[1] * y + begins[2] > 0).at(-1) ?? planes[0];

/** @param {any} value A texture's. @returns {Lie} */
export const lieOf = ({ scale = 1, rotation = 0, offset = [0, 0] }) => ({ scale, rotation, offset });

/** Metres to repeats. @param {Point} size Metres of one repeat. @param {Lie} lie @param {Point} metres @returns {Point} */
function repeats(size, lie, [u, v]) {
  const turn = lie.rotation * RADIANS;
  const [width, height] = size.map((side) => side * lie.scale);
  return [(Math.cos(turn) * u + Math.sin(turn) * v) / width + lie.offset[0], (-Math.sin(turn) * u + Math.cos(turn) * v) / height + lie.offset[1]];
}

/** @param {number} value @returns {number} As an offset, which repeats. */
const wrapped = (value) => Math.round((value - Math.floor(value)) * 1e4) / 1e4;

/** Lie so that what was at one place of the plane is at another. @param {Point} size @param {Lie} from @param {Lie} to @param {Point} was @param {Point} is @returns {Lie} */
function held(size, from, to, was, is) {
  const [before, after] = [repeats(size, from, was), repeats(size, to, is)];
  return { ...to, offset: [wrapped(to.offset[0] + before[0] - after[0]), wrapped(to.offset[1] + before[1] - after[1])] };
}

/** @param {number} degrees @returns {number} -180..180 */
const turned = (degrees) => degrees - 360 * Math.round(degrees / 360);

/** Larger or smaller about a place that keeps its part of the picture. @param {Point} size @param {Lie} from @param {Point} about @param {number} by @returns {Lie} */
export function scaled(size, from, about, by) {
  const scale = Math.round(Math.min(SCALES[1], Math.max(SCALES[0], from.scale * by)) * 1000) / 1000;
  return held(size, from, { ...from, scale }, about, about);
}

/** @param {Point} size @param {Lie} from @param {Point} about @param {number} degrees @param {number} [step] @returns {Lie} */
export function rotated(size, from, about, degrees, step = 1) {
  return held(size, from, { ...from, rotation: turned(Math.round((from.rotation + degrees) / step) * step) }, about, about);
}

/** @param {Point} size @param {Lie} from @param {Point} was @param {Point} is @returns {Lie} */
export const moved = (size, from, was, is) => held(size, from, from, was, is);

/** @param {Point} from @param {Point} to @returns {number} Degrees from u towards v. */
export const angle = (from, to) => Math.atan2(to[1] - from[1], to[0] - from[0]) / RADIANS;

/**
 * The frame to hold a material by: some repeats around a place, as the photo shows them.
 *
 * @param {Laid} plane @param {Point} size @param {Lie} lie @param {Point} at Its middle. @param {(point: Point) => Point} pixels
 * @returns {{ corners: Point[], grip: Point, knob: Point } | null} Fractions: clockwise corners; where it is pulled larger; where it is turned.
 */
export function frameOf(plane, size, lie, at, pixels) {
  const middle = onPlane(plane, at);
  if (!middle) return null;
  const turn = lie.rotation * RADIANS;
  const along = [Math.cos(turn), Math.sin(turn)];
  const [width, height] = size.map((side) => side * lie.scale);
  const place = (/** @type {number} */ x, /** @type {number} */ y) => inPhoto(plane, [middle[0] + x * along[0] - y * along[1], middle[1] + x * along[1] + y * along[0]]);
  // As many repeats, or as small a share of one, as can be held: it keeps its shape and its turn.
  for (let times = 1, tries = 0; tries < 12; tries += 1) {
    const [x, y] = [(times * width) / 2, (times * height) / 2];
    const corners = [place(-x, -y), place(x, -y), place(x, y), place(-x, y)];
    const [grip, knob] = [place(x, y), place(1.5 * x, 0)];
    const whole = corners.every((corner) => corner !== null) && grip && knob;
    const reach = whole ? Math.max(...corners.map((corner) => distance(pixels(/** @type {Point} */ (corner)), pixels(at)))) : Infinity;
    if (reach > 150) times /= 2;
    else if (reach < 60) times *= 2;
    else return { corners: /** @type {Point[]} */ (corners), grip: /** @type {Point} */ (grip), knob: /** @type {Point} */ (knob) };
  }
  return null;
}

/** @param {Point} one @param {Point} two @returns {number} */
export const distance = ([x0, y0], [x1, y1]) => Math.hypot(x1 - x0, y1 - y0);

/** A rug around a place: a rectangle on the plane, corners clockwise in the photo from the top left one. @param {Laid | undefined} plane @param {Point} at @param {number} aspect Width over height of the picture's. @returns {Point[]} */
export function rugAt(plane, at, aspect) {
  const middle = plane && onPlane(plane, at);
  const flat = /** @type {Point[]} */ ([[-0.16, -0.07], [0.16, -0.07], [0.22, 0.09], [-0.22, 0.09]]).map(([x, y]) => /** @type {Point} */ ([at[0] + x, at[1] + y]));
  if (!plane || !middle) return flat.map(inReach);
  // Metres; on a floor, u leads away and v to the right.
  for (let half = 0.9; half > 0.1; half *= 0.8) {
    const [u, v] = plane.kind === "floor" || plane.kind === "ceiling" ? [half, half * aspect] : [half * aspect, half];
    const corners = [[-u, -v], [u, -v], [u, v], [-u, v]].map(([du, dv]) => inPhoto(plane, [middle[0] + du, middle[1] + dv]));
    const found = /** @type {Point[]} */ (corners.filter((corner) => corner && corner.every((part) => part > -0.05 && part < 1.05)));
    if (found.length < 4) continue;
    const clockwise = found.sort((one, two) => angle(at, one) - angle(at, two));
    const first = clockwise.indexOf(clockwise.reduce((best, corner) => (corner[0] + corner[1] < best[0] + best[1] ? corner : best)));
    const quad = [...clockwise.slice(first), ...clockwise.slice(0, first)].map(inReach);
    if (convex(quad)) return quad;
  }
  return flat.map(inReach);
}

/** @param {Point} corner @returns {Point} As far as a rug may run out of the photo. */
export const inReach = (corner) => /** @type {Point} */ (corner.map((part) => Math.round(Math.min(2, Math.max(-1, part)) * 1e4) / 1e4));

/** Whether four corners are those of a rug that the worker takes: convex, clockwise. @param {Point[]} quad @returns {boolean} */
export const convex = (quad) =>
  quad.every(([x, y], number) => {
    const [[x0, y0], [x1, y1]] = [quad[(number + 3) % 4], quad[(number + 1) % 4]];
    return (x - x0) * (y1 - y) - (y - y0) * (x1 - x) > 2e-5;
  });

/** @param {Point[]} quad @param {Point} point @returns {boolean} Whether it lies on a clockwise quadrilateral. */
export const inQuad = (quad, [x, y]) => quad.every(([x0, y0], number) => (quad[(number + 1) % 4][0] - x0) * (y - y0) - (quad[(number + 1) % 4][1] - y0) * (x - x0) >= 0);
