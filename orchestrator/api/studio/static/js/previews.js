/** Previews of looks: the one that is shown follows every change at once, the others come when it has come. */

import { previewFormat, previewQuery } from "./message.js";

/** @typedef {import("./types.js").Doc} Doc */
/** @typedef {import("./types.js").Look} Look */
/** @typedef {{ picture: ImageBitmap, report: import("./types.js").Report | null }} Preview */

const LONG_SIDE = 1200;
const MAX_KEPT = 40;
/** What `respray bench studio` reads: from a changed edit to the picture that shows it. */
export const MEASURE = "respray:preview";

export class Previews {
  busy = false;
  /** @type {ImageBitmap | null} The photo as it is. */ base = null;
  /** @type {import("./types.js").Report["light"]} Of the photo. */ light = undefined;
  /** @type {Map<string, Preview>} */ #kept = new Map();
  /** @type {AbortController | null} */ #running = null;
  /** @type {Map<string, Preview>} */ #shown = new Map();
  #wanted = "";
  #photo = "";

  /** @param {import("./api.js").Api} api @param {() => void} notify @param {(error: unknown) => void} fail */
  constructor(api, notify, fail) {
    this.api = api;
    this.notify = notify;
    this.fail = fail;
  }

  stop() {
    this.#running?.abort();
    this.#kept.clear();
    this.#shown.clear();
    this.base = null;
    this.busy = false;
    this.#photo = this.#wanted = "";
  }

  /** See a photo as it is. Throws what the worker says of one that it cannot read. @param {Doc} doc */
  async start(doc) {
    const photo = doc.photo?.photo ?? "";
    if (photo === this.#photo && this.base) return;
    this.stop();
    this.#photo = photo;
    const { blob, report } = await this.api.preview(photo, { concepts: {}, long_side: LONG_SIDE });
    const picture = await createImageBitmap(blob);
    if (this.#photo !== photo) return;
    Object.assign(this, { base: picture, light: report.light });
    this.notify();
  }

  /** @param {Doc} doc @param {Look} look @returns {string} */
  #key(doc, look) {
    return `${doc.photo?.photo} ${JSON.stringify(previewQuery(doc, look))}`;
  }

  /** What a look is seen as: its picture, or an older one of it until that has come. @param {Doc} doc @param {Look} look @returns {Preview | null} */
  of(doc, look) {
    if (!this.base) return null;
    if (!Object.keys(look.edits).length) return { picture: this.base, report: null };
    return this.#kept.get(this.#key(doc, look)) ?? this.#shown.get(String(doc.looks.indexOf(look))) ?? null;
  }

  /** @param {Doc} doc @param {Look} look @returns {boolean} Whether what `of` gives is what the document says. */
  current(doc, look) {
    return !Object.keys(look.edits).length || this.#kept.has(this.#key(doc, look));
  }

  /** Bring the previews up to date: this look's first. @param {Doc} doc @param {Look} look */
  follow(doc, look) {
    const key = this.#key(doc, look);
    const others = doc.looks.filter((other) => other !== look);
    const wanted = JSON.stringify([key, ...others.map((other) => this.#key(doc, other))]);
    if (!doc.photo || (wanted === this.#wanted && this.busy)) return;
    this.#wanted = wanted;
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    void this.#run(doc, [look, ...others], running);
  }

  /** @param {Doc} doc @param {Look[]} looks @param {AbortController} running */
  async #run(doc, looks, running) {
    const began = performance.now();
    this.busy = true;
    try {
      for (const [index, look] of looks.entries()) {
        const key = this.#key(doc, look);
        if (!Object.keys(look.edits).length) continue;
        if (!this.#kept.has(key)) {
          const { blob, report } = await this.api.preview(doc.photo?.photo ?? "", this.#query(doc, look), running.signal);
          const picture = await createImageBitmap(blob);
          if (running.signal.aborted) return;
          this.#keep(key, { picture, report });
          if (index === 0) requestAnimationFrame(() => performance.measure(MEASURE, { start: began }));
        }
        this.#shown.set(String(doc.looks.indexOf(look)), /** @type {Preview} */ (this.#kept.get(key)));
        if (index === 0) this.busy = false;
        this.notify();
      }
    } catch (error) {
      if (!running.signal.aborted) this.fail(error);
    } finally {
      if (this.#running === running) {
        this.busy = false;
        this.notify();
      }
    }
  }

  /** @param {Doc} doc @param {Look} look @returns {object} */
  #query(doc, look) {
    return { ...previewQuery(doc, look), format: previewFormat(look), long_side: LONG_SIDE };
  }

  /** @param {string} key @param {Preview} preview */
  #keep(key, preview) {
    this.#kept.set(key, preview);
    for (const old of [...this.#kept.keys()].slice(0, Math.max(0, this.#kept.size - MAX_KEPT))) this.#kept.delete(old);
  }

  /**
   * A part of the photo, edited as a job edits it.
   *
   * @param {Doc} doc @param {Look} look @param {number[]} crop @param {number} side At most so many pixels of the part's longer side; 0: its own. @param {AbortSignal} signal
   */
  async tile(doc, look, crop, side, signal) {
    const { blob } = await this.api.preview(doc.photo?.photo ?? "", { ...this.#query(doc, look), crop, long_side: side }, signal);
    return createImageBitmap(blob);
  }
}
