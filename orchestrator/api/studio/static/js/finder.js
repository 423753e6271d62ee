/** What was found in the photo: concepts, their mattes, and what of them is meant. */

import { partAt, readMatte, union, valueAt, without } from "./matte.js";
import { boxesOf } from "./message.js";
import { inQuad } from "./plane.js";
import { conceptOf, isRug, targetsOf } from "./targets.js";

/** @typedef {import("./types.js").Doc} Doc */
/** @typedef {import("./types.js").Found} Found */
/** @typedef {import("./types.js").Matte} Matte */
/** @typedef {import("./types.js").Point} Point */
/** @typedef {{ found: Found, parts: Matte[], warnings: string[] }} Answer What was found of a concept: its instances; and what the worker says of its boxes. */

/** Concepts of one request; what the preset protects is found along with them, and a message names 16 at most. */
const TOGETHER = 10;
const LONG_SIDE = 1200;

export class Finder {
  busy = false;
  /** Whether the photo was searched to the end: only then it can be said that nothing was found. */
  searched = false;
  /** @type {Map<string, Answer>} By concept. */ #answers = new Map();
  /** @type {Map<string, Answer>} By concept and its boxes: what is undone and redone need not be asked again. */ #kept = new Map();
  /** @type {Map<string, string>} The boxes that answers are for, or are being asked with. */ #asked = new Map();
  /** @type {Map<string, Matte>} Mended masks by their base64, and joined ones by what they are made of. */ #made = new Map();
  /** @type {Set<string>} */ #surfaces = new Set();
  /** @type {AbortController | null} */ #running = null;
  #photo = "";

  /** @param {import("./api.js").Api} api @param {() => void} notify */
  constructor(api, notify) {
    this.api = api;
    this.notify = notify;
  }

