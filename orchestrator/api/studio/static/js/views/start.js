/** How a photo comes in: dropped, pasted, picked, taken, or one of the demo's. */

import { html, useState } from "../../vendor/preact.js";
import { t } from "../texts.js";
import { Picture } from "./picture.js";

/** @typedef {import("../studio.js").Studio} Studio */

/** @param {File | undefined} file @param {Studio} studio */
function take(file, studio) {
  if (file) void studio.take(file, file.name);
}

/** @param {{ studio: Studio }} props */
export function Start({ studio }) {
  const { ui, names } = studio;
  if (ui.stage === "key") return html`<${KeyForm} studio=${studio} />`;
  if (ui.stage === "upload" || (ui.stage === "work" && !studio.doc.photo)) {
    const percent = Math.round(ui.progress * 100);
    return html`<div class="drop">
      <p>${ui.progress < 1 ? t("upload.sending", { percent }) : t("upload.reading")}</p>
      <progress max="1" value=${ui.progress < 1 ? ui.progress : undefined} aria-label=${t("upload.progress")}></progress>
    </div>`;
  }
  return html`<div class=${`drop ${ui.over ? "over" : ""}`}>
      <h2>${t("start.title")}</h2>
      <p>${t("start.how")}</p>
      <div class="group">
        <label class="button main"
          >${t("start.pick")}
          <input type="file" accept="image/*,.heic,.heif,.avif" class="hidden" onChange=${(/** @type {any} */ event) => take(event.target.files[0], studio)} />
        </label>
        <label class="button camera"
          >${t("start.camera")}
          <input type="file" accept="image/*" capture="environment" class="hidden" onChange=${(/** @type {any} */ event) => take(event.target.files[0], studio)} />
        </label>
      </div>
      <p class="quiet">${t("start.kinds")}</p>
      ${studio.doc.photo && html`<button type="button" onClick=${() => studio.back()}>${t("start.back")}</button>`}
    </div>
    ${names.demo.length > 0 &&
    html`<section class="demo" aria-labelledby="demo-title">
      <h2 id="demo-title">${t("start.demo")}</h2>
      <ul class="photos">
        ${names.demo.map(
          (demo, index) =>
            html`<li key=${demo.id}>
              <button type="button" class="photo" onClick=${() => void studio.takeDemo(demo)}>
                <${Picture} api=${studio.api} path=${demo.picture_url} alt=${t("start.room", { number: index + 1 })} />
              </button>
            </li>`,
        )}
      </ul>
    </section>`}`;
}

/** @param {{ studio: Studio }} props */
function KeyForm({ studio }) {
  const [key, setKey] = useState("");
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    studio.api.useKey(key.trim());
    void studio.open();
  };
  return html`<form class="drop" onSubmit=${send}>
    <h2>${t("key.title")}</h2>
    <p>${t("key.how")}</p>
    <label class="field">${t("key.label")}<input type="password" autocomplete="off" value=${key} onInput=${(/** @type {any} */ event) => setKey(event.target.value)} /></label>
    <button type="submit" class="main" disabled=${!key.trim()}>${t("key.use")}</button>
  </form>`;
}
