/** What was found in the photo. */

import { html, useState } from "../../vendor/preact.js";
import { conceptOf, isRug, targetName, targetsOf } from "../targets.js";
import { conceptName, number, t } from "../texts.js";

/** @typedef {import("../studio.js").Studio} Studio */

/** @param {{ studio: Studio }} props */
export function Concepts({ studio }) {
  const { ui, finder, doc } = studio;
  const [text, setText] = useState("");
  const all = finder.found();
  const found = all.filter((entry) => entry.found || doc.masks[entry.name] || entry.name === conceptOf(doc, ui.selected));
  const missing = all.filter((entry) => !found.includes(entry));
  const ask = (/** @type {Event} */ event) => {
    event.preventDefault();
    void studio.ask(text);
    setText("");
  };
  return html`<section class="panel concepts" aria-labelledby="found-title">
    <h2 id="found-title">${t("found.title")} ${(finder.busy || !finder.searched) && html`<span class="spin" role="img" aria-label=${t("found.busy")}></span>`}</h2>
    <ul class="chips">
      ${found.flatMap((entry) => targetsOf(doc, entry.name).map((target) => html`<${Chip} key=${target} studio=${studio} entry=${entry} target=${target} />`))}
    </ul>
    ${!found.length && finder.searched && !finder.busy && html`<p class="quiet">${t("found.none")}</p>`}
    <form class="row" onSubmit=${ask}>
      <label class="hidden" for="ask">${t("found.ask")}</label>
      <input id="ask" type="text" maxlength="64" placeholder=${t("found.ask")} value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)} />
      <button type="submit" disabled=${!text.trim() || ui.busy === "find"}>${ui.busy === "find" ? t("found.asking") : t("found.find")}</button>
    </form>
    ${missing.length > 0 &&
    html`<details>
      <summary>${t("found.missing", { count: missing.length })}</summary>
      <ul class="chips small">
        ${missing.map(
          (entry) =>
            html`<li key=${entry.name}><button type="button" class="chip" onClick=${() => studio.show({ selected: entry.name })}>${conceptName(entry.name)}</button></li>`,
        )}
      </ul>
    </details>`}
    <${Selected} studio=${studio} />
  </section>`;
}

/** @param {{ studio: Studio, entry: import("../types.js").Found, target: string }} props */
function Chip({ studio, entry, target }) {
  const { ui, doc, look } = studio;
  const edit = look.edits[target];
  const hover = (/** @type {string} */ to) => () => ui.hover !== to && studio.show({ hover: to });
  const own = target === entry.name;
  return html`<li class=${own ? "" : "part"}>
    <button
      type="button"
      class="chip"
      aria-pressed=${ui.selected === target ? "true" : "false"}
      onClick=${() => studio.show({ selected: target, polygon: [] })}
      onMouseEnter=${hover(target)}
      onMouseLeave=${hover("")}
      onFocus=${(/** @type {any} */ event) => event.target.matches(":focus-visible") && hover(target)()}
      onBlur=${hover("")}
    >
      <span class="dot" style=${{ background: edit?.action === "recolor" ? studio.hexOf(edit) : "" }} data-edit=${edit?.action ?? ""}></span>
      <span class="name">${targetName(doc, target)}</span>
      ${own && html`<${Said} studio=${studio} entry=${entry} />`}
      ${own && doc.protect.includes(target) && html`<span class="tag">${t("found.kept")}</span>`}
    </button>
  </li>`;
}

/** What is known of a concept. @param {{ studio: Studio, entry: import("../types.js").Found }} props */
function Said({ studio, entry }) {
  if (studio.doc.masks[entry.name]) return html`<span class="quiet">${t("found.mended")}</span>`;
  if (!entry.found) return html`<span class="quiet">${t("found.not")}</span>`;
  const percent = number(entry.coverage * 100, entry.coverage < 0.1 ? 1 : 0);
  return html`<span class="quiet">${t("found.share", { percent })}<span class="score" title=${t("found.score", { score: number(entry.score, 2) })}> · ${number(entry.score, 2)}</span></span>`;
}

/** What can be said of what is selected. @param {{ studio: Studio }} props */
function Selected({ studio }) {
  const { ui, doc, finder, pointing } = studio;
  const { selected } = ui;
  if (!selected) return null;
  const concept = conceptOf(doc, selected);
  const where = doc.where[selected];
  const boxes = doc.boxes[concept];
  const points = where ? where.at.length + where.not_at.length : 0;
  const shown = boxes ? boxes.boxes.length + boxes.not_boxes.length : 0;
  const changed = points > 0 || shown > 0 || doc.masks[concept] || targetsOf(doc, concept).some((target) => target !== concept && !isRug(doc, target));
  const name = conceptName(concept);
  return html`<div class="selected">
    ${selected === concept &&
    html`<label class="check"><input type="checkbox" checked=${doc.protect.includes(concept)} onChange=${(/** @type {any} */ event) => studio.protect(concept, event.target.checked)} />${t("protect", { name })}</label>`}
    ${doc.masks[concept] && html`<p class="quiet">${t("where.mended")}</p>`}
    ${points > 0 && html`<p class="quiet">${t("where.points", { at: where.at.length, not: where.not_at.length })}</p>`}
    ${shown > 0 && html`<p class="quiet">${t("where.boxes", { boxes: boxes.boxes.length, not: boxes.not_boxes.length })}</p>`}
    ${finder.warnings(concept).map((warning) => html`<p class="warning">${warning}</p>`)}
    <p class="quiet">${t(isRug(doc, selected) ? "where.rug" : "where.how")}</p>
    ${selected !== concept
      ? html`<button type="button" onClick=${() => pointing.forget(selected)}>${isRug(doc, selected) ? t("where.unlay", { name: targetName(doc, selected) }) : t("where.forget", { name })}</button>`
      : changed && html`<button type="button" onClick=${() => pointing.whole(concept)}>${t("where.whole", { name })}</button>`}
  </div>`;
}
