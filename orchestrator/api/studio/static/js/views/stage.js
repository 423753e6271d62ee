/** The photo on its canvas: what is drawn, and from which pictures. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../vendor/preact.js";
import { drawBand, drawBrush, drawCross, drawLit, drawPhoto, drawPin, drawPolygon } from "../drawing.js";
import { conceptsOf } from "../message.js";
import { t } from "../texts.js";
import { placed, seen, zoomed } from "../view.js";
import { listenersOf, newHand } from "./hand.js";
import { Side } from "./looks.js";
import { Overlay } from "./overlay.js";

/** @typedef {import("../studio.js").Studio} Studio */

const TILE_DELAY_MS = 120;

/** @param {{ studio: Studio }} props */
export function Stage({ studio }) {
  const { ui, doc } = studio;
  if (ui.side && doc.looks.length > 1) return html`<${Side} studio=${studio} />`;
  return html`<${Photo} studio=${studio} />`;
}

/** @param {{ studio: Studio }} props */
function Photo({ studio }) {
  const { ui, doc, previews, finder } = studio;
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const hand = useRef(newHand()).current;
  const [size, setSize] = useState({ width: 300, height: 200 });
  const photo = doc.photo ?? { photo: "", width: 3, height: 2 };
  const density = window.devicePixelRatio || 1;
  const place = () => placed(photo, size, ui.zoom, density, hand.center);
  const box = place();

  useEffect(() => {
    const element = canvas.current?.parentElement;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const draw = () => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context) return;
    const [width, height] = [Math.round(size.width * density), Math.round(size.height * density)];
    if (element.width !== width || element.height !== height) Object.assign(element, { width, height });
    const here = place();
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    const near = ui.zoom !== "fit";
    drawPhoto(context, here, {
      before: previews.base,
      after: previews.of(doc, studio.look)?.picture ?? null,
      beforeTile: near ? hand.before : null,
      afterTile: near ? hand.after : null,
      slider: ui.slider,
    });
    const mending = ui.tool === "brush" || ui.tool === "erase" || ui.tool === "polygon";
    const lit = mending ? ui.selected : ui.hover;
    const matte = mending && studio.mending.wet ? studio.mending.wet : lit ? finder.matte(lit, doc) : null;
    if (matte) drawLit(context, here, matte);
    const where = doc.where[ui.selected];
    if (ui.tool === "select") {
      for (const point of where?.at ?? []) drawPin(context, here, point, "at");
      for (const point of where?.not_at ?? []) drawPin(context, here, point, "not");
    }
    if (ui.tool === "polygon") drawPolygon(context, here, hand.at && ui.polygon.length ? [...ui.polygon, hand.at] : ui.polygon);
    if (hand.at && (ui.tool === "brush" || ui.tool === "erase")) drawBrush(context, here, hand.at, ui.brush.size);
    if (ui.tool === "box" && hand.corner && hand.at) drawBand(context, here, hand.corner, hand.at);
    if (hand.at && hand.keyboard) drawCross(context, here, hand.at);
  };
  useLayoutEffect(draw);
  studio.redraw = draw;

  /** Nearer or further about a place of the canvas. @param {number} by @param {{ x: number, y: number }} at */
  const nearer = (by, at) => {
    const { zoom, center } = zoomed(photo, size, density, place(), by, at);
    hand.center = center;
    studio.show({ zoom });
  };
  studio.zoom = (by) => nearer(by, { x: size.width / 2, y: size.height / 2 });

  // The small preview is not enough: what is seen is made from the photo itself.
  useEffect(() => {
    if (ui.zoom === "fit" || !previews.base || box.width * density <= previews.base.width) return undefined;
    const timer = setTimeout(() => void tile(), TILE_DELAY_MS);
    return () => clearTimeout(timer);
  });
  const tile = async () => {
    const rect = seen(place(), size).map((part) => Math.round(part * 1e4) / 1e4);
    // Above 100 % its own pixels; below, no more than there are on the screen.
    const side = ui.zoom !== "fit" && ui.zoom < 1 ? Math.ceil(density * Math.max(size.width, size.height)) : 0;
    const key = JSON.stringify([rect, side, doc.photo, conceptsOf(doc, studio.look), doc.masks, doc.protect, ui.slider < 1]);
    if (key === hand.tiled) return;
    hand.tiled = key;
    hand.tiling?.abort();
    const running = (hand.tiling = new AbortController());
    try {
      const picture = await previews.tile(doc, studio.look, rect, side, running.signal);
      hand.after = { picture, rect };
      if (ui.slider < 1) hand.before = { picture: await previews.tile(doc, { name: "", edits: {} }, rect, side, running.signal), rect };
      studio.redraw();
    } catch (error) {
      if (running.signal.aborted) return;
      hand.tiled = "";
      studio.fail(error);
    }
  };
  useEffect(() => {
    hand.after = null; // the look has changed: the small preview until its tile is there
    hand.tiled = "";
    hand.tiling?.abort();
  }, [doc, ui.look]);

  return html`<div class="stage">
      <canvas
        ref=${canvas}
        tabindex="0"
        role="application"
        aria-label=${t("stage.name")}
        aria-describedby="stage-how"
        class=${`tool-${ui.tool} ${ui.zoom === "fit" ? "fit" : "near"}`}
        ...${listenersOf({ studio, hand, canvas, size, place, draw, nearer })}
      ></canvas>
      <${Overlay} studio=${studio} box=${box} />
      ${previews.busy && html`<span class="working" role="img" aria-label=${t("stage.working")}></span>`}
    </div>
    <p id="stage-how" class="hidden">${t("stage.how")}</p>
    <label class="inline slider"
      ><span>${t("slider.before")}</span>
      <input type="range" min="0" max="1" step="0.01" value=${ui.slider} aria-label=${t("slider.name")} onInput=${(/** @type {any} */ event) => studio.show({ slider: Number(event.target.value) })} />
      <span>${t("slider.after")}</span></label
    >`;
}
