// What the studio uses of fflate.
export function zipSync(files: Record<string, Uint8Array>, options?: { level?: 0 | 1 | 6 | 9; mtime?: number | string | Date }): Uint8Array<ArrayBuffer>;
