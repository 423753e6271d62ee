// What a caller in TypeScript writes against the types that openapi-typescript makes of /openapi.json. It compiles, or the document has changed.
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/api";

const client = createClient<paths>({ baseUrl: "http://127.0.0.1:8080", headers: { Authorization: "Bearer respray_..." } });

export async function recolour(message: components["schemas"]["PaletteMessage"]): Promise<string[]> {
  const { data, error } = await client.POST("/v1/jobs", { body: message, params: { query: { replace: true } } });
  if (error !== undefined) {
    const problem: components["schemas"]["Problem"] = error;
    throw new Error(problem.errors.map((entry) => `${entry.field}: ${entry.message}`).join("; ") || problem.detail);
  }
  const job = await client.GET("/v1/jobs/{job}", { params: { path: { job: data.job_id } } });
  const state: "queued" | "running" | "stopping" | "completed" | "failed" | "stopped" | undefined = job.data?.state;
  await client.DELETE("/v1/jobs/{job}", { params: { path: { job: data.job_id } } });
  return state === "completed" ? (job.data?.items ?? []).flatMap((item) => Object.values(item.files ?? {})) : [];
}

export async function look(photo: string): Promise<Blob | undefined> {
  const segments = await client.POST("/v1/photos/{photo}/segments", { params: { path: { photo } }, body: { concepts: ["Wall"], preset: "interior" } });
  const scores: number[] = (segments.data?.concepts ?? []).map((concept) => concept.score);
  const one = { action: "recolor", value: scores.length > 0 ? "oak_a" : "#7C9082" };
  const edits = { Wall: one, Floor: [{ action: "texture", value: "oak_planks" }, { ...one, at: [[0.2, 0.8] as [number, number]] }] };
  const preview = await client.POST("/v1/photos/{photo}/preview", { params: { path: { photo } }, body: { concepts: edits }, parseAs: "blob" });
  return preview.data as Blob | undefined;
}
