/** Looks: named, added, taken away. */

/** @typedef {import("./studio.js").Studio} Studio */

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
