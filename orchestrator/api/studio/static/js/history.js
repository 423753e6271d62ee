/** Undo and redo: documents are never changed, only followed by others. */

const MAX_STEPS = 200;
const ONE_MOVE_MS = 1000;
/** What tags of one hold of a handle begin with: however long it takes, it is one move. */
export const HOLD = "hold ";

/** @template T */
export class History {
  /** @type {T[]} */ past = [];
  /** @type {T[]} */ future = [];
  #tag = "";
  #when = 0;

  /** @param {T} present */
  constructor(present) {
    this.present = present;
  }

  /**
   * Go on with another document. Changes with the same tag in quick succession, as of a slider that is pulled, are one.
   *
   * @param {T} next @param {string} [tag]
   */
  commit(next, tag = "") {
    if (next === this.present) return;
    const now = performance.now();
    const same = tag !== "" && tag === this.#tag && (tag.startsWith(HOLD) || now - this.#when < ONE_MOVE_MS);
    if (!same) this.past = [...this.past, this.present].slice(-MAX_STEPS);
    this.#tag = tag;
    this.#when = now;
    this.present = next;
    this.future = [];
  }

  undo() {
    const before = this.past.at(-1);
    if (before === undefined) return;
    this.past = this.past.slice(0, -1);
    this.future = [this.present, ...this.future];
    this.present = before;
    this.#tag = "";
  }

  redo() {
    const [next, ...rest] = this.future;
    if (next === undefined) return;
    this.past = [...this.past, this.present];
    this.future = rest;
    this.present = next;
    this.#tag = "";
  }
}
