/** The studio's state and everything that can be done with it. No DOM of the page: the views show it and call it. */

import { Api, Problem } from "./api.js";
import { History } from "./history.js";
import { Finder } from "./finder.js";
import { Previews } from "./previews.js";
import { Mending } from "./mending.js";
import { Pointing } from "./pointing.js";
import { conceptOf } from "./targets.js";
import { t } from "./texts.js";
import { enter, follow, isFollowed, keep, kept, link, readdress, view } from "./visits.js";

/** @typedef {import("./types.js").Doc} Doc */
/** @typedef {import("./types.js").Look} Look */
/** @typedef {import("./types.js").Edit} Edit */
/** @typedef {import("./types.js").Point} Point */
/** @typedef {"select" | "box" | "brush" | "erase" | "polygon" | "pick"} Tool */

/** @param {string} name @returns {Look} */
const newLook = (name) => ({ name, edits: {} });

/** @returns {Doc} */
const newDoc = () => ({ photo: null, name: "", preset: "interior", names: [], protect: [], more: {}, where: {}, boxes: {}, masks: {}, looks: [newLook("1")] });

/** @param {Doc} doc @returns {string} */
const placeOf = ({ photo, preset }) => `${photo?.photo} ${preset}`;

/** Whether the server was not reached, does not work yet (503), or has too much to do for now (429). @param {unknown} error */
const isAway = (error) => error instanceof Problem && [0, 429, 503].includes(error.status);

/** A folder, or a file that is gone: its upload fails as one to a server that is away, and would be tried forever. @param {Blob} file @param {string} name */
async function checkReadable(file, name) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Error(t("photo.unreadable", { name }));
  }
}

export class Studio {
  api = new Api();
  history = new History(newDoc());
  finder = new Finder(this.api, () => this.notify());
  previews = new Previews(this.api, () => this.notify(), (error) => this.fail(error));
  mending = new Mending(this);
  pointing = new Pointing(this);
  /** @type {{ palette: import("./types.js").Palette | null, presets: import("./types.js").Preset[], textures: import("./types.js").Texture[], demo: import("./types.js").DemoPhoto[] }} */
  names = { palette: null, presets: [], textures: [], demo: [] };
  ui = {
    /** @type {"start" | "upload" | "work" | "key"} */ stage: "start",
    progress: 0,
    /** @type {string | null} */ error: null,
    said: "",
    lost: false,
    /** Whether a file is dragged over the page. */ over: false,
    selected: "",
    hover: "",
    look: 0,
    /** @type {import("./types.js").Edit["action"] | ""} What the editor shows; empty: what the concept has. */ action: "",
    /** @type {Tool} */ tool: "select",
    brush: { size: 0.06, softness: 0.4 },
    /** @type {Point[]} */ polygon: [],
    polygonErases: false,
    /** @type {"fit" | number} Of the photo's own pixels: 1 is 100 %. */ zoom: "fit",
    /** Whether materials are held by handles on the photo. */ handles: true,
    /** @type {Record<string, Point>} Where they are held, by target. */ held: {},
    slider: 1,
    side: false,
    /** @type {string | null} */ picked: null,
    busy: "",
  };
  /** Draw the photo again, and nothing else of the page. */
  redraw = () => {};
  /** Nearer or further about the middle of what is seen: the photo's view knows where that is. @type {(by: number) => void} */
  zoom = () => {};
  /** @type {Set<() => void>} */ #views = new Set();
  #retry = 0;
  #taking = 0;
  /** @type {(() => void) | null} What is done when the server is there again. */ #waiting = null;
  /** Photo and preset that are worked on. */ #place = "";

  get doc() {
    return this.history.present;
  }

  get look() {
    return this.doc.looks[Math.min(this.ui.look, this.doc.looks.length - 1)];
  }

  /** @returns {Edit | null} The selected concept's edit in the look that is shown. */
  get edit() {
    return this.look.edits[this.ui.selected] ?? null;
  }

  /** @param {() => void} view @returns {() => void} */
  subscribe(view) {
    this.#views.add(view);
    return () => void this.#views.delete(view);
  }

