/** Where the keyboard is when what it was on is gone: around it, and not at the page's beginning. */

/** @type {HTMLElement[]} What has the focus, and what is around it, from the inside. */
let chain = [];

/** @param {HTMLElement} element @returns {boolean} Whether it can have the focus no more. */
const isGone = (element) => !element.isConnected || element.matches(":disabled");

/** Follow the focus. */
export function watchFocus() {
  document.addEventListener("focusin", ({ target }) => {
    chain = [];
    for (let element = /** @type {HTMLElement | null} */ (target); element && element !== document.body; element = element.parentElement) chain.push(element);
  });
  document.addEventListener("focusout", ({ target }) => {
    // Also said of what is just being taken away: only afterwards can it be told from somebody's going elsewhere.
    setTimeout(() => void (chain[0] === target && document.activeElement !== target && !isGone(chain[0]) && (chain = [])));
  });
}

/** After the page has changed: a button that is gone, or cannot be pressed any more, leaves the focus to the part of the page it was in. */
export function keepFocus() {
  const [gone] = chain;
  if (!gone || !isGone(gone)) return;
  const part = chain.find((element) => element.isConnected && element.matches("section, header, main, form"));
  chain = [];
  if (!part || (document.activeElement !== gone && document.activeElement !== document.body)) return;
  part.tabIndex = -1; // not in the order of Tab
  part.focus({ preventScroll: true });
}
