/** The photo: seen, pointed at, painted on; with a pointer, a finger or the keyboard. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../vendor/preact.js";
import { hexOf } from "../color.js";
import { drawBand, drawBrush, drawCross, drawLit, drawPhoto, drawPin, drawPolygon } from "../drawing.js";
import { newCanvas } from "../matte.js";
import { conceptsOf } from "../message.js";
import { targetName } from "../targets.js";
import { t } from "../texts.js";
import { fraction, middle, placed, pointAt, seen, zoomed } from "../view.js";
import { Side } from "./looks.js";
import { Overlay } from "./overlay.js";

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
    /** @type {{ x: number, y: number, center: Point, moved: boolean, pans: boolean } | null} */ drag: null,
    /** @type {Point | null} The first corner of a box. */ corner: null,
    /** @type {Map<number, { x: number, y: number }>} Fingers. */ fingers: new Map(),
    /** @type {{ apart: number, x: number, y: number } | null} Of two fingers. */ pinch: null,
    space: false,
    /** What it was over last: that is lit up once. */ over: "",
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
    const near = ui.zoom !== "fit";
    drawPhoto(context, place, {
      before: previews.base,
      after: previews.of(doc, studio.look)?.picture ?? null,
      beforeTile: near ? hand.before : null,
      afterTile: near ? hand.after : null,
      slider: ui.slider,
    });
    const mending = ui.tool === "brush" || ui.tool === "erase" || ui.tool === "polygon";
    const lit = mending ? ui.selected : ui.hover;
    const matte = mending && studio.mending.wet ? studio.mending.wet : lit ? finder.matte(lit, doc) : null;
    if (matte) drawLit(context, place, matte);
    const where = doc.where[ui.selected];
    if (ui.tool === "select") {
      for (const point of where?.at ?? []) drawPin(context, place, point, "at");
      for (const point of where?.not_at ?? []) drawPin(context, place, point, "not");
    }
    if (ui.tool === "polygon") drawPolygon(context, place, hand.at && ui.polygon.length ? [...ui.polygon, hand.at] : ui.polygon);
    if (hand.at && (ui.tool === "brush" || ui.tool === "erase")) drawBrush(context, place, hand.at, ui.brush.size);
    if (ui.tool === "box" && hand.corner && hand.at) drawBand(context, place, hand.corner, hand.at);
    if (hand.at && hand.keyboard) drawCross(context, place, hand.at);
  };
  useLayoutEffect(draw);
  studio.redraw = draw;

  /** Nearer or further about a place of the canvas. @param {number} by @param {{ x: number, y: number }} at */
  const nearer = (by, at) => {
    const { zoom, center } = zoomed(photo, size, density, placed(photo, size, ui.zoom, density, hand.center), by, at);
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
    const place = placed(photo, size, ui.zoom, density, hand.center);
    const rect = seen(place, size).map((part) => Math.round(part * 1e4) / 1e4);
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

  /** @param {PointerEvent | MouseEvent} event @returns {Point | null} */
  const pointOf = (event) => {
    const place = canvas.current?.getBoundingClientRect();
    return place ? pointAt(placed(photo, size, ui.zoom, density, hand.center), event.clientX - place.left, event.clientY - place.top) : null;
  };
  /** @param {Point} point @param {{ shiftKey: boolean, ctrlKey: boolean, metaKey: boolean }} keys */
  const act = (point, { shiftKey, ctrlKey, metaKey }) => {
    if (ui.tool === "select" && shiftKey) studio.pointing.leaveOut(point);
    else if (ui.tool === "select" && (ctrlKey || metaKey)) studio.pointing.join(point);
    else if (ui.tool === "select") studio.pointing.point(point);
    else if (ui.tool === "polygon") studio.mending.addCorner(point);
    else if (ui.tool === "pick") studio.show({ picked: colorAt(previews.base, point), tool: "select" });
    else if (ui.tool === "box" && hand.corner) endBox(point, shiftKey);
    else if (ui.tool === "box" && !studio.pointing.removeBox(point)) hand.corner = point;
    else if (painting) {
      studio.mending.stroke(point, point);
      studio.mending.endStroke();
    }
    draw();
  };
  /** @param {Point} point @param {boolean} not */
  const endBox = ([x, y], not) => {
    if (hand.corner) studio.pointing.addBox([...hand.corner, x, y], not);
    hand.corner = null;
    draw();
  };
  const painting = ui.tool === "brush" || ui.tool === "erase";
  /** @param {PointerEvent} event @returns {Point} The nearest point of the photo: what runs over its edge ends there. */
  const nearest = (event) => {
    const rect = /** @type {DOMRect} */ (canvas.current?.getBoundingClientRect());
    const place = placed(photo, size, ui.zoom, density, hand.center);
    return [fraction((event.clientX - rect.left - place.left) / place.width), fraction((event.clientY - rect.top - place.top) / place.height)];
  };
  const pinched = () => {
    const rect = /** @type {DOMRect} */ (canvas.current?.getBoundingClientRect());
    const [one, two] = [...hand.fingers.values()];
    return { apart: Math.max(1, Math.hypot(one.x - two.x, one.y - two.y)), x: (one.x + two.x) / 2 - rect.left, y: (one.y + two.y) / 2 - rect.top };
  };

  const down = (/** @type {PointerEvent} */ event) => {
    if (event.button > 1) return;
    const point = pointOf(event);
    hand.keyboard = false;
    canvas.current?.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") hand.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (hand.fingers.size === 2) {
      // Two fingers look closer: what one of them began to paint is let go of.
      studio.mending.wet = hand.stroke = hand.drag = hand.corner = null;
      hand.pinch = pinched();
      return draw();
    }
    const pans = event.button === 1 || hand.space;
    if (painting && point && !pans) {
      hand.stroke = point;
      studio.mending.stroke(point, point);
    } else hand.drag = { x: event.clientX, y: event.clientY, center: middle(box, size), moved: false, pans: pans || (ui.tool !== "box" && ui.zoom !== "fit") };
  };
  const move = (/** @type {PointerEvent} */ event) => {
    const point = pointOf(event);
    hand.at = point;
    if (hand.fingers.has(event.pointerId)) hand.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (hand.pinch && hand.fingers.size === 2) {
      const now = pinched();
      const place = placed(photo, size, ui.zoom, density, hand.center);
      if (ui.zoom !== "fit") {
        const [x, y] = middle(place, size);
        hand.center = [x - (now.x - hand.pinch.x) / place.width, y - (now.y - hand.pinch.y) / place.height];
      }
      nearer(now.apart / hand.pinch.apart, now);
      hand.pinch = now;
    } else if (hand.stroke) {
      const to = nearest(event);
      studio.mending.stroke(hand.stroke, to);
      hand.stroke = to;
    } else if (hand.drag) {
      const [dx, dy] = [event.clientX - hand.drag.x, event.clientY - hand.drag.y];
      if (!hand.drag.moved && Math.hypot(dx, dy) > DRAG) {
        hand.drag.moved = true;
        if (ui.tool === "box" && !hand.drag.pans) hand.corner = nearest(/** @type {any} */ ({ clientX: hand.drag.x, clientY: hand.drag.y }));
      }
      if (hand.corner) hand.at = nearest(event);
      else if (hand.drag.moved && hand.drag.pans && ui.zoom !== "fit") {
        hand.center = [hand.drag.center[0] - dx / box.width, hand.drag.center[1] - dy / box.height];
        studio.notify();
      }
    } else if (ui.tool === "select" && event.pointerType !== "touch") {
      const hover = (point && finder.under(point, ui.selected, doc)) || null;
      const over = hover ? hover.target || hover.concept : "";
      if (over !== hand.over) studio.show({ hover: over });
      hand.over = over;
    }
    draw();
  };
  const up = (/** @type {PointerEvent} */ event) => {
    hand.fingers.delete(event.pointerId);
    if (hand.pinch) {
      if (!hand.fingers.size) hand.pinch = null;
      return;
    }
    const point = pointOf(event);
    if (hand.stroke) studio.mending.endStroke();
    else if (hand.drag?.moved && hand.corner) endBox(nearest(event), event.shiftKey);
    else if (hand.drag && !hand.drag.moved && point && event.button === 0) act(point, event);
    hand.stroke = hand.drag = null;
  };
  const cancel = (/** @type {PointerEvent} */ event) => {
    hand.fingers.delete(event.pointerId);
    if (!hand.fingers.size) hand.pinch = null;
    if (hand.stroke) studio.mending.endStroke();
    hand.stroke = hand.drag = hand.corner = null;
  };
  const leave = () => {
    if (!hand.keyboard) hand.at = null;
    hand.over = "";
    if (ui.hover) studio.show({ hover: "" });
    draw();
  };
  const wheel = (/** @type {WheelEvent} */ event) => {
    event.preventDefault();
    const rect = /** @type {DOMRect} */ (canvas.current?.getBoundingClientRect());
    nearer(2 ** (-event.deltaY / (event.ctrlKey ? 100 : 400)), { x: event.clientX - rect.left, y: event.clientY - rect.top });
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
      if (ui.zoom !== "fit") hand.center = hand.at;
      if (painting && event.shiftKey) studio.mending.stroke(from, hand.at);
      const hit = finder.under(hand.at, ui.selected, doc);
      const hover = hit ? hit.target || hit.concept : "";
      if (ui.tool === "select") studio.show({ hover, said: hover ? targetName(doc, hover) : t("stage.nothing") });
      else studio.notify();
    } else if (event.key === "Enter" && hand.at) {
      event.preventDefault();
      act(hand.at, event);
    } else if (event.key === " ") {
      event.preventDefault();
      hand.space = true;
    } else if (event.key === "Escape") hand.corner = null;
  };
  const released = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === " ") hand.space = false;
    if (event.key === "Shift" && painting && studio.mending.wet && !hand.stroke) studio.mending.endStroke();
  };

  return html`<div class="stage">
      <canvas
        ref=${canvas}
        tabindex="0"
        role="application"
        aria-label=${t("stage.name")}
        aria-describedby="stage-how"
        class=${`tool-${ui.tool} ${ui.zoom === "fit" ? "fit" : "near"}`}
        onPointerDown=${down}
        onPointerMove=${move}
        onPointerUp=${up}
        onPointerCancel=${cancel}
        onPointerLeave=${leave}
        onDblClick=${() => ui.tool === "polygon" && studio.mending.endPolygon()}
        onKeyDown=${keys}
        onKeyUp=${released}
        onWheel=${wheel}
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
