/** What edits are for: concepts, and more parts of them that have edits of their own. Pure functions. */

import { conceptName, t } from "./texts.js";

/** @typedef {import("./types.js").Doc} Doc */
/** @typedef {import("./types.js").Look} Look */
/** @typedef {import("./types.js").EditReport} EditReport */

/** @param {Doc} doc @param {string} target @returns {string} */
export const conceptOf = (doc, target) => doc.more[target] ?? target;

/** @param {Doc} doc @param {string} concept @returns {string[]} The concept itself, and its further parts in the order in which they came. */
export const targetsOf = (doc, concept) => [concept, ...Object.keys(doc.more).filter((target) => doc.more[target] === concept)];

/** @param {Doc} doc @param {Look} look @param {string} concept @returns {string[]} Those that the look edits, in the order of the message. */
export const editedOf = (doc, look, concept) => targetsOf(doc, concept).filter((target) => look.edits[target]);

/** @param {Doc} doc @param {string} target @returns {boolean} Whether it is something that is laid on a concept, as a rug. */
export const isRug = (doc, target) => doc.looks.some((look) => look.edits[target]?.value?.quad);

/** @param {Doc} doc @param {string} concept @returns {string} A new target's id: one that no concept has. */
export function newTarget(doc, concept) {
  let number = 2;
  while (`${concept}\n${number}` in doc.more) number += 1;
  return `${concept}\n${number}`;
}

/** @param {Doc} doc @param {string} target @returns {string} As people read it. */
export function targetName(doc, target) {
  const concept = conceptOf(doc, target);
  const name = conceptName(concept);
  if (isRug(doc, target)) return target === concept ? name : t("target.rug", { name, number: Number(target.split("\n")[1]) - 1 });
  return target === concept ? name : `${name} ${target.split("\n")[1]}`;
}

/** What a report says of a target. @param {Doc} doc @param {Look} look @param {string} target @param {EditReport[]} edits @returns {EditReport | null} */
export function reportOf(doc, look, target, edits) {
  const concept = conceptOf(doc, target);
  const place = editedOf(doc, look, concept).indexOf(target);
  const own = edits.filter((edit) => edit.concept === concept);
  return place < 0 ? null : (own.find((edit) => edit.edit === place) ?? own[place] ?? null);
}
