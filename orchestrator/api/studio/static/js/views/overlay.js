/** What lies on the photo and can be taken hold of: boxes that SAM3 is shown, and the handles of materials and rugs. */

import { html, useMemo, useRef } from "../../vendor/preact.js";
import { HOLD } from "../history.js";
import { angle, convex, distance, frameOf, inReach, lieOf, moved, onPlane, planeAt, rotated, scaled } from "../plane.js";
import { conceptOf, targetName } from "../targets.js";
import { number, t } from "../texts.js";

/** @typedef {import("../studio.js").Studio} Studio */
/** @typedef {import("../types.js").Point} Point */
/** @typedef {import("../view.js").Box} Place */

const STEP = 0.005;
/** Of holds: each is undone by itself. */
let holds = 0;
const held = () => `${HOLD}${holds}`;

const ARROWS = /** @type {Record<string, Point>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] });

/** @param {{ studio: Studio, box: Place }} props */
export function Overlay({ studio, box }) {
  const { ui, edit } = studio;
  const handles = ui.handles && ui.tool === "select" && edit?.action === "texture" && (ui.action || "texture") === "texture" && ui.slider === 1;
  // What a direction of the room adds to a turn is the worker's to say: such a material is turned and moved by its sliders.
  return html`<${Boxes} studio=${studio} box=${box} />
    ${handles && !edit.value.direction && (edit.value.quad ? html`<${Rug} studio=${studio} box=${box} />` : html`<${Material} studio=${studio} box=${box} />`)}`;
}

/** @param {Place} box @returns {(point: Point) => Point} Fractions to pixels of the stage. */
const pixelsOf = (box) => ([x, y]) => [box.left + x * box.width, box.top + y * box.height];

/** @param {{ studio: Studio, box: Place }} props */
function Boxes({ studio, box }) {
  const { ui, doc } = studio;
  const given = doc.boxes[conceptOf(doc, ui.selected)];
  if (!given || !["select", "box"].includes(ui.tool)) return null;
  const rect = (/** @type {import("../types.js").Box} */ [x0, y0, x1, y1], /** @type {string} */ kind) => {
    const shape = { x: box.left + x0 * box.width, y: box.top + y0 * box.height, width: (x1 - x0) * box.width, height: (y1 - y0) * box.height };
    return html`<rect class="halo" ...${shape} /><rect class=${kind} ...${shape} />`;
  };
  return html`<svg class="marks" aria-hidden="true">${given.boxes.map((each) => rect(each, "yes"))}${given.not_boxes.map((each) => rect(each, "no"))}</svg>`;
}

/**
 * A thing to take hold of: with a pointer, or focused and moved with the arrow keys.
 *
 * @param {{ at: Point, box: Place, kind: string, name: string, start: () => void, drag: (to: Point, event: PointerEvent) => void, arrow: (by: Point, event: KeyboardEvent) => void }} props
 */
function Handle({ at, box, kind, name, start, drag, arrow }) {
  const down = useRef(false);
  const [left, top] = pixelsOf(box)(at);
  const to = (/** @type {PointerEvent} */ event) => {
    const stage = /** @type {HTMLElement} */ (event.currentTarget).parentElement?.getBoundingClientRect();
    return /** @type {Point} */ ([(event.clientX - (stage?.left ?? 0) - box.left) / box.width, (event.clientY - (stage?.top ?? 0) - box.top) / box.height]);
  };
  return html`<button
    type="button"
    class=${`handle ${kind}`}
    style=${{ left: `${left}px`, top: `${top}px` }}
    aria-label=${name}
    title=${name}
    onPointerDown=${(/** @type {any} */ event) => {
      event.currentTarget.setPointerCapture(event.pointerId);
      down.current = true;
      holds += 1;
      start();
    }}
    onPointerMove=${(/** @type {PointerEvent} */ event) => down.current && drag(to(event), event)}
    onPointerUp=${() => (down.current = false)}
    onPointerCancel=${() => (down.current = false)}
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
      const by = ARROWS[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      if (!event.repeat) holds += 1;
      start();
      arrow(by, event);
    }}
  ></button>`;
}

