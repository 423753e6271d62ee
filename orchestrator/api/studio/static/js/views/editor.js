/** What is done to the selected concept in the look that is shown. */

import { html } from "../../vendor/preact.js";
import { lieOf, SCALES } from "../plane.js";
import { conceptOf, targetName } from "../targets.js";
import { conceptName, number, t, textureName } from "../texts.js";
import { moveByArrows } from "./arrows.js";
import { Colors } from "./colors.js";
import { Choice, Slider } from "./fields.js";
import { Picture } from "./picture.js";

/** @typedef {import("../studio.js").Studio} Studio */
/** @typedef {import("../types.js").Edit} Edit */

const ACTIONS = /** @type {const} */ (["recolor", "texture", "tone", "remove"]);
/** What a rug is made of where nothing is chosen. */
const RUG = "carpet";
const DIRECTIONS = ["", "along", "across"];
const TONES = /** @type {const} */ (["brightness", "contrast", "saturation", "warmth", "exposure"]);

/** @param {{ studio: Studio }} props */
export function Editor({ studio }) {
  const { ui, edit, doc } = studio;
  const name = ui.selected && targetName(doc, ui.selected);
  const rug = Boolean(edit?.value?.quad);
  if (!ui.selected) return html`<section class="panel"><h2>${t("edit.none")}</h2><p class="quiet">${t("edit.how")}</p></section>`;
  const shown = ui.action || edit?.action || "recolor";
  return html`<section class="panel editor" aria-labelledby="edit-title">
    <h2 id="edit-title">${name}</h2>
    ${!rug &&
    html`<div class="group segmented" role="group" aria-label=${t("edit.kind")}>
      ${ACTIONS.map(
        (action) => html`<button type="button" key=${action} aria-pressed=${String(shown === action)} onClick=${() => studio.show({ action })}>${t(`action.${action}`)}</button>`,
      )}
    </div>`}
    ${shown === "recolor" && html`<${Colors} studio=${studio} />`} ${shown === "texture" && html`<${Textures} studio=${studio} />`}
    ${shown === "tone" && html`<${Tone} studio=${studio} />`} ${shown === "remove" && html`<${Remove} studio=${studio} />`}
    ${edit && !rug && html`<button type="button" onClick=${() => studio.setEdit(null)}>${t("edit.clear", { name })}</button>`}
  </section>`;
}

/** @param {{ studio: Studio }} props */
function Textures({ studio }) {
  const { edit, names, api, ui, doc } = studio;
  const value = edit?.action === "texture" ? edit.value : { texture: "" };
  const set = (/** @type {object} */ change, /** @type {string} */ tag) => studio.setEdit({ action: "texture", value: { ...value, ...change } }, tag);
  const { scale, rotation } = lieOf(value);
  const chosen = names.textures.find(({ id }) => id === value.texture) ?? names.textures.find(({ id }) => id === RUG) ?? names.textures[0];
  const stop = value.texture || names.textures[0]?.id;
  return html`<ul class="textures" onKeyDown=${moveByArrows}>
      ${names.textures.map(
        (texture) =>
          html`<li key=${texture.id}>
            <button type="button" class="texture" aria-pressed=${String(texture.id === value.texture)} tabIndex=${texture.id === stop ? 0 : -1} onClick=${() => set({ texture: texture.id }, "")}>
              <${Picture} api=${api} path=${texture.picture_url} alt="" /><span>${textureName(texture)}</span>
            </button>
          </li>`,
      )}
    </ul>
    ${value.texture &&
    !value.quad &&
    html`<${Slider} label=${t("texture.scale")} value=${Math.log2(scale)} min=${Math.log2(SCALES[0])} max=${Math.log2(SCALES[1])} step=${0.1} shown=${`${number(scale * 100, 0)} %`} change=${(/** @type {number} */ power) => set({ scale: Math.round(2 ** power * 1000) / 1000 }, "scale")} />
      <${Slider} label=${t("texture.rotation")} value=${rotation} min=${-180} max=${180} step=${1} shown=${`${rotation}°`} change=${(/** @type {number} */ to) => set({ rotation: to }, "rotation")} />
      <${Choice} label=${t("texture.direction")} value=${typeof value.direction === "string" ? value.direction : ""} texts="direction" values=${DIRECTIONS} change=${(/** @type {string} */ to) => set({ direction: to || undefined }, "")} />`}
    ${value.texture && !value.direction && html`<label class="check"><input type="checkbox" checked=${ui.handles} onChange=${(/** @type {any} */ event) => studio.show({ handles: event.target.checked })} />${t("texture.handles")}</label>`}
    ${value.quad
      ? html`<p class="quiet">${t("texture.rug")}</p>
          <button type="button" onClick=${() => set({ quad: [...value.quad.slice(1), value.quad[0]] }, "")}>${t("texture.turn")}</button>`
      : chosen && html`<button type="button" onClick=${() => void studio.pointing.layRug(chosen.id, chosen.size_m[0] / chosen.size_m[1])}>${t("texture.lay", { texture: textureName(chosen), name: conceptName(conceptOf(doc, ui.selected)) })}</button>`}`;
}

/** @param {{ studio: Studio }} props */
function Tone({ studio }) {
  const { edit } = studio;
  const value = edit?.action === "tone" ? edit.value : {};
  return html`${TONES.map(
    (name) =>
      html`<${Slider} key=${name} label=${t(`tone.${name}`)} value=${value[name] ?? 0} min=${-1} max=${1} step=${0.02} shown=${number(value[name] ?? 0, 2)} change=${(/** @type {number} */ to) => studio.setEdit({ action: "tone", value: { ...value, [name]: to } }, `tone ${name}`)} />`,
  )}`;
}

/** @param {{ studio: Studio }} props */
function Remove({ studio }) {
  const { edit } = studio;
  const value = edit?.action === "remove" ? String(edit.value) : "";
  const background = value.startsWith("#") ? value : "#FFFFFF";
  return html`<div class="group column">
    ${/** @type {const} */ (["inpaint", "transparent"]).map(
      (how) => html`<button type="button" key=${how} aria-pressed=${String(value === how)} onClick=${() => studio.setEdit({ action: "remove", value: how })}>${t(`remove.${how}`)}</button>`,
    )}
    <label class="inline">${t("remove.color")}<input type="color" value=${background.toLowerCase()} onInput=${(/** @type {any} */ event) => studio.setEdit({ action: "remove", value: event.target.value.toUpperCase() }, "background")} /></label>
  </div>`;
}
