/** Fields with their names: a slider and what it stands at, one of a few words. */

import { html } from "../../vendor/preact.js";
import { t } from "../texts.js";

/** @param {{ label: string, value: number, min: number, max: number, step: number, shown: string, change: (value: number) => void }} props */
export function Slider({ label, value, min, max, step, shown, change }) {
  return html`<label class="slide"
    ><span>${label}</span><span class="shown" aria-hidden="true">${shown}</span>
    <input type="range" aria-valuetext=${shown} min=${min} max=${max} step=${step} value=${value} onInput=${(/** @type {any} */ event) => change(Number(event.target.value))} />
  </label>`;
}

/** One of a few words, of which the empty one is what nothing was said of. @param {{ label: string, value: string, texts: string, values: string[], change: (value: string) => void }} props */
export function Choice({ label, value, texts, values, change }) {
  return html`<label class="slide"
    ><span>${label}</span>
    <select value=${value} onChange=${(/** @type {any} */ event) => change(event.target.value)}>
      ${values.map((each) => html`<option key=${each} value=${each} selected=${each === value}>${t(`${texts}.${each}`)}</option>`)}
    </select></label
  >`;
}
