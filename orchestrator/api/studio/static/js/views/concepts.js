/** What was found in the photo. */

import { html, useState } from "../../vendor/preact.js";
import { conceptName, number, t } from "../texts.js";

/** @typedef {import("../studio.js").Studio} Studio */

/** @param {{ studio: Studio }} props */
export function Concepts({ studio }) {
  const { ui, finder, doc } = studio;
  const [text, setText] = useState("");
  const all = finder.found();
  const found = all.filter((entry) => entry.found || doc.masks[entry.name] || entry.name === ui.selected);
  const missing = all.filter((entry) => !found.includes(entry));
  const ask = (/** @type {Event} */ event) => {
    event.preventDefault();
    void studio.ask(text);
    setText("");
  };
  return html`<section class="panel concepts" aria-labelledby="found-title">
    <h2 id="found-title">${t("found.title")} ${finder.busy && html`<span class="spin" role="img" aria-label=${t("found.busy")}></span>`}</h2>
    <ul class="chips">
      ${found.map((entry) => html`<${Chip} key=${entry.name} studio=${studio} entry=${entry} />`)}
    </ul>
    ${!found.length && !finder.busy && html`<p class="quiet">${t("found.none")}</p>`}
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

/** @param {{ studio: Studio, entry: import("../types.js").Found }} props */
function Chip({ studio, entry }) {
  const { ui, doc, look } = studio;
  const { name } = entry;
  const edit = look.edits[name];
  const percent = number(entry.coverage * 100, entry.coverage < 0.1 ? 1 : 0);
  const what = doc.masks[name] ? t("found.mended") : entry.found ? t("found.share", { percent }) : t("found.not");
  const hover = (/** @type {string} */ to) => () => ui.hover !== to && studio.show({ hover: to });
  return html`<li>
    <button
      type="button"
      class="chip"
      aria-pressed=${ui.selected === name ? "true" : "false"}
      onClick=${() => studio.show({ selected: name, polygon: [] })}
      onMouseEnter=${hover(name)}
      onMouseLeave=${hover("")}
      onFocus=${(/** @type {any} */ event) => event.target.matches(":focus-visible") && hover(name)()}
      onBlur=${hover("")}
    >
      <span class="dot" style=${{ background: edit?.action === "recolor" ? studio.hexOf(edit) : "" }} data-edit=${edit?.action ?? ""}></span>
      <span class="name">${conceptName(name)}</span>
      <span class="quiet">${what}${!doc.masks[name] && entry.found && html`<span class="score"> · ${t("found.score", { score: number(entry.score, 2) })}</span>`}</span>
      ${doc.protect.includes(name) && html`<span class="tag">${t("found.kept")}</span>`}
    </button>
  </li>`;
}

/** What can be said of the selected concept. @param {{ studio: Studio }} props */
function Selected({ studio }) {
  const { ui, doc } = studio;
  const { selected } = ui;
  if (!selected) return null;
  const where = doc.where[selected];
  const points = where ? where.at.length + where.not_at.length : 0;
  return html`<div class="selected">
    <label class="check"
      ><input type="checkbox" checked=${doc.protect.includes(selected)} onChange=${(/** @type {any} */ event) => studio.protect(selected, event.target.checked)} />${t("protect", { name: conceptName(selected) })}</label
    >
    <p class="quiet">${doc.masks[selected] ? t("where.mended") : points ? t("where.points", { at: where.at.length, not: where.not_at.length }) : t("where.how")}</p>
    ${(points > 0 || doc.masks[selected]) && html`<button type="button" onClick=${() => studio.whole(selected)}>${t("where.whole")}</button>`}
  </div>`;
}
