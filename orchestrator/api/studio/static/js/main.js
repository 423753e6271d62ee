/** The page: texts first, then the studio, then what shows it. */

import { render, html } from "../vendor/preact.js";
import { Studio } from "./studio.js";
import { loadTexts } from "./texts.js";
import { watchFocus } from "./focus.js";
import { App } from "./views/app.js";
import { installKeys } from "./keyboard.js";
import { watchVisits } from "./visits.js";

const studio = new Studio();
await loadTexts();
const place = document.getElementById("app");
place?.replaceChildren(); // what was there until now: Preact would keep it
if (place) render(html`<${App} studio=${studio} />`, place);
installKeys(studio);
watchVisits(studio);
watchFocus();
await studio.open();
