// The results of a file: counts, filter, table and download.

import { byId, counted, element, percent } from "./dom.js";
import { cellOf } from "./lines.js";
import { csvOf } from "./table.js";

const SHOWN = 500; // rows in the table; the download has all
const CHARACTERS = 1_000; // of a tweet in the table
const [ALL, FAILED, LEFT] = ["all", "failed", "left"];
let current = null; // { table, run }

export function clearResults() {
  current = null;
  byId("file-results").hidden = true;
  byId("file-text").value = "";
  byId("file-label").replaceChildren();
}

export function showResults(table, run) {
  const isOther = current?.run.labels !== run.labels;
  current = { table, run };
  showCounts(isOther);
  showRows();
  byId("file-results").hidden = false;
}

const kindOf = (found) => (found === undefined ? LEFT : found.error ? FAILED : `label ${found.label}`);

function kinds({ labels, found }) {
  const ofLabels = labels.map((label) => [label, `label ${label}`]);
  const named = [["All rows", ALL], ...ofLabels, ["Not classified", FAILED], ["Left", LEFT]];
  const counts = new Map([[ALL, found.length]]);
  for (const one of found) counts.set(kindOf(one), (counts.get(kindOf(one)) ?? 0) + 1);
  return named.map(([name, kind]) => ({ name, kind, count: counts.get(kind) ?? 0 }));
}

function showCounts(isOther) {
  const [all, ...others] = kinds(current.run);
  const counts = others.filter(({ kind, count }) => count || kind.startsWith("label "));
  const shareOf = (count) => `${count.toLocaleString("en")} (${percent(count / all.count)})`;
  byId("file-counts").replaceChildren(...counts.map(({ name, count }) =>
    element("div", "", element("dt", "", name), element("dd", "", shareOf(count)))));
  if (!isOther && byId("file-label").options.length) return;
  byId("file-label").replaceChildren(...[all, ...others].map(({ name, kind }) => {
    const option = element("option", "", name);
    option.value = kind;
    return option;
  }));
}

function showRows() {
  const { table, run } = current;
  const [kind, wanted] = [byId("file-label").value, byId("file-text").value.trim().toLowerCase()];
  const textOf = (at) => table.rows[at].cells[run.column] ?? "";
  const matching = [...table.rows.keys()].filter((at) =>
    (kind === ALL || kindOf(run.found[at]) === kind) && (!wanted || textOf(at).toLowerCase().includes(wanted)));
  const rows = matching.slice(0, SHOWN).map((at) => rowOf(at + 1, textOf(at), run.found[at], run.labels));
  byId("file-rows").replaceChildren(...rows);
  const most = matching.length > SHOWN ? `; the first ${SHOWN} are shown` : "";
  byId("file-shown").textContent = `${counted(matching.length, "row")}${most}`;
}

function rowOf(number, text, found, labels) {
  const verdict = found ? cellOf(labels, found) : element("td", "", "");
  if (found?.truncated) verdict.append(element("span", "soft", " (only the beginning)"));
  const shown = text.length > CHARACTERS ? `${text.slice(0, CHARACTERS)}…` : text;
  return element("tr", "", element("td", "", String(number)), element("td", "", shown), verdict);
}

/* Download */

// All columns that came, then the added ones; their names get a prefix if a column has one of them.
export function downloadOf({ table: { columns, rows, hasBom }, run: { labels, found } }) {
  const names = ["label", ...labels.map((label) => `prob_${label}`), "version", "truncated", "error"];
  let prefix = "";
  while (names.some((name) => columns.includes(prefix + name))) prefix += "tweetelm_";
  const added = (one) => (one && !one.error
    ? [one.label, ...one.probs, one.version, one.truncated, ""]
    : ["", ...labels.map(() => ""), "", "", one ? one.error.message : "not classified yet"]);
  const body = rows.map(({ cells }, at) => [...columns.map((_, place) => cells[place]), ...added(found[at])]);
  return (hasBom ? "\ufeff" : "") + csvOf([...columns, ...names.map((name) => prefix + name)], body);
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([downloadOf(current)], { type: "text/csv" }));
  link.download = `${current.table.name.replace(/\.[^.]*$/, "")}-${current.run.model}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export function listenToResults() {
  byId("file-label").addEventListener("change", showRows);
  byId("file-text").addEventListener("input", showRows);
  byId("file-download").addEventListener("click", download);
}
