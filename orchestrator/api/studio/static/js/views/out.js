/** What is taken along: the picture, all pictures, the sheet, the job, the link. */

import { html, useState } from "../../vendor/preact.js";
import { allLooks, contactSheet, fullSize, jobText, keepSession, save, sendJob } from "../taking.js";
import { t } from "../texts.js";

const FORMATS = /** @type {const} */ (["png", "jpeg", "webp"]);

/** @param {{ studio: import("../studio.js").Studio }} props */
export function Out({ studio }) {
  const [format, setFormat] = useState(/** @type {"png" | "jpeg" | "webp"} */ ("png"));
  const { ui, look, doc } = studio;
  const edited = Object.keys(look.edits).length > 0;
  const any = doc.looks.some((other) => Object.keys(other.edits).length);
  const busy = ui.busy !== "";
  const run = (/** @type {() => Promise<string>} */ work) => async () => {
    if (studio.ui.busy) return; // and not `disabled`: the keyboard stays on the button that was pressed
    studio.show({ busy: "out", error: null, said: t("out.working") });
    try {
      studio.show({ busy: "", said: await work() });
    } catch (error) {
      studio.show({ busy: "", said: t("out.failed") });
      studio.fail(error);
    }
  };
  const copy = async (/** @type {string} */ text, /** @type {string} */ said) => {
    try {
      await navigator.clipboard.writeText(text);
      return said;
    } catch {
      return t("out.not_copied"); // the browser did not allow it, as on pages without TLS
    }
  };
  return html`<section class="panel out" aria-labelledby="out-title">
    <h2 id="out-title">${t("out.title")}</h2>
    <div class="row">
      <label><span class="hidden">${t("out.format")}</span><select value=${format} onChange=${(/** @type {any} */ event) => setFormat(event.target.value)}>
          ${FORMATS.map((name) => html`<option value=${name} selected=${name === format}>${name.toUpperCase()}</option>`)}
        </select></label>
      <button type="button" class="main" id="download" disabled=${!edited} aria-disabled=${String(busy)} onClick=${run(() => fullSize(studio, format))}>${ui.busy === "out" ? t("out.working") : t("out.full")}</button>
    </div>
    <div class="group column">
      <button type="button" disabled=${!any} aria-disabled=${String(busy)} onClick=${run(() => allLooks(studio, format))}>${t("out.zip")}</button>
      <button type="button" disabled=${!any} aria-disabled=${String(busy)} onClick=${run(() => contactSheet(studio))}>${t("out.sheet")}</button>
      <button type="button" id="job" disabled=${!any} aria-disabled=${String(busy)} onClick=${run(async () => {
        save(new Blob([await jobText(studio, format)], { type: "application/json" }), "job.json");
        return t("out.saved", { file: "job.json" });
      })}>${t("out.job")}</button>
      <button type="button" disabled=${!any} aria-disabled=${String(busy)} onClick=${run(async () => copy(await jobText(studio, format), t("out.copied")))}>${t("out.copy")}</button>
      <button type="button" id="send" disabled=${!any} aria-disabled=${String(busy)} onClick=${run(() => sendJob(studio, format))}>${t("out.send")}</button>
      <button type="button" id="link" aria-disabled=${String(busy)} onClick=${run(async () => copy(await keepSession(studio), t("out.linked")))}>${t("out.link")}</button>
    </div>
    <p class="quiet" aria-hidden="true">${ui.said}</p>
  </section>`;
}
