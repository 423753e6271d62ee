/** One stop for Tab in a set of many buttons, and the arrows between them: whoever has no mouse need not pass eighty colours. */

/** @typedef {{ left: number, top: number }} Place */

/** @type {Record<string, (from: Place, to: Place) => boolean>} Whether a place lies in an arrow's direction. */
const TOWARDS = { ArrowUp: (from, to) => to.top < from.top - 1, ArrowDown: (from, to) => to.top > from.top + 1 };

/** For `onKeyDown` of what is around the buttons. @param {KeyboardEvent} event */
export function moveByArrows(event) {
  const around = /** @type {HTMLElement} */ (event.currentTarget);
  const all = [...around.querySelectorAll("button")];
  const at = all.findIndex((button) => button === event.target);
  if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  const to = target(all, at, event.key);
  if (to === undefined) return;
  event.preventDefault();
  for (const button of all) button.tabIndex = button === to ? 0 : -1;
  to.focus();
}

/** @param {HTMLElement[]} all @param {number} at @param {string} key @returns {HTMLElement | undefined} */
function target(all, at, key) {
  const along = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[key];
  if (along !== undefined) return all[along] ?? all[at];
  const is = TOWARDS[key];
  if (!is) return undefined;
  const from = all[at].getBoundingClientRect();
  const places = all.map((button) => ({ button, place: button.getBoundingClientRect() })).filter(({ place }) => is(from, place));
  const far = (/** @type {Place} */ place) => 10 * Math.abs(place.top - from.top) + Math.abs(place.left - from.left);
  return places.sort((one, two) => far(one.place) - far(two.place))[0]?.button ?? all[at];
}
