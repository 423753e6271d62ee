/** The photo: seen, pointed at, painted on; with a pointer, a finger or the keyboard. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../vendor/preact.js";
import { hexOf } from "../color.js";
import { drawBrush, drawCross, drawLit, drawPhoto, drawPin, drawPolygon } from "../drawing.js";
import { newCanvas } from "../matte.js";
import { conceptName, t } from "../texts.js";
import { fraction, placed, pointAt, seen } from "../view.js";
import { Side } from "./looks.js";

/** @typedef {import("../studio.js").Studio} Studio */
/** @typedef {import("../types.js").Point} Point */
/** @typedef {import("../drawing.js").Tile} Tile */

const DRAG = 6;
const TILE_DELAY_MS = 120;

/** @param {{ studio: Studio }} props */
export function Stage({ studio }) {
  const { ui, doc } = studio;
  if (ui.side && doc.looks.length > 1) return html`<${Side} studio=${studio} />`;
  return html`<${Photo} studio=${studio} />`;
}

/** What a pointer is at, between two drawings; not shown by the page itself. */
function newHand() {
  return {
    /** @type {Point | null} */ at: null,
    /** @type {Point} */ center: [0.5, 0.5],
    /** @type {{ x: number, y: number, center: Point, moved: boolean, pointer: number } | null} */ drag: null,
    /** @type {Point | null} */ stroke: null,
    keyboard: false,
    /** @type {Tile | null} */ before: null,
    /** @type {Tile | null} */ after: null,
    /** @type {AbortController | null} */ tiling: null,
    tiled: "",
  };
}

