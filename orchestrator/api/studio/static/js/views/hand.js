/** What is done on the photo with a pointer, with fingers and with the keyboard: from events to points, and to what the tool does there. */

import { colorAt } from "../drawing.js";
import { targetName } from "../targets.js";
import { t } from "../texts.js";
import { fraction, middle, pointAt } from "../view.js";

/** @typedef {import("../studio.js").Studio} Studio */
/** @typedef {import("../types.js").Point} Point */
/** @typedef {import("../drawing.js").Tile} Tile */
/** @typedef {import("../view.js").Box} Box */

const DRAG = 6;

/** What a pointer is at, between two drawings; not shown by the page itself. */
export function newHand() {
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

/**
 * What the canvas listens to until it is drawn anew.
 * @param {{
 *   studio: Studio, hand: ReturnType<typeof newHand>, canvas: { current: HTMLCanvasElement | null }, size: { width: number, height: number },
 *   place: () => Box, draw: () => void, nearer: (by: number, at: { x: number, y: number }) => void
 * }} stage `place` says where the photo lies, `nearer` zooms about a place of the canvas.
 */
export function listenersOf({ studio, hand, canvas, size, place, draw, nearer }) {
  const { ui, doc, finder, previews } = studio;
  const box = place();
  /** @param {PointerEvent | MouseEvent} event @returns {Point | null} */
  const pointOf = (event) => {
    const rect = canvas.current?.getBoundingClientRect();
    return rect ? pointAt(place(), event.clientX - rect.left, event.clientY - rect.top) : null;
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
    const { left, top, width, height } = place();
    return [fraction((event.clientX - rect.left - left) / width), fraction((event.clientY - rect.top - top) / height)];
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
      if (ui.zoom !== "fit") {
        const photo = place();
        const [x, y] = middle(photo, size);
        hand.center = [x - (now.x - hand.pinch.x) / photo.width, y - (now.y - hand.pinch.y) / photo.height];
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

  return {
    onPointerDown: down,
    onPointerMove: move,
    onPointerUp: up,
    onPointerCancel: cancel,
    onPointerLeave: leave,
    onDblClick: () => ui.tool === "polygon" && studio.mending.endPolygon(),
    onKeyDown: keys,
    onKeyUp: released,
    onWheel: wheel,
  };
}
