/** What the worker measured of the look that is shown, and of the light it is seen in. */

import { conceptOf, editedOf, reportOf, targetName } from "../targets.js";
import { html } from "../../vendor/preact.js";
import { number, said, t } from "../texts.js";

/** @typedef {import("../types.js").EditReport} EditReport */

/** @param {{ studio: import("../studio.js").Studio }} props */
export function Measured({ studio }) {
  const { previews, doc, look } = studio;
  const report = previews.of(doc, look)?.report;
  const edits = report?.outputs[0]?.edits ?? [];
  const targets = [...new Set(Object.keys(look.edits).map((target) => conceptOf(doc, target)))].flatMap((concept) => editedOf(doc, look, concept));
  const rows = targets.map((target) => ({ target, edit: reportOf(doc, look, target, edits) })).filter(({ edit }) => edit !== null);
  if (!rows.length && !previews.light) return null;
  return html`<section class="panel measured" aria-labelledby="measured-title">
    <h2 id="measured-title">${t("measured.title")}</h2>
    ${rows.length > 0 &&
    html`<ul>
      ${rows.map(({ target, edit }) => html`<${Row} key=${target} name=${targetName(doc, target)} edit=${edit} />`)}
    </ul>`}
    ${(report?.warnings ?? []).map((warning) => html`<p class="warning">${said(warning)}</p>`)}
    <${Light} light=${previews.light} />
  </section>`;
}

/** @param {{ name: string, edit: EditReport }} props */
function Row({ name, edit }) {
  return html`<li>
    <strong>${name}</strong>
    ${edit.requested && edit.measured
      ? html`<dl>
          <div><dt>${t("measured.asked")}</dt><dd><span class="dot" style=${{ background: edit.requested }}></span>${edit.requested}</dd></div>
          <div><dt>${t("measured.measured")}</dt><dd><span class="dot" style=${{ background: edit.measured }}></span>${edit.measured}</dd></div>
          <div><dt><abbr title="CIEDE2000">ΔE₀₀</abbr></dt><dd>${edit.delta_e === undefined ? "–" : number(edit.delta_e, 1)}</dd></div>
        </dl>`
      : html`<p class="quiet">${t(`action.${edit.rule}`)}, ${t("measured.share", { percent: number(edit.coverage * 100, 1) })}</p>`}
    ${edit.warnings.map((warning) => html`<p class="warning">${said(warning)}</p>`)}
  </li>`;
}

/** @param {{ light: import("../types.js").Report["light"] }} props */
function Light({ light }) {
  if (!light) return null;
  const known = light.temperature_k;
  return html`<p class="light">
    <span>${t("light.title")}</span>
    <strong>${known ? t("light.kelvin", { kelvin: number(known, 0) }) : t("light.unknown")}</strong>
    <span class="quiet">${known ? t("light.how") : said(light.why ?? "")}</span>
  </p>`;
}
