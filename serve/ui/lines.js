// Several pasted tweets, one on each line: a table with the verdict of every model.

import { copyOf, element, percent, say } from "./dom.js";
import { ask, service } from "./service.js";

// Return the table, or null once `isCurrent` says that a later request has replaced this one.
export async function classifyLines(lines, isCurrent) {
  const [known, most] = [Object.entries(service.models), service.limits.inputs];
  const found = [];
  for (let at = 0; at < lines.length; at += most) {
    say(`Classifying lines ${at + 1} to ${Math.min(at + most, lines.length)} of ${lines.length}…`);
    const input = lines.slice(at, at + most);
    const answers = await Promise.all(known.map(([name]) => ask("v1/classify", { model: name, input })));
    if (!isCurrent()) return null;
    found.push(...input.map((line, place) => [line, answers.map(({ data }) => data[place])]));
  }
  return tableOf(known, found);
}

function tableOf(known, found) {
  const box = copyOf("table");
  const heads = known.map(([, { question }]) => element("th", "", question));
  box.querySelector("thead tr").append(...heads);
  box.querySelector("tbody").append(...found.map(([line, items]) =>
    element("tr", "", element("td", "", line), ...items.map((item, at) => cellOf(known[at][1].labels, item)))));
  return box;
}

// The cell of one prediction; of two labels, the color tells which.
export function cellOf(labels, { label, probs, error }) {
  if (error) return element("td", "bad", error.message);
  const color = label === labels[1] ? "high" : "low";
  const share = element("span", "share", percent(probs[labels.indexOf(label)]));
  return element("td", labels.length > 2 ? "" : color, `${label} `, share);
}
