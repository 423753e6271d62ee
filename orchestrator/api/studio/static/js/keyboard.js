/** Keys for what is done often. Everything is a button or a field as well. */

/** @param {EventTarget | null} target @returns {boolean} Whether somebody is writing there. */
const isField = (target) => target instanceof HTMLElement && (target.matches("input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select") || target.isContentEditable);

/** @type {Record<string, import("./studio.js").Tool>} */
const TOOLS = { v: "select", r: "box", b: "brush", e: "erase", p: "polygon" };

/** @param {import("./studio.js").Studio} studio */
export function installKeys(studio) {
  document.addEventListener("keydown", (event) => {
    if (studio.ui.stage !== "work" || isField(event.target)) return;
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key === "z" && !event.altKey) {
        event.preventDefault();
        if (event.shiftKey) studio.redo();
        else studio.undo();
      } else if (key === "y") {
        event.preventDefault();
        studio.redo();
      }
      return;
    }
    if (event.altKey) return;
    if (key in TOOLS && (key === "v" || studio.ui.selected)) studio.show({ tool: TOOLS[key], polygon: [] });
    else if (key === "[" || key === "]") studio.show({ brush: { ...studio.ui.brush, size: Math.min(0.3, Math.max(0.005, studio.ui.brush.size * (key === "]" ? 1.25 : 0.8))) } });
    else if (key === "1") studio.show({ zoom: studio.ui.zoom === "fit" ? 1 : "fit" });
    else if (key === "+" || key === "=") studio.zoom(1.5);
    else if (key === "-") studio.zoom(1 / 1.5);
    else if (key === "x") studio.show({ slider: studio.ui.slider > 0 ? 0 : 1 });
    else if (key === "escape") studio.show({ polygon: [], tool: "select" });
  });
}
