/** The public HTTP interface, and nothing else: what the studio can do, any client can. */

/** @typedef {import("./types.js").Report} Report */

const KEY = "respray-key";

/** What went wrong, in the server's own words. `status` 0: the server was not reached. */
export class Problem extends Error {
  /** @param {number} status @param {string} detail */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** @param {number} status @param {string} text @returns {Problem} */
function problemOf(status, text) {
  try {
    const problem = JSON.parse(text);
    return new Problem(status, String(problem.detail ?? problem.title));
  } catch {
    return new Problem(status, text.slice(0, 300) || `HTTP ${status}`);
  }
}

/** A caller of one server; its key, where one is needed, lives as long as the tab. */
export class Api {
  key = sessionStorage.getItem(KEY) ?? "";

  /** @param {string} key */
  useKey(key) {
    this.key = key;
    sessionStorage.setItem(KEY, key);
  }

  /** What no header can hold makes a key wrong, and not the server away. @returns {Record<string, string>} */
  get headers() {
    return this.key ? { Authorization: `Bearer ${this.key.replace(/[^\x21-\x7e]/g, "?")}` } : {};
  }

  /** @param {string} path @param {RequestInit} [init] @returns {Promise<Response>} */
  async send(path, init = {}) {
    let response;
    try {
      response = await fetch(path, { ...init, headers: { ...this.headers, ...init.headers } });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw new Problem(0, "");
    }
    if (!response.ok) throw problemOf(response.status, await response.text());
    return response;
  }

  /** @param {string} path @param {unknown} body @param {AbortSignal} [signal] @returns {Promise<Response>} */
  post(path, body, signal) {
    return this.send(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal });
  }

  /** @template T @param {string} path @returns {Promise<T>} */
  async get(path) {
    return (await this.send(path)).json();
  }

  /** @param {string} path @returns {Promise<Blob>} */
  async blob(path) {
    return (await this.send(path)).blob();
  }

  /**
   * Store a photo. `fetch` tells no progress of an upload, so this is an XMLHttpRequest.
   *
   * @param {Blob} file @param {(share: number) => void} progress @returns {Promise<import("./types.js").Photo>}
   */
  upload(file, progress) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", "/v1/photos");
      for (const [name, value] of Object.entries(this.headers)) request.setRequestHeader(name, value);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.upload.onprogress = (event) => progress(event.lengthComputable ? event.loaded / event.total : 0);
      request.onerror = () => reject(new Problem(0, ""));
      request.onload = () =>
        request.status === 201 ? resolve(JSON.parse(request.responseText)) : reject(problemOf(request.status, request.responseText));
      request.send(file);
    });
  }

  /**
   * @param {string} photo @param {object} query @param {AbortSignal} [signal]
   * @returns {Promise<import("./types.js").Segments>}
   */
  async segments(photo, query, signal) {
    return (await this.post(`/v1/photos/${photo}/segments`, query, signal)).json();
  }

  /** @param {string} photo @param {object} query @param {AbortSignal} [signal] @returns {Promise<{ blob: Blob, report: Report }>} */
  async preview(photo, query, signal) {
    const headers = { "Content-Type": "application/json", Accept: "multipart/form-data" };
    const form = await (await this.send(`/v1/photos/${photo}/preview`, { method: "POST", body: JSON.stringify(query), headers, signal })).formData();
    return { blob: /** @type {Blob} */ (form.get("picture")), report: JSON.parse(String(form.get("report"))) };
  }

  /** Edit at full size. @param {Blob} photo @param {object} message @returns {Promise<Blob>} */
  async edit(photo, message) {
    const form = new FormData();
    form.set("photo", photo, "photo");
    form.set("job", JSON.stringify(message));
    const response = await this.send("/v1/edits", { method: "POST", body: form });
    if (response.status === 202) throw new Problem(202, `The job goes on: ${response.headers.get("Location") ?? ""}`);
    return response.blob();
  }
}
