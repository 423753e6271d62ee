/** The page: what stands where. */

import { html, useLayoutEffect, useReducer } from "../../vendor/preact.js";
import { keepFocus } from "../focus.js";
import { LANGUAGES, language, loadTexts, said, t } from "../texts.js";
import { Concepts } from "./concepts.js";
import { Editor } from "./editor.js";
import { Looks } from "./looks.js";
import { Measured } from "./measured.js";
import { Out } from "./out.js";
import { Stage } from "./stage.js";
import { Start } from "./start.js";
import { Toolbar } from "./toolbar.js";

/** @typedef {import("../studio.js").Studio} Studio */

/** Take what is dropped or pasted anywhere: a page that does not would be left for the file. @param {Studio} studio */
function receiveFiles(studio) {
  const take = (/** @type {DataTransfer | null} */ data) => {
    const [file, ...others] = data?.files ?? [];
    if (file && studio.ui.stage !== "key") void studio.take(file, file.name, others.length);
  };
  const over = (/** @type {boolean} */ now) => studio.ui.over !== now && studio.show({ over: now });
  const paste = (/** @type {ClipboardEvent} */ event) => take(event.clipboardData);
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
  /** Words that are pulled into a field are that field's. @param {DragEvent} event */
  const isText = (event) => !hasFiles(event) && event.target instanceof HTMLInputElement;
  const drop = (/** @type {DragEvent} */ event) => {
    if (isText(event)) return;
    event.preventDefault();
    over(false);
    if (hasFiles(event)) take(event.dataTransfer);
    else studio.show({ error: t("photo.no_file") });
  };
  const drag = (/** @type {DragEvent} */ event) => {
    if (isText(event)) return;
    event.preventDefault();
    over(hasFiles(event));
  };
  const leave = (/** @type {DragEvent} */ event) => event.relatedTarget === null && over(false);
  const heard = /** @type {[string, any][]} */ ([["paste", paste], ["drop", drop], ["dragover", drag], ["dragleave", leave]]);
  for (const [name, listener] of heard) document.addEventListener(name, listener);
  return () => heard.forEach(([name, listener]) => document.removeEventListener(name, listener));
}

/** @param {{ studio: Studio }} props */
export function App({ studio }) {
  const [, again] = useReducer((/** @type {number} */ count) => count + 1, 0);
  // At once: effects that wait for a frame come, on a busy machine, after what the server has answered.
  useLayoutEffect(() => studio.subscribe(() => again(undefined)), [studio]);
  useLayoutEffect(() => receiveFiles(studio), [studio]);
  useLayoutEffect(keepFocus);
  const { ui, doc } = studio;
  const working = ui.stage === "work" && doc.photo;
  return html`
    ${working && html`<a class="skip" href="#edit">${t("skip")}</a>`}
    <${Header} studio=${studio} changed=${() => again(undefined)} />
    <${Alerts} studio=${studio} />
    ${working
      ? html`<main class="work">
          <${Concepts} studio=${studio} />
          <section class="middle" aria-label=${t("stage.region")}>
            <${Toolbar} studio=${studio} />
            <${Stage} studio=${studio} />
            <${Looks} studio=${studio} />
          </section>
          <div class="right" id="edit">
            <${Editor} studio=${studio} />
            <${Measured} studio=${studio} />
            <${Out} studio=${studio} />
          </div>
        </main>`
      : html`<main class="begin"><${Start} studio=${studio} /></main>`}
    ${working && ui.over && html`<div class="dropping"><p>${t("photo.drop")}</p></div>`}
    <div class="hidden" role="status" aria-live="polite">${ui.said}</div>
  `;
}

/** @param {{ studio: Studio, changed: () => void }} props */
function Header({ studio, changed }) {
  const { ui, history, doc, names } = studio;
  const working = ui.stage === "work" && doc.photo;
  return html`<header class="top">
    <h1><img src="/studio/icon.svg" alt="" width="28" height="28" />${t("title")}</h1>
    ${working &&
    html`<div class="group">
        <button type="button" onClick=${() => studio.undo()} disabled=${!history.past.length} title="Ctrl+Z">${t("undo")}</button>
        <button type="button" onClick=${() => studio.redo()} disabled=${!history.future.length} title="Ctrl+Shift+Z">${t("redo")}</button>
      </div>
      <label class="inline preset"
        ><span class="quiet">${t("preset")}</span>
        <select aria-label=${t("preset")} value=${doc.preset} onChange=${(/** @type {any} */ event) => studio.choosePreset(event.target.value)}>
          ${names.presets.map((preset) => html`<option value=${preset.name} selected=${preset.name === doc.preset}>${t(`preset.${preset.name}`)}</option>`)}
        </select>
      </label>
      <button type="button" onClick=${() => studio.leave()}>${t("photo.other")}</button>`}
    <label class="inline language"
      ><span class="hidden">${t("language")}</span>
      <select
        value=${language}
        onChange=${async (/** @type {any} */ event) => {
          await loadTexts(event.target.value);
          changed();
        }}
      >
        ${Object.entries(LANGUAGES).map(([tag, name]) => html`<option value=${tag} lang=${tag} selected=${tag === language}>${name}</option>`)}
      </select>
    </label>
  </header>`;
}

/** @param {{ studio: Studio }} props */
function Alerts({ studio }) {
  const { ui } = studio;
  return html`<div class="alerts" role="alert">
    ${ui.lost && html`<p class="alert">${t("lost")}</p>`}
    ${ui.error &&
    html`<p class="alert">
      <span>${said(ui.error)}</span>
      <button type="button" onClick=${() => studio.show({ error: null })}>${t("close")}</button>
    </p>`}
  </div>`;
}