/** @param {{ studio: Studio }} props */
function Photo({ studio }) {
  const { ui, doc, previews, finder } = studio;
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const hand = useRef(newHand()).current;
  const [size, setSize] = useState({ width: 300, height: 200 });
  const photo = doc.photo ?? { photo: "", width: 3, height: 2 };
  const density = window.devicePixelRatio || 1;
  const box = placed(photo, size, ui.zoom, density, hand.center);

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
    const place = placed(photo, size, ui.zoom, density, hand.center);
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    const full = ui.zoom === "full";
    drawPhoto(context, place, {
      before: previews.base,
      after: previews.of(doc, studio.look)?.picture ?? null,
      beforeTile: full ? hand.before : null,
      afterTile: full ? hand.after : null,
      slider: ui.slider,
    });
    const mending = ui.tool === "brush" || ui.tool === "erase" || ui.tool === "polygon";
    const lit = mending ? ui.selected : ui.hover;
    const matte = mending && studio.mending.wet ? studio.mending.wet : lit ? finder.matte(lit, doc) : null;
    if (matte) drawLit(context, place, matte);
    const where = doc.masks[ui.selected] ? undefined : doc.where[ui.selected];
    if (ui.tool === "select") {
      for (const point of where?.at ?? []) drawPin(context, place, point, "at");
      for (const point of where?.not_at ?? []) drawPin(context, place, point, "not");
    }
    if (ui.tool === "polygon") drawPolygon(context, place, hand.at && ui.polygon.length ? [...ui.polygon, hand.at] : ui.polygon);
    if (hand.at && (ui.tool === "brush" || ui.tool === "erase")) drawBrush(context, place, hand.at, ui.brush.size);
    if (hand.at && hand.keyboard) drawCross(context, place, hand.at);
  };
  useLayoutEffect(draw);
  studio.redraw = draw;

  // At 100 %, what is seen is made from the photo itself.
  useEffect(() => {
    if (ui.zoom !== "full") return undefined;
    const timer = setTimeout(() => void tile(), TILE_DELAY_MS);
    return () => clearTimeout(timer);
  });
  const tile = async () => {
    const rect = seen(placed(photo, size, "full", density, hand.center), size).map((part) => Math.round(part * 1e4) / 1e4);
    const key = JSON.stringify([rect, doc.photo, doc.masks, doc.where, doc.protect, studio.look.edits, ui.slider < 1]);
    if (key === hand.tiled) return;
    hand.tiled = key;
    hand.tiling?.abort();
    const running = (hand.tiling = new AbortController());
    try {
      const picture = await previews.tile(doc, studio.look, rect, running.signal);
      hand.after = { picture, rect };
      if (ui.slider < 1) hand.before = { picture: await previews.tile(doc, { name: "", edits: {} }, rect, running.signal), rect };
      draw();
    } catch (error) {
      hand.tiled = "";
      studio.fail(error);
    }
  };
  useEffect(() => {
    hand.after = null; // the look has changed: the small preview until its tile is there
  }, [doc, ui.look]);

  /** @param {PointerEvent | MouseEvent} event @returns {Point | null} */
  const pointOf = (event) => {
    const place = canvas.current?.getBoundingClientRect();
    return place ? pointAt(placed(photo, size, ui.zoom, density, hand.center), event.clientX - place.left, event.clientY - place.top) : null;
  };
  /** @param {Point} point @param {boolean} leaveOut */
  const act = (point, leaveOut) => {
    if (ui.tool === "select") studio.point(point, leaveOut);
    else if (ui.tool === "polygon") studio.mending.addCorner(point);
    else if (ui.tool === "pick") studio.show({ picked: colorAt(previews.base, point), tool: "select" });
    else {
      studio.mending.stroke(point, point);
      studio.mending.endStroke();
    }
  };
  const painting = ui.tool === "brush" || ui.tool === "erase";

  const down = (/** @type {PointerEvent} */ event) => {
    if (event.button !== 0) return;
    const point = pointOf(event);
    hand.keyboard = false;
    canvas.current?.setPointerCapture(event.pointerId);
    if (painting && point) {
      hand.stroke = point;
      studio.mending.stroke(point, point);
    } else hand.drag = { x: event.clientX, y: event.clientY, center: hand.center, moved: false, pointer: event.pointerId };
  };
  const move = (/** @type {PointerEvent} */ event) => {
    const point = pointOf(event);
    hand.at = point;
    if (hand.stroke && point) {
      studio.mending.stroke(hand.stroke, point);
      hand.stroke = point;
    } else if (hand.drag) {
      const [dx, dy] = [event.clientX - hand.drag.x, event.clientY - hand.drag.y];
      if (Math.hypot(dx, dy) > DRAG) hand.drag.moved = true;
      if (ui.zoom === "full" && hand.drag.moved) {
        hand.center = [fraction(hand.drag.center[0] - dx / box.width), fraction(hand.drag.center[1] - dy / box.height)];
        studio.notify();
      }
    } else if (ui.tool === "select" && event.pointerType !== "touch") {
      const hover = point ? finder.under(point, ui.selected, doc) : "";
      if (hover !== ui.hover) studio.show({ hover });
    }
    draw();
  };
  const up = (/** @type {PointerEvent} */ event) => {
    const point = pointOf(event);
    if (hand.stroke) studio.mending.endStroke();
    else if (hand.drag && !hand.drag.moved && point) act(point, event.shiftKey);
    hand.stroke = hand.drag = null;
  };
  const cancel = () => {
    if (hand.stroke) studio.mending.endStroke();
    hand.stroke = hand.drag = null;
  };
  const leave = () => {
    if (!hand.keyboard) hand.at = null;
    if (ui.hover) studio.show({ hover: "" });
    draw();
  };

  const keys = (/** @type {KeyboardEvent} */ event) => {
    const step = event.altKey ? 0.002 : 0.02;
    const moves = /** @type {Record<string, Point>} */ ({ ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] });
    const by = moves[event.key];
    if (by) {
      event.preventDefault();
      const from = hand.at ?? /** @type {Point} */ ([0.5, 0.5]);
      hand.keyboard = true;
      hand.at = [fraction(from[0] + by[0]), fraction(from[1] + by[1])];
      if (ui.zoom === "full") hand.center = hand.at;
      if (painting && event.shiftKey) studio.mending.stroke(from, hand.at);
      const hover = finder.under(hand.at, ui.selected, doc);
      if (ui.tool === "select") studio.show({ hover, said: hover ? conceptName(hover) : t("stage.nothing") });
      else studio.notify();
    } else if (event.key === "Enter" && hand.at) {
      event.preventDefault();
      act(hand.at, event.shiftKey);
    }
  };
  const released = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Shift" && painting && studio.mending.wet && !hand.stroke) studio.mending.endStroke();
  };

  return html`<div class="stage">
      <canvas
        ref=${canvas}
        tabindex="0"
        role="application"
        aria-label=${t("stage.name")}
        aria-describedby="stage-how"
        class=${`tool-${ui.tool} ${ui.zoom}`}
        onPointerDown=${down}
        onPointerMove=${move}
        onPointerUp=${up}
        onPointerCancel=${cancel}
        onPointerLeave=${leave}
        onDblClick=${() => ui.tool === "polygon" && studio.mending.endPolygon()}
        onKeyDown=${keys}
        onKeyUp=${released}
      ></canvas>
      ${previews.busy && html`<span class="working" role="img" aria-label=${t("stage.working")}></span>`}
    </div>
    <p id="stage-how" class="hidden">${t("stage.how")}</p>
    <label class="inline slider"
      ><span>${t("slider.before")}</span>
      <input type="range" min="0" max="1" step="0.01" value=${ui.slider} aria-label=${t("slider.name")} onInput=${(/** @type {any} */ event) => studio.show({ slider: Number(event.target.value) })} />
      <span>${t("slider.after")}</span></label
    >`;
}

/** The photo's colour around a point: the mean of five by five pixels of the preview. @param {ImageBitmap | null} picture @param {Point} point */
function colorAt(picture, [x, y]) {
  if (!picture) return null;
  const [, context] = newCanvas(5, 5);
  const [left, top] = [Math.round(x * picture.width) - 2, Math.round(y * picture.height) - 2];
  context.drawImage(picture, Math.min(picture.width - 5, Math.max(0, left)), Math.min(picture.height - 5, Math.max(0, top)), 5, 5, 0, 0, 5, 5);
  const pixels = context.getImageData(0, 0, 5, 5).data;
  const mean = [0, 1, 2].map((part) => Math.round(Array.from({ length: 25 }, (_, index) => pixels[4 * index + part]).reduce((sum, value) => sum + value, 0) / 25));
  return hexOf(mean);
}
