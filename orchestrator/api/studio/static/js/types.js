/**
 * What the studio's modules share. `Doc` is what is undone, saved and sent; everything else is made from it.
 *
 * A target is what an edit is for: a concept, named as it is, or one more part of it, whose concept `more` tells.
 *
 * @typedef {[number, number]} Point Fractions 0..1 of the upright photo.
 * @typedef {[number, number, number, number]} Box Corners x0, y0, x1, y1 in the same fractions.
 * @typedef {{ at: Point[], not_at: Point[] }} Where
 * @typedef {{ boxes: Box[], not_boxes: Box[] }} Boxes Examples of what is meant, and of what is not.
 * @typedef {{ photo: string, width: number, height: number }} Photo
 * @typedef {{ action: "recolor" | "texture" | "tone" | "remove", value: any }} Edit
 * @typedef {{ name: string, edits: Record<string, Edit> }} Look Edits by target.
 * @typedef {{
 *   photo: Photo | null,
 *   name: string,
 *   preset: string,
 *   names: string[],
 *   protect: string[],
 *   more: Record<string, string>,
 *   where: Record<string, Where>,
 *   boxes: Record<string, Boxes>,
 *   masks: Record<string, string>,
 *   looks: Look[],
 * }} Doc `names`: concepts that were typed; `where`: by target; `boxes`, `masks` (mended ones, as base64 of grey PNGs): by concept.
 * @typedef {{ id: string, hex: string, name: string, kind: string, family: string }} Paint
 * @typedef {{ name: string, families: { family: string, colors: Paint[] }[] }} Palette
 * @typedef {{ name: string, kind: "surface" | "object", protect: boolean }} PresetConcept
 * @typedef {{ name: string, description: string, concepts: PresetConcept[] }} Preset
 * @typedef {{ id: string, name: string, family: string, size_m: [number, number], surfaces: string[], picture_url: string }} Texture
 * @typedef {{ id: string, name: string, picture_url: string }} DemoPhoto
 * @typedef {{ name: string, found: boolean, coverage: number, instances: number, score: number, source: string }} Found
 * @typedef {{ concept: string, instance: number, picture: string }} MaskPicture
 * @typedef {{ concepts: Found[], masks: MaskPicture[], warnings: string[] }} Segments
 * @typedef {{ kind: string, to_metres: number[], repeat: [number, number], turn: number, begins?: [number, number, number] }} Laid
 * @typedef {{
 *   concept: string, edit?: number, rule: string, requested?: string, measured?: string, delta_e?: number, coverage: number, laid: Laid[], warnings: string[],
 * }} EditReport
 * @typedef {{
 *   concepts: Found[], outputs: { name: string, edits: EditReport[] }[], light?: { temperature_k?: number, why?: string }, warnings: string[],
 *   timings: Record<string, number>,
 * }} Report
 * @typedef {{ width: number, height: number, data: Uint8ClampedArray }} Matte One byte a pixel: 255 is selected.
 */
export {};
