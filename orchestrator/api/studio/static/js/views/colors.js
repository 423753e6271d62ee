/** Colours: the palette by family, by name, by likeness; any other by its hex, or from the photo. */

import { html, useMemo, useState } from "../../vendor/preact.js";
import { nearest, readHex } from "../color.js";
import { number, t } from "../texts.js";
import { moveByArrows } from "./arrows.js";
import { Choice, Slider } from "./fields.js";
import { TextField } from "./text_field.js";

/** @typedef {import("../studio.js").Studio} Studio */
/** @typedef {import("../types.js").Paint} Paint */

const NEAR = 12;
const SHEENS = ["", "matte", "satin", "gloss"];
/** What the browser's own colour field begins with: it knows no empty one. */
const NO_COLOR = "#808080";

/** @param {{ studio: Studio }} props */
export function Colors({ studio }) {
  const { names, edit, ui } = studio;
  const [query, setQuery] = useState("");
  const paints = useMemo(() => names.palette?.families.flatMap((family) => family.colors) ?? [], [names.palette]);
  const value = edit?.action === "recolor" ? edit.value : null;
  const color = value && typeof value === "object" ? value.color : value;
  const { strength = 1, sheen = "" } = value && typeof value === "object" ? value : {};
  const hex = edit?.action === "recolor" ? studio.hexOf(edit) : "";
  const set = (/** @type {string} */ to, /** @type {string} */ tag = "", { power = strength, gleam = sheen } = {}) => {
    const more = { ...(power === 1 ? {} : { strength: power }), ...(gleam ? { sheen: gleam } : {}) };
    studio.setEdit({ action: "recolor", value: Object.keys(more).length ? { color: to, ...more } : to }, tag);
  };
  const code = (/** @type {string} */ given) => {
    const found = readHex(given);
    if (found) set(found);
    else if (given.trim()) studio.say(t("color.wrong", { given }));
  };
  const sought = readHex(query) ?? (query ? null : ui.picked);
  const alike = sought ? nearest(paints, sought, NEAR) : [];
  const words = query.trim().toLowerCase();
  return html`<div class="row own" role="group" aria-label=${t("color.hex")}>
      <label><span class="hidden">${t("color.hex")}</span><input type="color" value=${(hex || NO_COLOR).toLowerCase()} onInput=${(/** @type {any} */ event) => set(event.target.value.toUpperCase(), "color")} /></label>
      <label class="code"><span class="hidden">${t("color.code")}</span><${TextField} value=${hex} most=${7} placeholder="#RRGGBB" take=${code} /></label>
      <button type="button" aria-pressed=${String(ui.tool === "pick")} onClick=${() => studio.show({ tool: ui.tool === "pick" ? "select" : "pick" })}>${t("color.pick")}</button>
    </div>
    ${color && html`<${Slider} label=${t("color.strength")} value=${strength} min=${0} max=${1} step=${0.05} shown=${`${number(strength * 100, 0)} %`} change=${(/** @type {number} */ to) => set(color, "strength", { power: to })} />
      <${Choice} label=${t("color.sheen")} value=${sheen} texts="sheen" values=${SHEENS} change=${(/** @type {string} */ to) => set(color, "", { gleam: to })} />`}
    <label class="field"><span>${t("color.search")}</span><input type="search" value=${query} placeholder=${t("color.example")} onInput=${(/** @type {any} */ event) => setQuery(event.target.value)} /></label>
    ${sought
      ? html`<div class="row near"><span class="dot" style=${{ background: sought }}></span><span>${t("color.nearest", { hex: sought })}</span>
            <button type="button" onClick=${() => set(sought)}>${t("color.exact")}</button>
            ${ui.picked && !query && html`<button type="button" onClick=${() => studio.show({ picked: null })}>${t("close")}</button>`}
          </div>
          <${Swatches} paints=${alike.map(({ paint }) => paint)} distances=${alike.map(({ distance }) => distance)} chosen=${color} choose=${(/** @type {string} */ id) => set(id)} />`
      : words
        ? html`<${Swatches} paints=${paints.filter(({ id, name, family }) => `${id} ${name} ${family}`.toLowerCase().includes(words))} chosen=${color} choose=${(/** @type {string} */ id) => set(id)} />`
        : html`<div class="families" onKeyDown=${moveByArrows}>
            ${names.palette?.families.map(
              (family) => html`<h3 key=${family.family}>${t(`family.${family.family}`)}</h3>
                <${Swatches} paints=${family.colors} stop=${paints.find(({ id }) => id === color) ?? paints[0]} chosen=${color} choose=${(/** @type {string} */ id) => set(id)} />`,
            )}
          </div>`}`;
}

/** @param {{ paints: Paint[], stop?: Paint, distances?: number[], chosen: string | null, choose: (id: string) => void }} props `stop`: where Tab stops among all. */
function Swatches({ paints, stop, distances, chosen, choose }) {
  if (!paints.length) return html`<p class="quiet">${t("color.none")}</p>`;
  return html`<ul class="swatches">
    ${paints.map((paint, index) => {
      const name = `${paint.name}, ${paint.hex}${distances ? `, ΔE ${number(distances[index], 1)}` : ""}`;
      return html`<li key=${paint.id}>
        <button type="button" class="swatch" style=${{ background: paint.hex }} title=${name} aria-label=${name} aria-pressed=${String(chosen === paint.id)} tabIndex=${stop && paint !== stop ? -1 : 0} onClick=${() => choose(paint.id)}></button>
        ${distances && html`<span class="quiet">${number(distances[index], 1)}</span>`}
      </li>`;
    })}
  </ul>`;
}
