/** Tools for the photo: selecting, mending, looking. */

import { html } from "../../vendor/preact.js";
import { conceptName, t } from "../texts.js";

/** @typedef {import("../studio.js").Studio} Studio */

const TOOLS = /** @type {const} */ ([
  ["select", "V"],
  ["brush", "B"],
  ["erase", "E"],
  ["polygon", "P"],
]);

/** @param {{ studio: Studio }} props */
export function Toolbar({ studio }) {
  const { ui } = studio;
  const painting = ui.tool === "brush" || ui.tool === "erase";
  return html`<div class="toolbar">
    <div class="group segmented" role="group" aria-label=${t("tool.title")}>
      ${TOOLS.map(
        ([tool, key]) =>
          html`<button type="button" key=${tool} aria-pressed=${String(ui.tool === tool)} disabled=${tool !== "select" && !ui.selected} title=${`${t(`tool.${tool}.how`)} (${key})`} onClick=${() => studio.show({ tool, polygon: [] })}>${t(`tool.${tool}`)}</button>`,
      )}
    </div>
    ${painting &&
    html`<label class="inline">${t("brush.size")}<input type="range" min="0.005" max="0.3" step="0.005" value=${ui.brush.size} onInput=${(/** @type {any} */ event) => studio.show({ brush: { ...ui.brush, size: Number(event.target.value) } })} /></label>
      <label class="inline">${t("brush.softness")}<input type="range" min="0" max="1" step="0.05" value=${ui.brush.softness} onInput=${(/** @type {any} */ event) => studio.show({ brush: { ...ui.brush, softness: Number(event.target.value) } })} /></label>`}
    ${ui.tool === "polygon" &&
    html`<label class="check"><input type="checkbox" checked=${ui.polygonErases} onChange=${(/** @type {any} */ event) => studio.show({ polygonErases: event.target.checked })} />${t("polygon.erases")}</label>
      <button type="button" disabled=${ui.polygon.length < 3} onClick=${() => studio.mending.endPolygon()}>${t("polygon.end")}</button>`}
    ${ui.tool !== "select" &&
    ui.tool !== "pick" &&
    html`<div class="group">
      ${/** @type {const} */ (["grow", "shrink", "fill"]).map((how) => html`<button type="button" key=${how} onClick=${() => studio.mending.mend(how)}>${t(`mend.${how}`)}</button>`)}
    </div>`}
    <span class="grow"></span>
    <div class="group">
      <button type="button" aria-pressed=${String(ui.side)} disabled=${studio.doc.looks.length < 2} onClick=${() => studio.show({ side: !ui.side })}>${t("side")}</button>
      <button type="button" aria-pressed=${String(ui.zoom === "full")} title="1" onClick=${() => studio.show({ zoom: ui.zoom === "fit" ? "full" : "fit" })}>${t("zoom.full")}</button>
    </div>
    ${ui.tool !== "select" && ui.selected && html`<p class="hint">${ui.tool === "pick" ? t("pick.how") : t("tool.on", { name: conceptName(ui.selected) })}</p>`}
  </div>`;
}