  notify() {
    for (const view of this.#views) view();
  }

  /** @param {Partial<Studio["ui"]>} change */
  show(change) {
    if (change.selected !== undefined && change.selected !== this.ui.selected) this.ui.action = "";
    if (change.tool || change.zoom) this.ui.side = false; // they are for the one photo that is seen
    Object.assign(this.ui, change);
    this.notify();
  }

  /** Say something to whoever listens to the page. @param {string} said */
  say(said) {
    this.show({ said });
  }

  /** @param {unknown} error */
  fail(error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (error instanceof Problem && error.status === 401) return this.show({ stage: "key", error: this.api.key ? error.message : null });
    if (isAway(error)) return this.#lose();
    this.show({ error: error instanceof Error ? error.message : String(error) });
  }

  /** The server is not reached: ask until it is, then go on where it was. */
  #lose() {
    this.show({ lost: true });
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.reconnect(), 1000);
  }

  async reconnect() {
    try {
      await this.api.get("/v1/presets");
    } catch (error) {
      return this.fail(error);
    }
    this.show({ lost: false });
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting) waiting();
    else if (!this.names.palette) await this.open();
    else if (this.doc.photo && this.ui.stage === "work") await this.#photoReady();
  }

  /** Read what may be named, and the session that the address or this tab names. */
  async open() {
    try {
      const [palettes, presets, textures, demo] = await Promise.all([
        this.api.get("/v1/palettes"),
        this.api.get("/v1/presets"),
        this.api.get("/v1/textures"),
        this.api.get("/v1/demo-photos"),
      ]);
      this.names = { palette: palettes[0], presets, textures, demo };
      this.show({ stage: "start", error: null, lost: false });
      if (await this.followLink()) return;
      if (this.doc.photo) return void (await this.#photoReady()); // a key was asked for in the middle
      const work = kept();
      if (work) await this.#reopen(JSON.parse(work), view() === "start");
      if (!this.doc.photo) enter("start");
    } catch (error) {
      this.fail(error);
    }
  }

  /** Open what the address names, once. What was done since then is the tab's. @returns {Promise<boolean>} Whether it was opened. */
  async followLink() {
    const session = link();
    if (!session || isFollowed(session)) return false;
    const { document } = await this.api.get(`/v1/sessions/${encodeURIComponent(session)}`);
    follow(session);
    await this.#reopen(document);
    return true;
  }

  /** @param {unknown} document @param {boolean} [aside] Whether another photo is being chosen. */
  async #reopen(document, aside = false) {
    const doc = { ...newDoc(), .../** @type {Doc} */ (document) };
    if (!doc.photo || !Array.isArray(doc.looks) || !doc.looks.length || !doc.looks.every((look) => look?.edits)) return;
    if (this.doc.photo) this.history.commit(doc);
    else this.history = new History(doc);
    this.ui.look = 0;
    if (aside) this.notify();
    else await this.#photoReady();
  }

  /** Go on with another document. @param {Partial<Doc>} change @param {string} [tag] */
  commit(change, tag) {
    this.history.commit({ ...this.doc, ...change }, tag);
    this.#changed();
  }

  undo() {
    if (this.history.past.length) this.ui.said = t("undone");
    this.ui.hover = "";
    this.history.undo();
    this.#changed();
  }

  redo() {
    if (this.history.future.length) this.ui.said = t("redone");
    this.ui.hover = "";
    this.history.redo();
    this.#changed();
  }

  #changed() {
    const { doc, ui } = this;
    ui.look = Math.min(ui.look, doc.looks.length - 1);
    if (ui.selected.includes("\n") && !(ui.selected in doc.more)) ui.selected = conceptOf(doc, ui.selected.split("\n")[0]);
    this.mending.wet = null;
    keep(doc);
    if (doc.photo && ui.stage === "work" && this.#place !== placeOf(doc)) return void this.#photoReady();
    this.previews.follow(doc, this.look);
    if (!this.finder.busy) this.finder.follow(doc).catch((error) => this.fail(error));
    this.notify();
  }

  // A photo

  /** A photo of one's own. What was done with the one before is an undo away. @param {Blob} file @param {string} name @param {number} [others] How many came along. */
  async take(file, name, others = 0) {
    const taking = (this.#taking += 1);
    this.show({ stage: "upload", progress: 0, error: null, said: "" });
    try {
      await checkReadable(file, name);
      const photo = await this.api.upload(file, (progress) => taking === this.#taking && this.show({ progress }));
      if (taking !== this.#taking) return;
      if (this.doc.photo) this.history.commit({ ...newDoc(), preset: this.doc.preset, photo, name });
      else this.history = new History({ ...newDoc(), preset: this.doc.preset, photo, name });
      readdress("");
      const ready = this.#photoReady();
      if (others) this.show({ error: t("photo.many", { name, count: others }) });
      await ready;
    } catch (error) {
      if (taking !== this.#taking) return;
      // A server that is starting, or gone for a moment: the photo is sent when it is there.
      this.#waiting = isAway(error) ? () => void this.take(file, name, others) : null;
      if (!this.#waiting) this.show({ stage: this.doc.photo ? "work" : "start" });
      this.fail(error);
    }
  }

  /** @param {import("./types.js").DemoPhoto} demo */
  async takeDemo(demo) {
    this.show({ stage: "upload", progress: 0 });
    try {
      await this.take(await this.api.blob(demo.picture_url), demo.name);
    } catch (error) {
      this.show({ stage: "start" });
      this.fail(error);
    }
  }

  async #photoReady() {
    const { doc } = this;
    if (!doc.photo) return;
    const place = placeOf(doc);
    if (place.split(" ")[0] !== this.#place.split(" ")[0]) {
      this.finder.stop(); // what was found in another photo is not in this one
      Object.assign(this.ui, { look: 0, selected: "", hover: "", tool: "select", polygon: [], zoom: "fit", slider: 1, side: false, held: {} });
    }
    this.#place = place;
    this.show({ stage: "work", error: null });
    enter("work");
    try {
      await this.previews.start(doc);
    } catch (error) {
      if (this.#place === place) this.#unreadable(error);
      return;
    }
    if (this.#place !== place) return;
    this.#changed();
    const preset = this.names.presets.find(({ name }) => name === doc.preset);
    try {
      const { searched } = this.finder;
      await this.finder.start(doc, preset ? preset.concepts : []);
      if (!searched) this.say(t("found.said", { count: this.finder.found().filter(({ found }) => found).length }));
    } catch (error) {
      this.fail(error);
    }
    // After a reload, what was worked on.
    if (!this.ui.selected) this.show({ selected: Object.keys(this.look.edits)[0] ?? this.finder.found().find(({ found }) => found)?.name ?? "" });
  }

  /** A photo whose header is one and whose data is not: back to where it came in. @param {unknown} error */
  #unreadable(error) {
    this.#place = "";
    if (!isAway(error)) {
      const { past } = this.history;
      this.history = new History(past.at(-1) ?? newDoc());
      this.history.past = past.slice(0, -1);
      if (!past.length) keep(null);
      this.show({ stage: "start" });
      enter("start");
    }
    this.fail(error);
  }

  /** Choose another photo; the one at hand stays until there is one. */
  leave() {
    this.show({ stage: "start", error: null });
    enter("start");
  }

  /** Go on with the photo at hand. */
  back() {
    this.show({ stage: "work", error: null });
    enter("work");
    this.#changed();
  }

  /** The browser's back or forward. A photo that is on its way in is let go. @param {import("./visits.js").View} [to] */
  visit(to) {
    if (this.ui.stage === "key" || !to) return;
    this.#taking += 1;
    this.#waiting = null;
    if (to === "work" && this.doc.photo) this.back();
    else this.leave();
  }

  /** @param {string} preset */
  choosePreset(preset) {
    if (preset === this.doc.preset) return;
    this.commit({ preset });
  }

  // Concepts

  /** @param {string} text */
  async ask(text) {
    const name = text.trim();
    if (!name) return;
    const known = this.finder.found().find((found) => found.name.toLowerCase() === name.toLowerCase());
    if (known) return this.show({ selected: known.name });
    try {
      this.show({ busy: "find", error: null });
      await this.finder.ask(this.doc, [name]);
      this.commit({ names: [...this.doc.names, name] });
      this.show({ selected: name });
    } catch (error) {
      this.fail(error);
    } finally {
      this.show({ busy: "" });
    }
  }

  /** @param {string} name @param {boolean} on */
  protect(name, on) {
    this.commit({ protect: on ? [...this.doc.protect, name] : this.doc.protect.filter((other) => other !== name) });
  }

  // Edits and looks

  /** @param {number} look */
  chooseLook(look) {
    this.ui.look = look;
    this.#changed();
  }

  /** @param {Edit | null} edit @param {string} [tag] */
  setEdit(edit, tag) {
    const { selected } = this.ui;
    if (!selected) return;
    const { [selected]: old, ...others } = this.look.edits;
    if (edit) return this.setLook({ ...this.look, edits: { ...this.look.edits, [selected]: edit } }, tag);
    if (old?.value?.quad) return this.pointing.forget(selected); // a rug is nothing but its edit
    this.setLook({ ...this.look, edits: others }, tag);
  }

  /** The look that is shown is another. @param {Look} look @param {string} [tag] */
  setLook(look, tag) {
    this.ui.hover = ""; // what is changed is looked at: its new colour, and not the light on it
    this.commit({ looks: this.doc.looks.map((other) => (other === this.look ? look : other)) }, tag);
  }

  /** @param {Edit} edit @returns {string} A recolouring's hex. */
  hexOf(edit) {
    const color = String(typeof edit.value === "object" ? edit.value.color : edit.value);
    if (color.startsWith("#")) return color;
    return this.names.palette?.families.flatMap(({ colors }) => colors).find(({ id }) => id === color)?.hex ?? "";
  }
}
