/** Several looks: one after the other in a strip, or all side by side. */

import { html, useLayoutEffect, useRef } from "../../vendor/preact.js";
import { addLook, looksBefore, MAX_LOOKS, removeLook, renameLook } from "../looks.js";
import { t } from "../texts.js";
import { TextField } from "./text_field.js";

/** @typedef {import("../studio.js").Studio} Studio */
/** @typedef {import("../types.js").Look} Look */

/** @param {{ studio: Studio, look: Look, width: number }} props */
function Small({ studio, look, width }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const { doc, previews } = studio;
  const picture = previews.of(doc, look)?.picture ?? previews.base;
  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || !canvas.current || !picture) return;
    Object.assign(canvas.current, { width, height: Math.round((width * picture.height) / picture.width) });
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, canvas.current.width, canvas.current.height);
  }, [picture, width]);
  return html`<canvas ref=${canvas} aria-hidden="true" class=${previews.current(doc, look) ? "" : "old"}></canvas>`;
}

/** @param {{ studio: Studio }} props */
export function Looks({ studio }) {
  const { doc, look } = studio;
  const before = looksBefore(studio);
  return html`<section class="looks" aria-labelledby="looks-title">
    <h2 id="looks-title" class="hidden">${t("looks.title")}</h2>
    <ul class="strip">
      ${doc.looks.map(
        (other, index) =>
          html`<li key=${index}>
            <button type="button" class="look" aria-pressed=${String(other === look)} onClick=${() => studio.chooseLook(index)}>
              <${Small} studio=${studio} look=${other} width=${240} />
              <span class="name">${t("looks.name", { name: other.name })}</span>
            </button>
          </li>`,
      )}
      <li><button type="button" class="look add" disabled=${doc.looks.length >= MAX_LOOKS} onClick=${() => addLook(studio)}>${t("looks.add")}</button></li>
    </ul>
    <div class="row">
      <label class="inline">${t("looks.rename")}<${TextField} value=${look.name} most=${40} take=${(/** @type {string} */ name) => renameLook(studio, name)} /></label>
      <button type="button" disabled=${doc.looks.length < 2} onClick=${() => removeLook(studio)}>${t("looks.remove")}</button>
      ${before && html`<button type="button" onClick=${() => studio.commit(before)}>${t("looks.again")}</button>`}
    </div>
  </section>`;
}

/** All looks, large. @param {{ studio: Studio }} props */
export function Side({ studio }) {
  return html`<div class="side">
    ${studio.doc.looks.map(
      (look, index) =>
        html`<button type="button" key=${index} class="look" aria-pressed=${String(look === studio.look)} onClick=${() => studio.chooseLook(index)}>
          <${Small} studio=${studio} look=${look} width=${900} />
          <span class="name">${t("looks.name", { name: look.name })}</span>
        </button>`,
    )}
  </div>`;
}
