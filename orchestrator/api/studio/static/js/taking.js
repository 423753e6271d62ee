/** What is taken along, made. */

import { zipSync } from "../vendor/fflate.js";
import { newCanvas } from "./matte.js";
import { editMessage, jobMessage, uniqueIds } from "./message.js";
import { targetName } from "./targets.js";
import { t } from "./texts.js";
import { follow, readdress } from "./visits.js";

/** @typedef {import("./studio.js").Studio} Studio */
/** @typedef {"png" | "jpeg" | "webp"} Format */

const EXTENSIONS = { png: "png", jpeg: "jpg", webp: "webp" };
/** What a message may carry as base64; a larger photo stays under its key. */
const MAX_INLINE_BYTES = 13 << 20;

/** Have the browser save a file. @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A name for files: the photo's own, without what file systems refuse. @param {Studio} studio @returns {string} */
function stem(studio) {
  return studio.doc.name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N} _-]+/gu, "_").slice(0, 60) || "photo";
}

/** @param {Studio} studio @returns {Promise<Blob>} */
function original(studio) {
  return studio.api.blob(`/v1/photos/${studio.doc.photo?.photo}/original`);
}

/** The look that is shown, at the photo's own size. @param {Studio} studio @param {Format} format */
export async function fullSize(studio, format) {
  const { doc, look, api } = studio;
  const blob = await api.edit(await original(studio), editMessage(doc, look, format));
  const file = `${stem(studio)} ${uniqueIds([look.name])[0]}.${EXTENSIONS[format]}`;
  save(blob, file);
  return t("out.saved", { file });
}

/** All looks at full size, in one archive. @param {Studio} studio @param {Format} format */
export async function allLooks(studio, format) {
  const { doc, api } = studio;
  const photo = await original(studio);
  const looks = doc.looks.filter((look) => Object.keys(look.edits).length);
  const ids = uniqueIds(looks.map((look) => look.name));
  /** @type {Record<string, Uint8Array>} */
  const files = {};
  for (const [index, look] of looks.entries()) {
    studio.say(t("out.look", { number: index + 1, count: looks.length }));
    const blob = await api.edit(photo, editMessage(doc, look, format));
    files[`${ids[index]}.${EXTENSIONS[format]}`] = new Uint8Array(await blob.arrayBuffer());
  }
  const file = `${stem(studio)}.zip`;
  save(new Blob([zipSync(files, { level: 0 })], { type: "application/zip" }), file); // pictures are packed already
  return t("out.saved", { file });
}

/** The photo and all looks on one picture, with the names of their colours. @param {Studio} studio */
export async function contactSheet(studio) {
  const { doc, previews } = studio;
  const { base } = previews;
  if (!base) return "";
  const cells = [{ title: t("slider.before"), text: "", picture: base }];
  for (const look of doc.looks) {
    const preview = previews.of(doc, look);
    const text = Object.entries(look.edits).map(([target, edit]) => `${targetName(doc, target)}: ${edit.action === "recolor" ? studio.hexOf(edit) : t(`action.${edit.action}`)}`);
    if (preview && Object.keys(look.edits).length) cells.push({ title: t("looks.name", { name: look.name }), text: text.join(" · "), picture: preview.picture });
  }
  const columns = Math.min(3, Math.ceil(Math.sqrt(cells.length)));
  const [width, gap, label] = [800, 32, 84];
  const height = Math.round((width * base.height) / base.width);
  const [canvas, context] = newCanvas(gap + columns * (width + gap), gap + Math.ceil(cells.length / columns) * (height + label + gap));
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  for (const [index, { title, text, picture }] of cells.entries()) {
    const [left, top] = [gap + (index % columns) * (width + gap), gap + Math.floor(index / columns) * (height + label + gap)];
    context.drawImage(picture, left, top, width, height);
    context.fillStyle = "#1b1f1d";
    context.font = "600 28px system-ui, sans-serif";
    context.fillText(title, left, top + height + 36, width);
    context.font = "22px system-ui, sans-serif";
    context.fillStyle = "#4d5752";
    context.fillText(text, left, top + height + 68, width);
  }
  const blob = await /** @type {Promise<Blob>} */ (new Promise((resolve) => canvas.toBlob((made) => resolve(/** @type {Blob} */ (made)), "image/jpeg", 0.92)));
  const file = `${stem(studio)} sheet.jpg`;
  save(blob, file);
  return t("out.saved", { file });
}

/** @param {Blob} blob @returns {Promise<string>} */
function base64Of(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",")[1] ?? "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** The job that makes the same pictures elsewhere. @param {Studio} studio @param {Format} format @returns {Promise<string>} */
export async function jobText(studio, format) {
  const photo = await original(studio);
  const inline = photo.size <= MAX_INLINE_BYTES ? await base64Of(photo) : "";
  const id = `studio-${studio.doc.photo?.photo.slice(0, 12)}`;
  return `${JSON.stringify(jobMessage(studio.doc, format, inline, id), null, 1)}\n`;
}

/** Have this server work on the job, as on any that is sent to it. @param {Studio} studio @param {Format} format @returns {Promise<string>} */
export async function sendJob(studio, format) {
  const { job_id: _id, user_id: _user, ...message } = JSON.parse(await jobText(studio, format));
  if (message.items[0].input_key) throw new Error(t("out.large"));
  const { job_id, status_url } = await (await studio.api.post("/v1/jobs", message)).json();
  return t("out.sent", { job: job_id, address: status_url });
}

/** Keep the session; the address that opens it. @param {Studio} studio @returns {Promise<string>} */
export async function keepSession(studio) {
  const answer = await (await studio.api.post("/v1/sessions", studio.doc)).json();
  readdress(`#session=${answer.session}`);
  follow(answer.session); // a reload is of what is done from here on
  return location.href;
}
