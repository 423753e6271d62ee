/** Mending masks: brush, eraser, polygon, and what is done to all of a mask. */

import { coverage, emptyMatte, filled, grown, paint, valueAt, withPolygon, writeMatte } from "./matte.js";
import { conceptOf, targetsOf } from "./targets.js";
import { t } from "./texts.js";

/** @typedef {import("./types.js").Matte} Matte */
/** @typedef {import("./types.js").Point} Point */

/** Pixels on the long side of a mended mask, as of previews; the worker refines its edges along the photo. */
const LONG_SIDE = 1200;

export class Mending {
  /** @type {Matte | null} The mask that is being painted, before the stroke ends. */
  wet = null;
  /** @type {Point | null} Where the stroke began. */ #begin = null;

  /** @param {import("./studio.js").Studio} studio */
  constructor(studio) {
    this.studio = studio;
  }

  /** @returns {string} The concept whose mask is mended. */
  get #concept() {
    return conceptOf(this.studio.doc, this.studio.ui.selected);
  }

  /** @returns {boolean} Whether the concept has parts with edits of their own: all of it is mended then, and points still tell them apart. */
  get #parted() {
    return targetsOf(this.studio.doc, this.#concept).length > 1;
  }

  /** @returns {Matte} The selected concept's mask, to paint on: 1200 pixels on the long side, as previews. */
  currentMask() {
    const { photo } = this.studio.doc;
    const scale = Math.min(1, LONG_SIDE / Math.max(photo?.width ?? 1, photo?.height ?? 1));
    const [width, height] = [Math.max(1, Math.round((photo?.width ?? 1) * scale)), Math.max(1, Math.round((photo?.height ?? 1) * scale))];
    const { doc, finder, ui } = this.studio;
    const matte = finder.matte(this.#parted ? this.#concept : ui.selected, this.#parted ? { ...doc, where: {} } : doc);
    if (!matte) return emptyMatte(width, height);
    return { ...matte, data: matte.data.slice() };
  }

  /** @param {Point} from @param {Point} to */
  stroke(from, to) {
    if (!this.studio.ui.selected) return;
    this.#begin ??= from;
    this.wet ??= this.currentMask();
    paint(this.wet, from, to, { ...this.studio.ui.brush, erase: this.studio.ui.tool === "erase" });
    this.wet = { ...this.wet };
    this.studio.redraw();
  }

  endStroke() {
    const [mask, begin] = [this.wet, this.#begin];
    this.#begin = null;
    if (mask) this.#setMask(mask, begin);
  }

  /** @param {Matte} matte @param {Point | null} [added] A place that now belongs to what is selected. */
  #setMask(matte, added = null) {
    const { doc, ui, finder } = this.studio;
    if (coverage(matte) === 0) {
      this.wet = null;
      return this.studio.say(t("mend.nothing"));
    }
    const base64 = writeMatte(matte);
    finder.keepMask(base64, matte);
    const masks = { ...doc.masks, [this.#concept]: base64 };
    if (!this.#parted) {
      // What points chose is in the mask now.
      const { [ui.selected]: _where, ...where } = doc.where;
      return this.studio.commit({ masks, where });
    }
    const own = doc.where[ui.selected];
    const shown = finder.matte(ui.selected, { ...doc, masks });
    const joins = own?.at.length && added && valueAt(matte, added) >= 128 && !(shown && valueAt(shown, added) >= 128);
    this.studio.commit({ masks, where: joins ? { ...doc.where, [ui.selected]: { ...own, at: [...own.at, added] } } : doc.where });
  }

  /** @param {"grow" | "shrink" | "fill"} how */
  mend(how) {
    if (!this.studio.ui.selected) return;
    const mask = this.currentMask();
    this.#setMask(how === "fill" ? filled(mask) : grown(mask, how === "grow" ? 2 : -2));
  }

  /** @param {Point} corner */
  addCorner(corner) {
    this.studio.show({ polygon: [...this.studio.ui.polygon, corner] });
  }

  endPolygon() {
    const { polygon, polygonErases } = this.studio.ui;
    this.studio.ui.polygon = [];
    if (polygon.length > 2 && this.studio.ui.selected) this.#setMask(withPolygon(this.currentMask(), polygon, polygonErases));
    else this.studio.notify();
  }
}
