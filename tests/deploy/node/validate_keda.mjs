// Reads a JSON array of KEDA resources on stdin and validates each with the published model of its kind.
// Prints a JSON array of {name, error}; error is null where the resource is valid.
import { readFileSync } from "node:fs";
import * as keda from "@kubernetes-models/keda/keda.sh/v1alpha1";

const results = JSON.parse(readFileSync(0, "utf8")).map((resource) => {
  const Model = keda[resource.kind];
  const name = `${resource.kind}/${resource.metadata?.name}`;
  if (!Model) return { name, error: `there is no kind ${resource.kind} in keda.sh/v1alpha1` };
  try {
    new Model(resource).validate();
    return { name, error: null };
  } catch (error) {
    return { name, error: String(error.message ?? error) };
  }
});
console.log(JSON.stringify(results));
