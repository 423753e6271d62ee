/** The page's texts: one file a language, chosen by the browser's, switched by hand. */

export const LANGUAGES = { en: "English", ko: "한국어" };
const CHOSEN = "respray-language";

/** @type {Record<string, string>} */
let texts = {};
export let language = "en";

/** @returns {string} */
function wanted() {
  const chosen = localStorage.getItem(CHOSEN);
  return [chosen, ...navigator.languages].map((tag) => tag?.slice(0, 2) ?? "").find((tag) => tag in LANGUAGES) ?? "en";
}

/** @param {string} [chosen] A language that was chosen by hand. */
export async function loadTexts(chosen) {
  if (chosen) localStorage.setItem(CHOSEN, chosen);
  language = wanted();
  const answers = await Promise.all([...new Set(["en", language])].map((tag) => fetch(`/studio/texts/${tag}.json`)));
  texts = Object.assign({}, ...(await Promise.all(answers.map((answer) => answer.json()))));
  document.documentElement.lang = language;
  document.title = t("title");
}

/** @param {string} key @param {Record<string, string | number>} [values] What stands for `{name}` in the text. @returns {string} */
export function t(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** A concept's name as people read it. @param {string} name @returns {string} */
export function conceptName(name) {
  return texts[`concept.${name}`] ?? name.replaceAll("_", " ");
}

/** @param {{ id: string, name: string }} texture @returns {string} As people read it: the catalogue's name, or this language's. */
export function textureName({ id, name }) {
  return texts[`texture.${id}`] ?? name;
}

/** @param {number} value @param {number} [digits] @returns {string} */
export function number(value, digits = 1) {
  return value.toLocaleString(language, { maximumFractionDigits: digits, minimumFractionDigits: digits });
}
