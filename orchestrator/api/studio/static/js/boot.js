/** Starts the page; where a part of it does not come, it says so and tries again, in place of staying empty. */

const AGAIN_AFTER = 2000;

import("./main.js").catch((error) => {
  console.warn(error);
  const place = document.getElementById("app");
  if (!place?.querySelector(".opening")) return; // what came shows what is wrong
  // The texts are among what may be missing.
  const korean = navigator.language.startsWith("ko");
  place.textContent = korean ? "서버에 연결할 수 없습니다. 다시 시도하는 중…" : "The server cannot be reached. Trying again…";
  setTimeout(() => location.reload(), AGAIN_AFTER);
});
