/** Tools for the photo: selecting, mending, looking. */

import { html } from "../../vendor/preact.js";
import { conceptOf, targetName } from "../targets.js";
import { number, t } from "../texts.js";

/** @typedef {import("../studio.js").Studio} Studio */

const TOOLS = /** @type {const} */ ([
  ["select", "V"],
  ["box", "R"],
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
    <span class="grow"></span>
    <div class="group view">
      <button type="button" aria-pressed=${String(ui.side)} disabled=${studio.doc.looks.length < 2} onClick=${() => studio.show({ side: !ui.side })}>${t("side")}</button>
      <div class="group segmented" role="group" aria-label=${t("zoom.title")}>
        <button type="button" aria-label=${t("zoom.out")} title=${`${t("zoom.out")} (-)`} disabled=${ui.zoom === "fit"} onClick=${() => studio.zoom(1 / 1.5)}>−</button>
        <button type="button" class="zoom" aria-pressed=${String(ui.zoom === 1)} title="1" onClick=${() => studio.show({ zoom: ui.zoom === "fit" ? 1 : "fit" })}>${ui.zoom === "fit" || ui.zoom === 1 ? t("zoom.full") : t("zoom.percent", { percent: number(ui.zoom * 100, 0) })}</button>
        <button type="button" aria-label=${t("zoom.in")} title=${`${t("zoom.in")} (+)`} onClick=${() => studio.zoom(1.5)}>+</button>
      </div>
    </div>
    <div class="options">
      ${painting &&
      html`<label class="inline">${t("brush.size")}<input type="range" min="0.005" max="0.3" step="0.005" value=${ui.brush.size} onInput=${(/** @type {any} */ event) => studio.show({ brush: { ...ui.brush, size: Number(event.target.value) } })} /></label>
        <label class="inline">${t("brush.softness")}<input type="range" min="0" max="1" step="0.05" value=${ui.brush.softness} onInput=${(/** @type {any} */ event) => studio.show({ brush: { ...ui.brush, softness: Number(event.target.value) } })} /></label>`}
      ${ui.tool === "polygon" &&
      html`<label class="check"><input type="checkbox" checked=${ui.polygonErases} onChange=${(/** @type {any} */ event) => studio.show({ polygonErases: event.target.checked })} />${t("polygon.erases")}</label>
        <button type="button" disabled=${ui.polygon.length < 3} onClick=${() => studio.mending.endPolygon()}>${t("polygon.end")}</button>`}
      ${["brush", "erase", "polygon"].includes(ui.tool) &&
      html`<div class="group">
        ${/** @type {const} */ (["grow", "shrink", "fill"]).map((how) => html`<button type="button" key=${how} onClick=${() => studio.mending.mend(how)}>${t(`mend.${how}`)}</button>`)}
      </div>`}
      <p class="hint">${hint(studio)}</p>
    </div>
  </div>`;
}

/** What the tool in hand does. @param {Studio} studio @returns {string} */
function hint({ ui, doc }) {
  if (!ui.selected) return t("edit.how");
  const name = targetName(doc, ui.selected);
  if (ui.tool === "select") return t(matchMedia("(pointer: coarse)").matches ? "tool.select.touch" : "tool.select.hint");
  if (ui.tool === "pick") return t("pick.how");
  if (ui.tool === "box") return t(doc.masks[conceptOf(doc, ui.selected)] ? "tool.boxes.mended" : "tool.boxes", { name });
  return ui.tool === "polygon" ? t("tool.corners", { name }) : t("tool.on", { name });
}
