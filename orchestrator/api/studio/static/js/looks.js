/** Looks: named, added, taken away. */

/** @typedef {import("./studio.js").Studio} Studio */
/** @typedef {import("./types.js").Doc} Doc */

export const MAX_LOOKS = 12;

/** @param {Studio} studio @param {string} name */
export function renameLook(studio, name) {
  if (name.trim()) studio.setLook({ ...studio.look, name: name.trim().slice(0, 40) }, "rename");
}

/** Another look: what this one has, to go on from. @param {Studio} studio */
export function addLook(studio) {
  const { looks } = studio.doc;
  if (looks.length >= MAX_LOOKS) return;
  const number = Math.max(0, ...looks.map(({ name }) => (/^\d+$/.test(name) ? Number(name) : 0)), looks.length) + 1;
  studio.ui.look = looks.length;
  studio.commit({ looks: [...looks, { name: String(number), edits: { ...studio.look.edits } }] });
}

/** @param {Studio} studio */
export function removeLook(studio) {
  const { looks } = studio.doc;
  if (looks.length > 1) studio.commit({ looks: looks.filter((look) => look !== studio.look) });
}

/**
 * What the looks of the photo before do to whole concepts: points, boxes, masks and rugs are that photo's own.
 *
 * @param {Studio} studio @returns {Pick<Doc, "looks" | "names" | "protect"> | null} Null where there is nothing to take, or something to lose.
 */
export function looksBefore({ doc, history }) {
  const begun = (/** @type {Doc} */ { looks }) => looks.some(({ edits }) => Object.keys(edits).length > 0);
  const before = [...history.past].reverse().find((other) => other.photo && other.photo.photo !== doc.photo?.photo && begun(other));
  if (!before || begun(doc)) return null;
  const looks = before.looks
    .map((look) => ({ ...look, edits: Object.fromEntries(Object.entries(look.edits).filter(([target, { value }]) => !(target in before.more) && !value?.quad)) }))
    .filter(({ edits }) => Object.keys(edits).length > 0);
  return looks.length ? { looks, names: [...new Set([...doc.names, ...before.names])], protect: [...new Set([...doc.protect, ...before.protect])] } : null;
}
