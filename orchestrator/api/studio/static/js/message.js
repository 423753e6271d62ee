/** Messages made from a document: previews, edits, and the job that makes the same pictures elsewhere. Pure functions. */

import { conceptOf, editedOf } from "./targets.js";

/** @typedef {import("./types.js").Doc} Doc */
/** @typedef {import("./types.js").Look} Look */

/** @param {Doc} doc @param {Look} look @returns {string[]} The concepts that it edits. */
const editedConcepts = (doc, look) => [...new Set(Object.keys(look.edits).map((target) => conceptOf(doc, target)))];

/** @param {Doc} doc @param {string} concept @returns {object} Its examples in boxes. */
export function boxesOf(doc, concept) {
  const given = doc.boxes[concept];
  return { ...(given?.boxes.length ? { boxes: given.boxes } : {}), ...(given?.not_boxes.length ? { not_boxes: given.not_boxes } : {}) };
}

/** @param {Doc} doc @param {Look} look @returns {Record<string, object>} The look's concepts as a palette message writes them. */
export function conceptsOf(doc, look) {
  return Object.fromEntries(
    editedConcepts(doc, look).map((concept) => {
      const edits = editedOf(doc, look, concept).map((target, number) => {
        const where = doc.where[target];
        return {
          ...look.edits[target],
          ...(where?.at.length ? { at: where.at } : {}),
          ...(where?.not_at.length ? { not_at: where.not_at } : {}),
          ...(number === 0 && !doc.masks[concept] ? boxesOf(doc, concept) : {}),
        };
      });
      return [concept, edits.length === 1 ? edits[0] : edits];
    }),
  );
}

/** What a look protects: what the document does, apart from what the look edits. @param {Doc} doc @param {Look} look @returns {string[]} */
export function protectOf(doc, look) {
  const edited = editedConcepts(doc, look);
  return doc.protect.filter((name) => !edited.includes(name));
}

/** @param {Doc} doc @param {Look[]} looks @returns {Record<string, { base64: string }>} Mended masks of concepts that are used. */
function masksOf(doc, looks) {
  const used = new Set(looks.flatMap((look) => [...editedConcepts(doc, look), ...protectOf(doc, look)]));
  return Object.fromEntries(
    Object.entries(doc.masks)
      .filter(([name]) => used.has(name))
      .map(([name, base64]) => [name, { base64 }]),
  );
}

/** @param {Doc} doc @param {Look} look @returns {object} The body of a preview, without its size. */
export function previewQuery(doc, look) {
  const masks = masksOf(doc, [look]);
  return {
    concepts: conceptsOf(doc, look),
    protect: protectOf(doc, look),
    preset: doc.preset,
    ...(Object.keys(masks).length ? { mask_keys: masks } : {}),
  };
}

/** What a preview is written as: transparency needs a format that has it. @param {Look} look @returns {"webp" | "jpeg"} */
export function previewFormat(look) {
  return Object.values(look.edits).some((edit) => edit.value === "transparent") ? "webp" : "jpeg";
}

/** @param {Doc} doc @param {Look} look @param {string} format @returns {object} The message of `POST /v1/edits`. */
export function editMessage(doc, look, format) {
  return { ...previewQuery(doc, look), options: { format } };
}

/**
 * The job with all looks for `respray run`, the photo and the masks inside it.
 *
 * @param {Doc} doc @param {string} format @param {string} photo Base64, or empty: it then lies under its key. @param {string} job
 * @returns {object}
 */
export function jobMessage(doc, format, photo, job) {
  const looks = doc.looks.filter((look) => Object.keys(look.edits).length);
  const masks = masksOf(doc, looks);
  const names = uniqueIds(looks.map((look) => look.name));
  return {
    job_id: job,
    user_id: "studio",
    preset: doc.preset,
    looks: looks.map((look, index) => ({ name: names[index], concepts: conceptsOf(doc, look), protect: protectOf(doc, look) })),
    options: { format },
    items: [
      {
        idx: 0,
        ...(photo ? { input_base64: photo } : { input_key: `inputs/studio/${job}/0` }),
        ...(Object.keys(masks).length ? { mask_keys: masks } : {}),
      },
    ],
  };
}

/**
 * Names as parts of keys: letters, digits, `_` and `-`, each once.
 *
 * @param {string[]} names @returns {string[]}
 */
export function uniqueIds(names) {
  /** @type {Set<string>} */
  const taken = new Set();
  return names.map((name, index) => {
    const plain = name.normalize("NFKD").replace(/[^A-Za-z0-9_-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40) || `look-${index + 1}`;
    let id = plain;
    for (let number = 2; taken.has(id.toLowerCase()); number += 1) id = `${plain}-${number}`;
    taken.add(id.toLowerCase());
    return id;
  });
}
