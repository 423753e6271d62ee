/** A slider with its name and what it stands at. */

import { html } from "../../vendor/preact.js";

/** @param {{ label: string, value: number, min: number, max: number, step: number, shown: string, change: (value: number) => void }} props */
export function Slider({ label, value, min, max, step, shown, change }) {
  return html`<label class="slide"
    ><span>${label}</span><output>${shown}</output>
    <input type="range" min=${min} max=${max} step=${step} value=${value} onInput=${(/** @type {any} */ event) => change(Number(event.target.value))} />
  </label>`;
}
