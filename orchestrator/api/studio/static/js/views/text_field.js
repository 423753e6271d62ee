/** A field of text that is taken when it is done with: what is being written stays, whatever else is drawn anew meanwhile. */

import { html, useState } from "../../vendor/preact.js";

/** @param {{ value: string, most: number, placeholder?: string, take: (text: string) => void }} props */
export function TextField({ value, most, placeholder = "", take }) {
  const [draft, setDraft] = useState(/** @type {string | null} */ (null));
  const done = (/** @type {any} */ event) => {
    setDraft(null);
    take(event.target.value);
    event.target.blur(); // taken with Enter: keys are the studio's again, Ctrl-Z among them
  };
  return html`<input
    type="text"
    maxlength=${most}
    spellcheck=${false}
    placeholder=${placeholder}
    value=${draft ?? value}
    onInput=${(/** @type {any} */ event) => setDraft(event.target.value)}
    onChange=${done}
  />`;
}
