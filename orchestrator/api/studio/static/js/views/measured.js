/** What the worker measured of the look that is shown. */

import { html } from "../../vendor/preact.js";
import { conceptName, number, t } from "../texts.js";

/** @param {{ studio: import("../studio.js").Studio }} props */
export function Measured({ studio }) {
  const { previews, doc, look } = studio;
  const report = previews.of(doc, look)?.report;
  const edits = report?.outputs[0]?.edits ?? [];
  const warnings = report?.warnings ?? [];
  if (!edits.length) return null;
  return html`<section class="panel measured" aria-labelledby="measured-title">
    <h2 id="measured-title">${t("measured.title")}</h2>
    <ul>
      ${edits.map(
        (edit) =>
          html`<li key=${edit.concept}>
            <strong>${conceptName(edit.concept)}</strong>
            ${edit.requested && edit.measured
              ? html`<dl>
                  <div><dt>${t("measured.asked")}</dt><dd><span class="dot" style=${{ background: edit.requested }}></span>${edit.requested}</dd></div>
                  <div><dt>${t("measured.measured")}</dt><dd><span class="dot" style=${{ background: edit.measured }}></span>${edit.measured}</dd></div>
                  <div><dt><abbr title="CIEDE2000">ΔE₀₀</abbr></dt><dd>${edit.delta_e === undefined ? "–" : number(edit.delta_e, 1)}</dd></div>
                </dl>`
              : html`<p class="quiet">${t(`action.${edit.rule}`)}, ${t("measured.share", { percent: number(edit.coverage * 100, 1) })}</p>`}
            ${edit.warnings.map((warning) => html`<p class="warning">${warning}</p>`)}
          </li>`,
      )}
    </ul>
    ${warnings.map((warning) => html`<p class="warning">${warning}</p>`)}
  </section>`;
}
