/** What was found in the photo: concepts, their mattes, and what of them is meant. */

import { partAt, readMatte, union, valueAt, without } from "./matte.js";

/** @typedef {import("./types.js").Doc} Doc */
/** @typedef {import("./types.js").Found} Found */
/** @typedef {import("./types.js").Matte} Matte */
/** @typedef {import("./types.js").Point} Point */

/** Concepts of one request; what the preset protects is found along with them, and a message names 16 at most. */
const TOGETHER = 10;
const LONG_SIDE = 1200;

export class Finder {
  busy = false;
  /** @type {Map<string, Found>} */ #found = new Map();
  /** @type {Map<string, Matte[]>} Instances, by concept. */ #parts = new Map();
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
    return [...this.#found.values()].sort((one, two) => Number(two.found) - Number(one.found) || two.coverage - one.coverage);
  }

  stop() {
    this.#running?.abort();
    this.#found.clear();
    this.#parts.clear();
    this.#made.clear();
    this.#photo = "";
    this.busy = false;
  }

  /** Find a preset's concepts, and those that were typed. @param {Doc} doc @param {import("./types.js").PresetConcept[]} concepts */
  async start(doc, concepts) {
    const place = `${doc.preset}/${doc.photo?.photo}`;
    if (place !== this.#photo) this.stop();
    this.#photo = place;
    this.#surfaces = new Set(concepts.filter(({ kind }) => kind === "surface").map(({ name }) => name));
    await this.readMasks(doc);
    const names = [...concepts.map(({ name }) => name), ...doc.names].filter((name) => !this.#found.has(name));
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    this.busy = true;
    try {
      for (let first = 0; first < names.length; first += TOGETHER) await this.ask(doc, names.slice(first, first + TOGETHER), running.signal);
    } finally {
      if (this.#running === running) this.busy = false;
      this.notify();
    }
  }

  /** @param {Doc} doc @param {string[]} concepts @param {AbortSignal} [signal] */
  async ask(doc, concepts, signal) {
    const { photo } = doc;
    if (!photo) return;
    const answer = await this.api.segments(photo.photo, { concepts, preset: doc.preset }, signal);
    const scale = Math.min(1, LONG_SIDE / Math.max(photo.width, photo.height));
    for (const found of answer.concepts) {
      const pictures = answer.masks.filter(({ concept }) => concept === found.name);
      const parts = await Promise.all(pictures.map(({ picture }) => readMatte(picture, photo.width * scale, photo.height * scale)));
      if (signal?.aborted) return;
      this.#found.set(found.name, found);
      this.#parts.set(found.name, parts);
    }
    this.notify();
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

  /** All of a concept. @param {string} name @returns {Matte | null} */
  #whole(name) {
    const parts = this.#parts.get(name) ?? [];
    return parts.length ? this.#once(`whole ${name}`, () => union(parts)) : null;
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

  /** The part of a concept under a point: connected for a surface, an instance of an object. @param {string} name @param {Point} point */
  #part(name, point) {
    const whole = this.#whole(name);
    if (!whole) return null;
    if (this.#surfaces.has(name)) return partAt(whole, point);
    const hit = (this.#parts.get(name) ?? []).filter((part) => valueAt(part, point) >= 128);
    return hit.length ? union(hit) : null;
  }

  /** What is meant of a concept: its mended mask, or what was found, as far as its points say. @param {string} name @param {Doc} doc @returns {Matte | null} */
  matte(name, doc) {
    const mask = doc.masks[name];
    if (mask) return this.#made.get(mask) ?? null;
    const whole = this.#whole(name);
    const where = doc.where[name];
    if (!whole || !where || !(where.at.length || where.not_at.length)) return whole;
    return this.#once(`points ${name} ${JSON.stringify(where)}`, () => {
      const wanted = where.at.map((point) => this.#part(name, point)).filter((part) => part !== null);
      let matte = where.at.length ? (wanted.length ? union(wanted) : { ...whole, data: new Uint8ClampedArray(whole.data.length) }) : whole;
      for (const point of where.not_at) {
        const part = this.#part(name, point);
        if (part) matte = without(matte, part);
      }
      return matte;
    });
  }

  /** @param {string} name @param {Point} point @returns {number} Parts of a concept as far as it matters: 1 where a point means all of it. */
  parts(name, point) {
    const whole = this.#whole(name);
    const part = this.#part(name, point);
    if (!whole || !part) return 0;
    return part.data.reduce((sum, value) => sum + Number(value >= 128), 0) < 0.98 * whole.data.reduce((sum, value) => sum + Number(value >= 128), 0) ? 2 : 1;
  }

  /** The concept under a point: the one that is selected, if it is there, or else the smallest. @param {Point} point @param {string} selected @param {Doc} doc */
  under(point, selected, doc) {
    const names = [...new Set([...this.#found.keys(), ...Object.keys(doc.masks)])].filter((name) => {
      const mask = doc.masks[name] ? this.#made.get(doc.masks[name]) : this.#whole(name);
      return mask && valueAt(mask, point) >= 128;
    });
    if (names.includes(selected)) return selected;
    return names.sort((one, two) => (this.#found.get(one)?.coverage ?? 0) - (this.#found.get(two)?.coverage ?? 0))[0] ?? "";
  }
}