  /** @returns {Found[]} The found ones first, the larger before the smaller. */
  found() {
    return [...this.#answers.values()].map(({ found }) => found).sort((one, two) => Number(two.found) - Number(one.found) || two.coverage - one.coverage);
  }

  /** @param {string} name @returns {string[]} What the worker says of a concept's boxes. */
  warnings(name) {
    return this.#answers.get(name)?.warnings ?? [];
  }

  stop() {
    this.#running?.abort();
    this.#running = null;
    for (const map of [this.#answers, this.#kept, this.#asked, this.#made]) map.clear();
    this.#photo = "";
    this.busy = this.searched = false;
  }

  /** Find a preset's concepts, and those that were typed. @param {Doc} doc @param {import("./types.js").PresetConcept[]} concepts */
  async start(doc, concepts) {
    const place = `${doc.preset}/${doc.photo?.photo}`;
    if (place !== this.#photo) this.stop();
    this.#photo = place;
    this.#surfaces = new Set(concepts.filter(({ kind }) => kind === "surface").map(({ name }) => name));
    await this.readMasks(doc);
    const names = [...concepts.map(({ name }) => name), ...doc.names].filter((name) => !this.#answers.has(name));
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    this.busy = true;
    try {
      for (let first = 0; first < names.length; first += TOGETHER) await this.ask(doc, names.slice(first, first + TOGETHER), running.signal);
    } finally {
      if (this.#running === running) [this.busy, this.searched] = [false, true];
      this.notify();
    }
  }

  /** @param {Doc} doc @param {string[]} concepts @param {AbortSignal} [signal] */
  async ask(doc, concepts, signal) {
    const { photo } = doc;
    if (!photo || !concepts.length) return;
    const keys = new Map(concepts.map((name) => [name, JSON.stringify(boxesOf(doc, name))]));
    for (const [name, key] of keys) this.#asked.set(name, key);
    /** @param {"boxes" | "not_boxes"} use */
    const shown = (use) => Object.fromEntries(concepts.filter((name) => doc.boxes[name]?.[use].length).map((name) => [name, doc.boxes[name][use]]));
    const answer = await this.api.segments(photo.photo, { concepts, preset: doc.preset, boxes: shown("boxes"), not_boxes: shown("not_boxes") }, signal);
    const scale = Math.min(1, LONG_SIDE / Math.max(photo.width, photo.height));
    for (const found of answer.concepts) {
      const pictures = answer.masks.filter(({ concept }) => concept === found.name);
      const parts = await Promise.all(pictures.map(({ picture }) => readMatte(picture, photo.width * scale, photo.height * scale)));
      if (signal?.aborted || doc.photo?.photo !== this.#photo.split("/").at(-1)) return;
      const key = keys.get(found.name) ?? "";
      const kept = { found, parts, warnings: answer.warnings.filter((warning) => warning.includes(found.name)) };
      this.#kept.set(`${found.name} ${key}`, kept);
      if (this.#asked.get(found.name) === key) this.#answers.set(found.name, kept);
    }
    this.notify();
  }

  /** Look again for concepts whose boxes are others than before. @param {Doc} doc */
  async follow(doc) {
    const changed = [...this.#asked].filter(([name, key]) => key !== JSON.stringify(boxesOf(doc, name))).map(([name]) => name);
    for (const name of changed) {
      const key = JSON.stringify(boxesOf(doc, name));
      const kept = this.#kept.get(`${name} ${key}`);
      this.#asked.set(name, key);
      if (kept) this.#answers.set(name, kept);
      else {
        this.busy = true;
        try {
          await this.ask(doc, [name]);
        } catch (error) {
          this.#asked.set(name, "");
          throw error;
        } finally {
          this.busy = false;
          this.notify();
        }
      }
    }
  }

  /** @param {Doc} doc */
  async readMasks(doc) {
    const { photo } = doc;
    if (!photo) return;
    const scale = Math.min(1, LONG_SIDE / Math.max(photo.width, photo.height));
    for (const base64 of Object.values(doc.masks)) {
      if (this.#made.has(base64)) continue;
      this.#made.set(base64, await readMatte(`data:image/png;base64,${base64}`, photo.width * scale, photo.height * scale));
    }
  }

  /** @param {string} base64 @param {Matte} matte */
  keepMask(base64, matte) {
    this.#made.set(base64, matte);
  }

  /** All of a concept: its mended mask, or what was found. @param {string} name @param {Doc} doc @returns {Matte | null} */
  #whole(name, doc) {
    const mask = doc.masks[name];
    if (mask) return this.#made.get(mask) ?? null;
    const parts = this.#answers.get(name)?.parts ?? [];
    return parts.length ? this.#once(`whole ${name} ${this.#asked.get(name)}`, () => union(parts)) : null;
  }

  /** @param {string} key @param {() => Matte} make @returns {Matte} */
  #once(key, make) {
    const kept = this.#made.get(key);
    if (kept) return kept;
    if (this.#made.size > 60) for (const old of [...this.#made.keys()].filter((other) => other.includes(" "))) this.#made.delete(old);
    const made = make();
    this.#made.set(key, made);
    return made;
  }

  /** The part of a concept under a point: connected for a surface, an instance of an object. @param {string} name @param {Point} point @param {Doc} doc */
  #part(name, point, doc) {
    const whole = this.#whole(name, doc);
    if (!whole) return null;
    if (doc.masks[name] || this.#surfaces.has(name)) return partAt(whole, point);
    const hit = (this.#answers.get(name)?.parts ?? []).filter((part) => valueAt(part, point) >= 128);
    return hit.length ? union(hit) : null;
  }

  /** What is meant: a concept, mended or as it was found, as far as the target's points say. @param {string} target @param {Doc} doc @returns {Matte | null} */
  matte(target, doc) {
    const name = conceptOf(doc, target);
    const whole = this.#whole(name, doc);
    const where = doc.where[target];
    if (!whole || !where || !(where.at.length || where.not_at.length)) return whole;
    return this.#once(`points ${name} ${JSON.stringify(where)} ${doc.masks[name] ?? this.#asked.get(name)}`, () => {
      const wanted = where.at.map((point) => this.#part(name, point, doc)).filter((part) => part !== null);
      let matte = where.at.length ? (wanted.length ? union(wanted) : { ...whole, data: new Uint8ClampedArray(whole.data.length) }) : whole;
      for (const point of where.not_at) {
        const part = this.#part(name, point, doc);
        if (part) matte = without(matte, part);
      }
      return matte;
    });
  }

  /** @param {string} concept @param {Point} one @param {Point} two @param {Doc} doc @returns {boolean} Whether two points are on the same part. */
  together(concept, one, two, doc) {
    const part = this.#part(concept, one, doc);
    return part !== null && valueAt(part, two) >= 128;
  }

  /** @param {string} target @param {Point} point @param {Doc} doc @returns {boolean} Whether a target is more than its part at a point. */
  several(target, point, doc) {
    const part = this.#part(conceptOf(doc, target), point, doc);
    const all = this.matte(target, doc);
    const size = (/** @type {Matte} */ { data }) => data.reduce((sum, value) => sum + Number(value >= 128), 0);
    return part !== null && all !== null && size(part) > 0 && size(part) < 0.98 * size(all);
  }

  /**
   * What lies at a point: of the concept that is selected if it is there, or else of the smallest; of its targets the one that is meant there.
   *
   * @param {Point} point @param {string} selected @param {Doc} doc @returns {{ concept: string, target: string } | null} `target` is empty where none of them is.
   */
  under(point, selected, doc) {
    const rug = Object.keys(doc.more).find((target) => doc.looks.some(({ edits }) => edits[target]?.value?.quad && inQuad(edits[target].value.quad, point)));
    if (rug) return { concept: conceptOf(doc, rug), target: rug };
    const at = (/** @type {Matte | null} */ matte) => matte !== null && valueAt(matte, point) >= 128;
    const names = [...new Set([...this.#answers.keys(), ...Object.keys(doc.masks)])].filter((name) => at(this.#whole(name, doc)));
    const size = (/** @type {string} */ name) => this.#answers.get(name)?.found.coverage ?? 0;
    const own = conceptOf(doc, selected);
    const concept = names.includes(own) ? own : names.sort((one, two) => size(one) - size(two))[0];
    if (!concept) return null;
    const targets = targetsOf(doc, concept).filter((target) => !isRug(doc, target) && at(this.matte(target, doc)));
    return { concept, target: targets.includes(selected) ? selected : (targets.at(-1) ?? "") };
  }
}
