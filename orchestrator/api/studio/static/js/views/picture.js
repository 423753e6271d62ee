/** A picture of the interface: fetched with the key, if there is one. */

import { html, useEffect, useState } from "../../vendor/preact.js";

/** @type {Map<string, Promise<string>>} */
const kept = new Map();

/** @param {{ api: import("../api.js").Api, path: string, alt: string }} props */
export function Picture({ api, path, alt }) {
  const [url, setUrl] = useState("");
  useEffect(() => {
    let here = true;
    const fetched = kept.get(path) ?? api.blob(path).then((blob) => URL.createObjectURL(blob));
    kept.set(path, fetched);
    fetched.then(
      (found) => here && setUrl(found),
      () => kept.delete(path),
    );
    return () => {
      here = false;
    };
  }, [path]);
  return url ? html`<img src=${url} alt=${alt} />` : html`<span class="empty" role="img" aria-label=${alt}></span>`;
}
