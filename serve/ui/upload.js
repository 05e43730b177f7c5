// Sends texts to POST /v1/classify/file in parts, and reads the answers as they arrive.

import { refused, send } from "./service.js";

const PART = 2_000; // rows of one request, so that a busy or lost service costs little
const TRIES = 5; // of a part that a busy service refuses

// Classify texts; call `take` with the index and answer of each text, and `wait` before another try.
export async function classifyTexts(model, texts, { signal, take, wait }) {
  for (let at = 0; at < texts.length; at += PART) {
    const part = texts.slice(at, at + PART);
    for (let tries = 1; ; tries += 1) {
      try {
        await classifyPart(model, part, signal, (row, answer) => take(at + row, answer));
        break;
      } catch (error) {
        if (error.status !== 429 || !error.wait_s || tries === TRIES) throw error;
        wait(error.wait_s);
        await pause(1000 * error.wait_s, signal);
      }
    }
  }
}

async function classifyPart(model, texts, signal, take) {
  const path = `v1/classify/file?${new URLSearchParams({ model })}`;
  const body = new Blob(texts.map((text) => `${JSON.stringify(text)}\n`));
  const { response } = await send(path, body, "application/x-ndjson", signal);
  const version = response.headers.get("X-Model-Version");
  let end = null;
  for await (const answer of linesOf(response, signal)) {
    if (answer.done === undefined) take(answer.row, { ...answer, version });
    else end = answer;
  }
  if (!end) throw refused(0, "The connection ended before the last row.");
  if (!end.done) throw refused(0, `The service stopped: ${end.error.message}.`);
}

async function* linesOf(response, signal) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "", more = true; more; ) {
    const { value = "", done } = await reader.read().catch((error) => {
      throw signal.aborted ? error : refused(0, "The connection ended before the last row.");
    });
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    more = !done;
    yield* lines.map((line) => JSON.parse(line));
  }
}

const pause = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
});
