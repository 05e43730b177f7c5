// A chosen or dropped file: its column and model, progress, stop, results.

import { byId, counted, element, say } from "./dom.js";
import { clearResults, listenToResults, showResults } from "./results.js";
import { attempt, service } from "./service.js";
import { LIMITS, isValid, readTable, textColumn } from "./table.js";
import { classifyTexts } from "./upload.js";

const EVERY_MS = 500; // between updates of the screen
let opened = 0; // number of the last file; a file that is read later replaces it
let table = null;
let run = null; // of the last click on Classify: { model, column, found, control, done }

const tell = (text, kind = "") => say(text, kind, byId("file-status"));
const labelOfStart = () => `Classify ${counted(table.rows.length, "row")}`;

/* Open and close */

async function open(files) {
  if (files.length !== 1) return say("Drop one file at a time.", "bad");
  const mine = ++opened;
  say(`Reading ${files[0].name}…`);
  const read = await readTable(files[0]);
  if (mine !== opened) return;
  close();
  table = read;
  byId("file-title").textContent = `File ${table.name}`;
  byId("file-column").replaceChildren(...table.columns.map((name, at) => optionOf(name || `column ${at + 1}`, at)));
  byId("file-column").value = textColumn(table);
  byId("file-model").replaceChildren(...Object.keys(service.models).map((name) => optionOf(name, name)));
  byId("file-start").textContent = labelOfStart();
  preview();
  byId("file-panel").hidden = false;
  byId("file-panel").scrollIntoView({ block: "nearest" });
  byId("file-panel").focus({ preventScroll: true });
  say("");
  tell(`${counted(table.rows.length, "row")}, ${counted(table.columns.length, "column")}.`);
}

function optionOf(text, value) {
  const option = element("option", "", text);
  option.value = value;
  return option;
}

function preview() {
  const at = Number(byId("file-column").value);
  byId("file-first").textContent = (table.rows.find(({ cells }) => cells[at])?.cells[at] ?? "").slice(0, 200);
  byId("file-start").textContent = labelOfStart();
}

function close() {
  run?.control.abort();
  [table, run] = [null, null];
  byId("file-panel").hidden = true;
  busy(false);
  clearResults();
}

/* Classify */

function busy(is) {
  for (const id of ["file-start", "file-column", "file-model"]) byId(id).disabled = is;
  byId("file-stop").hidden = !is;
  byId("file-progress").hidden = !is;
}

// A stopped or failed run continues if neither model nor column have changed.
function newRun() {
  const [model, column] = [byId("file-model").value, Number(byId("file-column").value)];
  const continues = run && run.model === model && run.column === column && run.found.includes(undefined);
  const found = continues ? run.found : table.rows.map(({ cells, error }) => refusalOf(cells[column], error));
  return { model, column, found, labels: service.models[model].labels, control: new AbortController(), done: 0 };
}

// The error of a row that is not sent, or undefined.
function refusalOf(text, error) {
  if (error) return { error: { message: error } };
  if (typeof text !== "string") return { error: { message: "the row has no text" } };
  return isValid(text) ? undefined : { error: { message: "the row is not valid UTF-8" } };
}

async function classifyFile() {
  const mine = (run = newRun());
  const places = [...mine.found.keys()].filter((at) => mine.found[at] === undefined);
  const began = performance.now();
  const timer = setInterval(() => update(mine, places.length, began), EVERY_MS);
  busy(true);
  update(mine, places.length, began);
  tell(`Classifying ${counted(places.length, "row")}…`);
  try {
    await classifyTexts(mine.model, places.map((at) => table.rows[at].cells[mine.column]), {
      signal: mine.control.signal,
      take: (at, answer) => { mine.found[places[at]] = answer; mine.done += 1; },
      wait: (seconds) => tell(`The service is busy; trying again in ${counted(seconds, "second")}.`),
    });
    if (mine === run) tell(summaryOf(mine));
  } catch (error) {
    if (!mine.control.signal.aborted) throw error;
    if (mine === run) tell(`Stopped. ${summaryOf(mine)}`);
  } finally {
    clearInterval(timer);
    if (mine === run) finish(mine);
  }
}

function finish(mine) {
  busy(false);
  byId("file-start").textContent = mine.found.includes(undefined) ? "Classify the rest" : labelOfStart();
  showResults(table, mine);
}

function summaryOf({ found, model }) {
  const failed = found.filter((one) => one?.error).length;
  const left = found.filter((one) => one === undefined).length;
  const parts = [`${model} classified ${counted(found.length - failed - left, "row")}`];
  if (failed) parts.push(`${counted(failed, "row")} could not be classified`);
  if (left) parts.push(`${counted(left, "row")} left`);
  return `${left ? "" : "Done. "}${parts.join("; ")}.`;
}

function update(mine, total, began) {
  if (mine !== run) return;
  const rate = (1000 * mine.done) / (performance.now() - began);
  const left = mine.done ? `, ${rate.toFixed(0)} rows/s, ${timeOf((total - mine.done) / rate)} left` : "";
  [byId("file-bar").max, byId("file-bar").value] = [Math.max(1, total), mine.done];
  byId("file-rate").textContent = `${mine.done.toLocaleString("en")} of ${counted(total, "row")}${left}`;
  if (mine.done) showResults(table, mine);
}

const timeOf = (seconds) => (seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`);

/* Events */

const openFiles = (files) => attempt(() => open([...files]));

export function listenToFiles() {
  const rows = LIMITS.rows.toLocaleString("en");
  byId("file").accept = ".csv,.tsv,.jsonl,.ndjson,.txt";
  byId("file-most").textContent = `CSV, TSV, JSON lines or text: up to ${LIMITS.bytes / 1e6} MB and ${rows} rows. ` +
    "Only the column of the tweets is sent. For more, use tweetelm classify-files (docs/archives.md).";
  byId("file").addEventListener("change", () => {
    if (byId("file").files.length) openFiles(byId("file").files);
    byId("file").value = ""; // so that the same file can be chosen again
  });
  byId("file-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(classifyFile, byId("file-status"));
  });
  byId("file-stop").addEventListener("click", () => run.control.abort());
  byId("file-close").addEventListener("click", () => { close(); byId("file").focus(); });
  for (const id of ["file-column", "file-model"]) byId(id).addEventListener("change", preview);
  listenToDrops();
  listenToResults();
}

function listenToDrops() {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const mark = (is) => document.body.classList.toggle("dropping", is);
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(false);
    openFiles(event.dataTransfer.files);
  });
}
