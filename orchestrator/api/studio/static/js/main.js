/** The page: texts first, then the studio, then what shows it. */

import { render, html } from "../vendor/preact.js";
import { Studio } from "./studio.js";
import { loadTexts } from "./texts.js";
import { App } from "./views/app.js";
import { installKeys } from "./keyboard.js";

const studio = new Studio();
await loadTexts();
const place = document.getElementById("app");
if (place) render(html`<${App} studio=${studio} />`, place);
installKeys(studio);
await studio.open();
