// Adds jobs to a BullMQ queue, as a caller's Node API would. Reads {url, queue, jobs, options} from stdin.
import { Queue } from "bullmq";
import { readFileSync } from "node:fs";

const { url, queue: name, jobs, options } = JSON.parse(readFileSync(0, "utf8"));
const address = new URL(url);
const connection = {
  host: address.hostname,
  port: Number(address.port),
  ...(address.protocol === "rediss:" ? { tls: {} } : {}),
};
const queue = new Queue(name, { connection });
for (const data of jobs) await queue.add("respray", data, options); // addBulk knows no `repeat`
await queue.close();