/** Pulled larger, turned and moved on its plane. @param {{ studio: Studio, box: Place }} props */
function Material({ studio, box }) {
  const { ui, doc, edit, names, finder } = studio;
  const target = ui.selected;
  const matte = finder.matte(target, doc);
  const middle = useMemo(() => studio.pointing.middle(target), [target, matte]);
  const at = ui.held[target] ?? middle;
  const value = edit?.value ?? {};
  const size = names.textures.find(({ id }) => id === value.texture)?.size_m;
  const plane = planeAt(studio.pointing.planes(target), at);
  const lie = lieOf(value);
  const frame = plane && size && frameOf(plane, size, lie, at, pixelsOf(box));
  const began = useRef({ lie, at, on: /** @type {Point} */ ([0, 0]) });
  if (!frame) return null;
  const about = /** @type {Point} */ (onPlane(plane, at));
  const start = (/** @type {Point} */ from) => () => {
    began.current = { lie, at, on: onPlane(plane, from) ?? about };
  };
  const set = (/** @type {import("../plane.js").Lie} */ to, /** @type {string} */ said) => {
    studio.ui.said = said;
    studio.setEdit({ action: "texture", value: { ...value, ...to } }, held());
  };
  const resize = (/** @type {number} */ by) => {
    const to = scaled(size, began.current.lie, about, by);
    set(to, `${t("texture.scale")} ${number(to.scale * 100, 0)} %`);
  };
  const turn = (/** @type {number} */ degrees, /** @type {number} */ step) => {
    const to = rotated(size, began.current.lie, about, degrees, step);
    set(to, `${t("texture.rotation")} ${to.rotation}°`);
  };
  const pull = (/** @type {Point} */ to) => {
    const [was, is] = [onPlane(plane, began.current.at), onPlane(plane, to)];
    if (!was || !is) return;
    studio.ui.held = { ...studio.ui.held, [target]: to };
    set(moved(size, began.current.lie, was, is), t("handle.moved"));
  };
  const points = frame.corners.map((corner) => pixelsOf(box)(corner).join(",")).join(" ");
  const [from, knob] = [pixelsOf(box)(/** @type {Point} */ ([0, 1].map((axis) => (frame.corners[1][axis] + frame.corners[2][axis]) / 2))), pixelsOf(box)(frame.knob)];
  const common = { box };
  return html`<svg class="marks" aria-hidden="true">
      <polygon class="halo" points=${points} /><polygon class="yes" points=${points} />
      <line class="halo" x1=${from[0]} y1=${from[1]} x2=${knob[0]} y2=${knob[1]} /><line class="yes" x1=${from[0]} y1=${from[1]} x2=${knob[0]} y2=${knob[1]} />
    </svg>
    <${Handle} ...${common} kind="move" name=${t("handle.move")} at=${at} start=${start(at)} drag=${pull} arrow=${(/** @type {Point} */ by) => pull([at[0] + by[0] * STEP, at[1] + by[1] * STEP])} />
    <${Handle}
      ...${common}
      kind="grip"
      name=${t("handle.size")}
      at=${frame.grip}
      start=${start(frame.grip)}
      drag=${(/** @type {Point} */ to) => {
        const on = onPlane(plane, to);
        if (on) resize(distance(on, about) / Math.max(1e-6, distance(began.current.on, about)));
      }}
      arrow=${(/** @type {Point} */ by) => resize(by[0] + -by[1] > 0 ? 1.05 : 1 / 1.05)}
    />
    <${Handle}
      ...${common}
      kind="knob"
      name=${t("handle.turn")}
      at=${frame.knob}
      start=${start(frame.knob)}
      drag=${(/** @type {Point} */ to, /** @type {PointerEvent} */ event) => {
        const on = onPlane(plane, to);
        if (on) turn(angle(about, on) - angle(about, began.current.on), event.shiftKey ? 15 : 1);
      }}
      arrow=${(/** @type {Point} */ by, /** @type {KeyboardEvent} */ event) => turn((by[0] + by[1] > 0 ? 1 : -1) * (event.shiftKey ? 15 : 1), 1)}
    />`;
}

/** Four corners, each where it is pulled to, and all of it. @param {{ studio: Studio, box: Place }} props */
function Rug({ studio, box }) {
  const { ui, doc, edit } = studio;
  const quad = /** @type {Point[]} */ (edit?.value.quad);
  const began = useRef({ quad, at: quad[0] });
  const middle = /** @type {Point} */ ([0, 1].map((axis) => quad.reduce((sum, corner) => sum + corner[axis], 0) / 4));
  const start = (/** @type {Point} */ at) => () => {
    began.current = { quad, at };
  };
  const set = (/** @type {Point[]} */ corners) => {
    const next = corners.map(inReach);
    if (convex(next)) studio.setEdit({ action: "texture", value: { ...edit?.value, quad: next } }, held());
  };
  const corner = (/** @type {number} */ which, /** @type {Point} */ to) => set(began.current.quad.map((other, index) => (index === which ? to : other)));
  const all = (/** @type {Point} */ to) => set(began.current.quad.map(([x, y]) => [x + to[0] - began.current.at[0], y + to[1] - began.current.at[1]]));
  const moved = (/** @type {Point} */ from, /** @type {Point} */ by) => /** @type {Point} */ ([from[0] + by[0] * STEP, from[1] + by[1] * STEP]);
  const points = quad.map((each) => pixelsOf(box)(each).join(",")).join(" ");
  return html`<svg class="marks" aria-hidden="true"><polygon class="halo" points=${points} /><polygon class="yes" points=${points} /></svg>
    <${Handle} box=${box} kind="move" name=${t("handle.rug", { name: targetName(doc, ui.selected) })} at=${middle} start=${start(middle)} drag=${all} arrow=${(/** @type {Point} */ by) => all(moved(middle, by))} />
    ${quad.map(
      (each, which) =>
        html`<${Handle} key=${which} box=${box} kind="grip" name=${t("handle.corner", { number: which + 1 })} at=${each} start=${start(each)} drag=${(/** @type {Point} */ to) => corner(which, to)} arrow=${(/** @type {Point} */ by) => corner(which, moved(each, by))} />`,
    )}`;
}
