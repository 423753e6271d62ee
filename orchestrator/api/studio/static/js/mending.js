/** Mending masks: brush, eraser, polygon, and what is done to all of a mask. */

import { coverage, emptyMatte, filled, grown, paint, withPolygon, writeMatte } from "./matte.js";

/** @typedef {import("./types.js").Matte} Matte */
/** @typedef {import("./types.js").Point} Point */

/** Pixels on the long side of a mended mask, as of previews; the worker refines its edges along the photo. */
const LONG_SIDE = 1200;

export class Mending {
  /** @type {Matte | null} The mask that is being painted, before the stroke ends. */
  wet = null;

  /** @param {import("./studio.js").Studio} studio */
  constructor(studio) {
    this.studio = studio;
  }

  /** @returns {Matte} The selected concept's mask, to paint on: 1200 pixels on the long side, as previews. */
  currentMask() {
    const { photo } = this.studio.doc;
    const scale = Math.min(1, LONG_SIDE / Math.max(photo?.width ?? 1, photo?.height ?? 1));
    const [width, height] = [Math.max(1, Math.round((photo?.width ?? 1) * scale)), Math.max(1, Math.round((photo?.height ?? 1) * scale))];
    const matte = this.studio.finder.matte(this.studio.ui.selected, this.studio.doc);
    if (!matte) return emptyMatte(width, height);
    return { ...matte, data: matte.data.slice() };
  }

  /** @param {Point} from @param {Point} to */
  stroke(from, to) {
    if (!this.studio.ui.selected) return;
    this.wet ??= this.currentMask();
    paint(this.wet, from, to, { ...this.studio.ui.brush, erase: this.studio.ui.tool === "erase" });
    this.wet = { ...this.wet };
    this.studio.redraw();
  }

  endStroke() {
    if (this.wet) this.#setMask(this.wet);
  }

  /** @param {Matte} matte */
  #setMask(matte) {
    const { selected } = this.studio.ui;
    if (coverage(matte) === 0) {
      this.wet = null;
      return this.studio.notify();
    }
    const base64 = writeMatte(matte);
    this.studio.finder.keepMask(base64, matte);
    this.studio.commit({ masks: { ...this.studio.doc.masks, [selected]: base64 } });
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
