/** The page's texts: one file a language, chosen by the browser's, switched by hand. */

export const LANGUAGES = { en: "English", ko: "한국어" };
const CHOSEN = "respray-language";

/** @type {Record<string, string>} */
let texts = {};
/** The worker's own sentences: how one is told, and what it says in this language. @type {{ told: RegExp, text: string }[]} */
let sentences = [];
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
  const worker = language === "en" ? {} : await (await fetch(`/studio/texts/said/${language}.json`)).json();
  sentences = Object.entries(worker).map(([sentence, text]) => ({ told: patternOf(sentence), text }));
  document.documentElement.lang = language;
  document.title = t("title");
}

/** @param {string} key @param {Record<string, string | number>} [values] What stands for `{name}` in the text. @returns {string} */
export function t(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** @param {string} sentence With `{name}` for what differs. @returns {RegExp} */
function patternOf(sentence) {
  const parts = sentence.split(/\{(\w+)\}/);
  return new RegExp(`^${parts.map((part, at) => (at % 2 ? `(?<${part}>.+?)` : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))).join("")}$`, "s");
}

/** A sentence of the worker in this language; as it is where this language has none for it. @param {string} sentence @returns {string} */
export function said(sentence) {
  for (const { told, text } of sentences) {
    const match = told.exec(sentence);
    if (match) return text.replace(/\{(\w+)\}/g, (whole, name) => valueOf(name, match.groups?.[name] ?? whole));
  }
  return sentence;
}

/** What stands in a sentence: names of concepts and further sentences have this language's words, too. @param {string} name @param {string} value */
function valueOf(name, value) {
  return name === "concept" || name === "on" ? conceptName(value) : name === "why" ? said(value) : value;
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
