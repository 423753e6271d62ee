/** Colours: sRGB hex, CIE L*a*b* (D65), and CIEDE2000. */

/** @typedef {[number, number, number]} Triple */

/** @param {string} text @returns {string | null} `#RRGGBB` in capitals, or null for what is no colour. */
export function readHex(text) {
  const found = /^#?([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(text.trim());
  if (!found) return null;
  const digits = found[1].length === 3 ? [...found[1]].map((digit) => digit + digit).join("") : found[1];
  return `#${digits.toUpperCase()}`;
}

/** @param {string} hex @returns {Triple} 0..255 */
export function rgbOf(hex) {
  const number = parseInt(hex.slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

/** @param {Iterable<number>} rgb @returns {string} */
export function hexOf(rgb) {
  return `#${[...rgb].slice(0, 3).map((part) => part.toString(16).padStart(2, "0")).join("")}`.toUpperCase();
}

/** CIE L*a*b* with the D65 white of sRGB (IEC 61966-2-1). @param {string} hex @returns {Triple} */
export function labOf(hex) {
  const [r, g, b] = rgbOf(hex).map((part) => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const white = [0.95047, 1, 1.08883];
  const [x, y, z] = [
    0.4124564 * r + 0.3575761 * g + 0.1804375 * b,
    0.2126729 * r + 0.7151522 * g + 0.072175 * b,
    0.0193339 * r + 0.119192 * g + 0.9503041 * b,
  ].map((part, index) => {
    const value = part / white[index];
    return value > 216 / 24389 ? Math.cbrt(value) : ((24389 / 27) * value + 16) / 116;
  });
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

const rad = Math.PI / 180;

/**
 * CIEDE2000 (Sharma, Wu, Dalal 2005, doi:10.1002/col.20070).
 *
 * @param {Triple} one @param {Triple} two @returns {number}
 */
export function ciede2000([l1, a1, b1], [l2, a2, b2]) {
  const mean = (Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2;
  const g = 0.5 * (1 - Math.sqrt(mean ** 7 / (mean ** 7 + 25 ** 7)));
  const [p1, p2] = [a1 * (1 + g), a2 * (1 + g)];
  const [c1, c2] = [Math.hypot(p1, b1), Math.hypot(p2, b2)];
  const hue = (/** @type {number} */ a, /** @type {number} */ b) => (a || b ? (Math.atan2(b, a) / rad + 360) % 360 : 0);
  const [h1, h2] = [hue(p1, b1), hue(p2, b2)];
  const gray = c1 * c2 === 0;
  let turn = gray ? 0 : h2 - h1;
  if (turn > 180) turn -= 360;
  if (turn < -180) turn += 360;
  const dH = 2 * Math.sqrt(c1 * c2) * Math.sin((turn / 2) * rad);
  const [lm, cm] = [(l1 + l2) / 2, (c1 + c2) / 2];
  let hm = h1 + h2;
  if (!gray) {
    if (Math.abs(h1 - h2) > 180) hm += hm < 360 ? 360 : -360;
    hm /= 2;
  }
  const t =
    1 - 0.17 * Math.cos((hm - 30) * rad) + 0.24 * Math.cos(2 * hm * rad) + 0.32 * Math.cos((3 * hm + 6) * rad) - 0.2 * Math.cos((4 * hm - 63) * rad);
  const sl = 1 + (0.015 * (lm - 50) ** 2) / Math.sqrt(20 + (lm - 50) ** 2);
  const [sc, sh] = [1 + 0.045 * cm, 1 + 0.015 * cm * t];
  const rt = -2 * Math.sqrt(cm ** 7 / (cm ** 7 + 25 ** 7)) * Math.sin(60 * rad * Math.exp(-(((hm - 275) / 25) ** 2)));
  const [dl, dc, dh] = [(l2 - l1) / sl, (c2 - c1) / sc, dH / sh];
  return Math.sqrt(dl * dl + dc * dc + dh * dh + rt * dc * dh);
}

/**
 * Paints by their distance from a colour.
 *
 * @param {import("./types.js").Paint[]} paints @param {string} hex @param {number} count
 * @returns {{ paint: import("./types.js").Paint, distance: number }[]}
 */
export function nearest(paints, hex, count) {
  const target = labOf(hex);
  return paints
    .map((paint) => ({ paint, distance: ciede2000(target, labOf(paint.hex)) }))
    .sort((one, two) => one.distance - two.distance)
    .slice(0, count);
}
