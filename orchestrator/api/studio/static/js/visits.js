/** Where a tab is, for its browser's back, forward and reload: choosing a photo or working on it, and the link that it has followed. */

const KEPT = "respray-session";
const FOLLOWED = "respray-link";

/** @typedef {"start" | "work"} View */

/** The session that the address names. @returns {string | null} */
export const link = () => new URLSearchParams(location.hash.slice(1)).get("session");

/** Whether this tab has followed a link and kept what was done since. @param {string} session */
export const isFollowed = (session) => sessionStorage.getItem(FOLLOWED) === session && kept() !== null;

/** @param {string} session */
export const follow = (session) => sessionStorage.setItem(FOLLOWED, session);

/** What the tab keeps of its document. @returns {string | null} */
export const kept = () => sessionStorage.getItem(KEPT);

/** @param {object | null} doc */
export function keep(doc) {
  try {
    if (doc) return sessionStorage.setItem(KEPT, JSON.stringify(doc));
  } catch {
    // Large masks: the link keeps what the tab cannot.
  }
  sessionStorage.removeItem(KEPT);
}

/** @returns {View | undefined} */
export const view = () => history.state?.view;

/** A view is shown; the browser's back leads to the one before. @param {View} now */
export function enter(now) {
  if (view() !== now) history[view() ? "pushState" : "replaceState"]({ view: now }, "");
}

/** The address is another, and the view the same. @param {string} hash */
export const readdress = (hash) => history.replaceState(history.state, "", `${location.pathname}${hash}`);

/** @param {import("./studio.js").Studio} studio */
export function watchVisits(studio) {
  addEventListener("popstate", () => studio.visit(view()));
  addEventListener("hashchange", () => void studio.followLink().catch((error) => studio.fail(error)));
}
