/**
 * What the studio's modules share. `Doc` is what is undone, saved and sent; everything else is made from it.
 *
 * @typedef {[number, number]} Point Fractions 0..1 of the upright photo.
 * @typedef {{ at: Point[], not_at: Point[] }} Where
 * @typedef {{ photo: string, width: number, height: number }} Photo
 * @typedef {{ action: "recolor" | "texture" | "tone" | "remove", value: any }} Edit
 * @typedef {{ name: string, edits: Record<string, Edit> }} Look
 * @typedef {{
 *   photo: Photo | null,
 *   name: string,
 *   preset: string,
 *   names: string[],
 *   protect: string[],
 *   where: Record<string, Where>,
 *   masks: Record<string, string>,
 *   looks: Look[],
 * }} Doc `names`: concepts that were typed; `masks`: mended masks as base64 of grey PNGs.
 * @typedef {{ id: string, hex: string, name: string, kind: string, family: string }} Paint
 * @typedef {{ name: string, families: { family: string, colors: Paint[] }[] }} Palette
 * @typedef {{ name: string, kind: "surface" | "object", protect: boolean }} PresetConcept
 * @typedef {{ name: string, description: string, concepts: PresetConcept[] }} Preset
 * @typedef {{ id: string, name: string, family: string, size_m: [number, number], surfaces: string[], picture_url: string }} Texture
 * @typedef {{ id: string, name: string, picture_url: string }} DemoPhoto
 * @typedef {{ name: string, found: boolean, coverage: number, instances: number, score: number, source: string }} Found
 * @typedef {{ concept: string, instance: number, picture: string }} MaskPicture
 * @typedef {{
 *   concept: string, rule: string, requested?: string, measured?: string, delta_e?: number, coverage: number, warnings: string[],
 * }} EditReport
 * @typedef {{ concepts: Found[], outputs: { name: string, edits: EditReport[] }[], warnings: string[], timings: Record<string, number> }} Report
 * @typedef {{ width: number, height: number, data: Uint8ClampedArray }} Matte One byte a pixel: 255 is selected.
 */
export {};
