/** What is meant of the photo: surfaces under points, boxes as examples for SAM3, and what is laid on something. */

import { previewQuery } from "./message.js";
import { onPlane, planeAt, rugAt } from "./plane.js";
import { conceptOf, isRug, newTarget, reportOf, targetsOf } from "./targets.js";

/** @typedef {import("./types.js").Box} Box */
/** @typedef {import("./types.js").Doc} Doc */
/** @typedef {import("./types.js").Edit} Edit */
/** @typedef {import("./types.js").Look} Look */
/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./types.js").Where} Where */

/** As many as an edit may have, and as the graphs have room for. */
const MAX_POINTS = 64;
export const MAX_BOXES = 16;
/** Edits of one concept in one look. */
const MAX_TARGETS = 16;
/** Pixels of a preview that is made for its report only. */
const PROBE_SIDE = 600;
const NOWHERE = /** @type {Where} */ ({ at: [], not_at: [] });

export class Pointing {
  /** @param {import("./studio.js").Studio} studio */
  constructor(studio) {
    this.studio = studio;
  }

  /** @param {string} target @returns {Where} */
  #where(target) {
    return this.studio.doc.where[target] ?? NOWHERE;
  }

  /** @param {string} target @returns {boolean} Whether any look edits it. */
  #edited(target) {
    return this.studio.doc.looks.some(({ edits }) => edits[target]);
  }

  /** @param {string} target */
  #select(target) {
    this.studio.show({ selected: target, polygon: [] });
  }

  /** A click on the photo: the surface under it becomes the one that edits are for. @param {Point} point */
  point(point) {
    const { studio } = this;
    const { doc, finder, ui } = studio;
    const hit = finder.under(point, ui.selected, doc);
    if (!hit) return;
    const { concept, target } = hit;
    if (target && (isRug(doc, target) || (target !== ui.selected && this.#edited(target)))) return this.#select(target);
    if (target && !finder.several(target, point, doc)) return this.#select(target);
    if (target && this.#edited(target)) return this.#split(target, point);
    const taken = targetsOf(doc, concept).some((other) => other !== concept || this.#edited(other));
    if (!target && taken) return this.#add(concept, { at: [point], not_at: [] });
    const only = target || concept;
    studio.commit({ where: { ...doc.where, [only]: { at: [point], not_at: [] } } });
    this.#select(only);
  }

  /** @param {string} concept @param {Where} where @param {Partial<Doc>} [change] What else changes, as a function of the new target's id. */
  #add(concept, where, change = {}) {
    const { doc } = this.studio;
    if (targetsOf(doc, concept).length >= MAX_TARGETS) return;
    const target = newTarget(doc, concept);
    this.studio.commit({ ...change, more: { ...doc.more, [target]: concept }, where: { ...(change.where ?? doc.where), [target]: where } });
    this.#select(target);
  }

  /** What a target is at a point becomes one of its own, which begins as it is. @param {string} target @param {Point} point */
  #split(target, point) {
    const { doc } = this.studio;
    const concept = conceptOf(doc, target);
    const where = this.#where(target);
    if (where.not_at.length >= MAX_POINTS) return;
    const next = newTarget(doc, concept);
    const looks = doc.looks.map((look) => (look.edits[target] ? { ...look, edits: { ...look.edits, [next]: look.edits[target] } } : look));
    this.#add(concept, { at: [point], not_at: [] }, { looks, where: { ...doc.where, [target]: { ...where, not_at: [...where.not_at, point] } } });
  }

  /** @param {Point} point */
  leaveOut(point) {
    const { doc, ui } = this.studio;
    const where = this.#where(ui.selected);
    if (!ui.selected || where.not_at.length >= MAX_POINTS) return;
    this.studio.commit({ where: { ...doc.where, [ui.selected]: { ...where, not_at: [...where.not_at, point] } } });
  }

  /** What lies at a point goes with what is selected. @param {Point} point */
  join(point) {
    const { doc, finder, ui } = this.studio;
    const concept = conceptOf(doc, ui.selected);
    const hit = finder.under(point, ui.selected, doc);
    if (!hit || hit.concept !== concept || hit.target === ui.selected) return;
    const where = this.#where(ui.selected);
    if (where.at.length >= MAX_POINTS) return;
    const at = where.at.length ? [...where.at, point] : where.at;
    const not_at = where.not_at.filter((other) => !finder.together(concept, other, point, doc));
    const own = { ...doc.where, [ui.selected]: { at, not_at } };
    if (!hit.target) return this.studio.commit({ where: own });
    if (hit.target !== concept && !finder.several(hit.target, point, doc)) return this.forget(hit.target, own, ui.selected);
    const other = this.#where(hit.target);
    this.studio.commit({ where: { ...own, [hit.target]: { ...other, not_at: [...other.not_at, point] } } });
  }

  /** A target of its own goes back to its concept. @param {string} target @param {Record<string, Where>} [places] @param {string} [then] What is selected after that. */
  forget(target, places = this.studio.doc.where, then = conceptOf(this.studio.doc, target)) {
    const { doc } = this.studio;
    const concept = conceptOf(doc, target);
    const { [target]: gone, ...where } = places;
    const { [target]: _more, ...more } = doc.more;
    const base = where[concept];
    const same = (/** @type {Point} */ point) => gone?.at.some((other) => other[0] === point[0] && other[1] === point[1]);
    if (base && then === concept) where[concept] = { ...base, not_at: base.not_at.filter((point) => !same(point)) };
    this.studio.commit({ more, where, looks: doc.looks.map((look) => without(look, target)) });
    this.#select(then);
  }

  /** All of a concept again, as it was found: no points, boxes, mended mask, and no parts of their own. @param {string} concept */
  whole(concept) {
    const { doc } = this.studio;
    const parts = targetsOf(doc, concept).filter((target) => target !== concept && !isRug(doc, target));
    const left = (/** @type {Record<string, any>} */ of, /** @type {string[]} */ names) => Object.fromEntries(Object.entries(of).filter(([name]) => !names.includes(name)));
    this.studio.commit({
      where: left(doc.where, [concept, ...parts]),
      more: left(doc.more, parts),
      boxes: left(doc.boxes, [concept]),
      masks: left(doc.masks, [concept]),
      looks: doc.looks.map((look) => parts.reduce(without, look)),
    });
    this.#select(concept);
  }

  /** Show SAM3 an example of what is selected, or of what is not. @param {Box} box @param {boolean} not */
  addBox(box, not) {
    const { doc, ui } = this.studio;
    const concept = conceptOf(doc, ui.selected);
    const [x0, x1] = [box[0], box[2]].sort((one, two) => one - two);
    const [y0, y1] = [box[1], box[3]].sort((one, two) => one - two);
    const given = doc.boxes[concept] ?? { boxes: [], not_boxes: [] };
    if (!concept || x1 - x0 < 0.004 || y1 - y0 < 0.004 || given.boxes.length + given.not_boxes.length >= MAX_BOXES) return;
    const exact = /** @type {Box} */ ([x0, y0, x1, y1].map((value) => Math.round(value * 1e4) / 1e4));
    const use = not ? "not_boxes" : "boxes";
    this.#setBoxes(concept, { ...given, [use]: [...given[use], exact] });
  }

  /** Take away the smallest box at a point. @param {Point} point @returns {boolean} Whether there was one. */
  removeBox([x, y]) {
    const { doc, ui } = this.studio;
    const concept = conceptOf(doc, ui.selected);
    const given = doc.boxes[concept];
    const size = (/** @type {Box} */ [x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
    const hit = [...(given?.boxes ?? []), ...(given?.not_boxes ?? [])].filter(([x0, y0, x1, y1]) => x >= x0 && x <= x1 && y >= y0 && y <= y1).sort((one, two) => size(one) - size(two))[0];
    if (!hit) return false;
    this.#setBoxes(concept, { boxes: given.boxes.filter((box) => box !== hit), not_boxes: given.not_boxes.filter((box) => box !== hit) });
    return true;
  }

  /** @param {string} concept @param {import("./types.js").Boxes} boxes */
  #setBoxes(concept, boxes) {
    const { doc } = this.studio;
    const { [concept]: _mask, ...masks } = doc.masks; // a mended mask would hide what SAM3 finds with them
    this.studio.commit({ boxes: { ...doc.boxes, [concept]: boxes }, masks });
  }

  /** Where a target is held by, and a rug begins: a place on it. @param {string} target @returns {Point} */
  middle(target) {
    const { doc, finder } = this.studio;
    const matte = finder.matte(target, doc);
    if (!matte) return [0.5, 0.5];
    const { width, height, data } = matte;
    const step = Math.max(1, Math.round(Math.sqrt(data.length / 20_000)));
    /** @type {Point[]} */ const places = [];
    for (let y = step; y < height - step; y += step) for (let x = step; x < width - step; x += step) if (data[y * width + x] >= 128) places.push([(x + 0.5) / width, (y + 0.5) / height]);
    if (!places.length) return [0.5, 0.5];
    const mean = [0, 1].map((axis) => places.reduce((sum, place) => sum + place[axis], 0) / places.length);
    const away = (/** @type {Point} */ [x, y]) => (x - mean[0]) ** 2 + (y - mean[1]) ** 2;
    return places.reduce((best, place) => (away(place) < away(best) ? place : best));
  }

  /** Planes that the worker has told for a target, in this look. @param {string} target @returns {import("./types.js").Laid[]} */
  planes(target) {
    const { doc, look, previews } = this.studio;
    return reportOf(doc, look, target, previews.of(doc, look)?.report?.outputs[0]?.edits ?? [])?.laid ?? [];
  }

  /** Where a target's planes are, also where nothing lies on them yet. @param {string} target @param {string} texture @returns {Promise<import("./types.js").Laid[]>} */
  async #probed(target, texture) {
    const { api, doc } = this.studio;
    const known = this.planes(target).filter(({ kind }) => kind !== "quad");
    if (known.length || !doc.photo) return known;
    const look = { name: "", edits: { [target]: /** @type {Edit} */ ({ action: "texture", value: { texture } }) } };
    const { report } = await api.preview(doc.photo.photo, { ...previewQuery(doc, look), long_side: PROBE_SIDE });
    return report.outputs[0]?.edits[0]?.laid ?? [];
  }

  /** Lay a picture down once on what is selected. @param {string} texture @param {number} aspect */
  async layRug(texture, aspect) {
    const { studio } = this;
    const concept = conceptOf(studio.doc, studio.ui.selected);
    const at = this.middle(concept);
    /** @type {import("./types.js").Laid[]} */ let planes;
    try {
      planes = await this.#probed(concept, texture);
    } catch (error) {
      return studio.fail(error);
    }
    const { doc, look } = studio;
    const plane = planeAt(planes, at);
    const quad = rugAt(plane && onPlane(plane, at) ? plane : undefined, at, aspect);
    const edit = /** @type {Edit} */ ({ action: "texture", value: { texture, quad } });
    const target = newTarget(doc, concept);
    this.#add(concept, NOWHERE, { looks: doc.looks.map((other) => (other === look ? { ...look, edits: { ...look.edits, [target]: edit } } : other)) });
  }
}

/** @param {Look} look @param {string} target @returns {Look} */
function without(look, target) {
  const { [target]: _edit, ...edits } = look.edits;
  return { ...look, edits };
}
