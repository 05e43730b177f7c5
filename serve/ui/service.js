// Requests to the service, their errors, and the API key.

import { byId, say } from "./dom.js";

// `limits` and `models` are those of GET /info; `whenLoaded` is called once they are known.
export const service = { models: null, limits: null, whenLoaded: () => {} };
let key = ""; // in memory only
let afterKey = () => {};

/* Requests and errors */

export const refused = (status, message, more) => Object.assign(new Error(message), { status, ...more });
const lost = "The service cannot be reached. Check the connection and try again.";

export async function send(path, body, kind, signal) {
  const sent = key;
  const headers = sent ? { Authorization: `Bearer ${sent}` } : {};
  if (body) headers["Content-Type"] = kind;
  const response = await fetch(path, { method: body ? "POST" : "GET", headers, body, signal }).catch((error) => {
    throw signal?.aborted ? error : refused(0, lost);
  });
  if (response.ok) return { response, sent };
  const wait_s = waitOf(response);
  throw refused(response.status, reasonOf(response, await response.json().catch(() => null), wait_s), { sent, wait_s });
}

export async function ask(path, body) {
  const { response, sent } = await send(path, body && JSON.stringify(body), "application/json");
  const answer = await response.json().catch(() => null);
  if (answer) return answer;
  throw refused(response.status, reasonOf(response, answer), { sent });
}

function waitOf(response) {
  const wait = response.headers.get("Retry-After") ?? "";
  return /^\d+$/.test(wait) ? Number(wait) : null;
}

function reasonOf(response, answer, wait_s = null) {
  const reason = answer?.error?.message ?? `the service answered with status ${response.status}`;
  const later = wait_s === null ? "" : ` Try again in ${wait_s} ${wait_s === 1 ? "second" : "seconds"}.`;
  return `That did not work: ${reason}.${later}`;
}

// Run an action; on a 401, ask for the API key and run the action again. Errors are told in `place`.
export async function attempt(action, place) {
  try {
    if (!service.models) await load();
    await action();
  } catch (error) {
    if (error.status === undefined) throw error;
    if (error.status !== 401) return say(error.message, "bad", place);
    askForKey(() => attempt(action, place), error.sent);
  }
}

async function load() {
  const info = await ask("info");
  [service.models, service.limits] = [info.models, info.limits];
  service.whenLoaded();
}

/* API key */

export const hasKey = () => key !== "";

function askForKey(again, sent) {
  if (key && sent !== key) return again(); // the key changed while the request was in flight
  afterKey = again;
  if (byId("key-form").hidden) {
    byId("key-reason").textContent = sent ? "This key was not accepted." : "This service asks for an API key.";
    say("");
    hold("");
    byId("key-form").hidden = false;
  }
  byId("key").focus();
}

export function hold(given) {
  key = given;
  byId("key").value = "";
  byId("key-form").hidden = true;
  byId("key-held").hidden = !given;
}

export function useKey() {
  hold(byId("key").value.trim());
  byId("tweet").focus();
  afterKey();
}
