// Checks one AsyncAPI document with the project's own parser: `node validate.js FILE`. Ends with 1 if it has an error.
import { readFile } from "node:fs/promises";
import { argv, exit, stderr, stdout } from "node:process";
import { Parser } from "@asyncapi/parser";

const ERROR = 0;
const file = argv[2];
if (file === undefined) {
  stderr.write("usage: node validate.js FILE\n");
  exit(2);
}
const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf8"), { source: file });
for (const { severity, path, message } of diagnostics) {
  (severity === ERROR ? stderr : stdout).write(`${severity === ERROR ? "error" : "note"}: ${path.join(".")}: ${message}\n`);
}
if (document === undefined || diagnostics.some(({ severity }) => severity === ERROR)) {
  exit(1);
}
const payloads = document.messages().all().filter((message) => message.hasPayload());
stdout.write(`${document.channels().all().length} channels, ${document.messages().all().length} messages, ${payloads.length} payloads: valid\n`);
