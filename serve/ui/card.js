// The card of a model: its question, and its prediction for one tweet.

import { copyOf, element, fill, part, percent } from "./dom.js";
import { attempt } from "./service.js";
import { copyCommand, toggleWords } from "./explain.js";

const BARS = 8; // labels with a bar; the others are folded

// Without a prediction, a card shows the current threshold and version.
export function cardOf(name, about, found) {
  const card = copyOf("card");
  const [{ question, labels, notices }, { threshold, version }] = [about, found ?? about];
  fill(card, { name, question, version: version || "unpublished" });
  part(card, "question").id = `question-${name}`;
  card.setAttribute("aria-labelledby", `question-${name}`);
  part(card, "notices").append(...notices.map((notice) => element("p", "notice", notice)));
  const describe = labels.length > 2 ? describeMany : describeTwo;
  describe(card, labels, found, threshold);
  return card;
}

function describeTwo(card, labels, found, threshold) {
  fill(card, { toward: labels[1], negative: labels[0], positive: labels[1] });
  for (const shown of ["scale", "threshold-fact"]) part(card, shown).hidden = false;
  show(card, "probability", found ? found.probs[1] : null);
  show(card, "threshold", threshold);
  if (found) card.classList.add(found.label === labels[1] ? "high" : "low");
}

function describeMany(card, labels, found) {
  part(card, "labels-fact").hidden = Boolean(found);
  fill(card, { labels: labels.join(", ") });
  if (!found) return;
  card.classList.add("many");
  fill(card, { toward: found.label });
  show(card, "probability", found.probs[labels.indexOf(found.label)]);
  const sorted = labels.map((label, at) => [label, found.probs[at]]).sort((a, b) => b[1] - a[1]);
  const bars = sorted.map(([label, probability]) => barOf(label, probability));
  part(card, "bars").append(...bars.slice(0, BARS));
  part(card, "bars").hidden = false;
  part(card, "rest").append(...bars.slice(BARS));
  part(card, "more").hidden = bars.length <= BARS;
  fill(card, { "more-count": bars.length - BARS });
}

function barOf(label, probability) {
  const [size, bar] = [element("data", "", percent(probability)), element("span", "bar")];
  size.value = probability;
  bar.style.setProperty("--at", probability);
  return element("li", "", element("span", "", label), bar, size);
}

function show(card, name, probability) {
  part(card, name).value = probability ?? "";
  part(card, `${name}-mark`).hidden = probability === null;
  part(card, `${name}-mark`).style.setProperty("--at", probability ?? 0);
  if (probability !== null) fill(card, { [name]: percent(probability) });
}

export function verdictOf(name, about, text, found) {
  const card = cardOf(name, about, found);
  fill(card, { label: found.label });
  part(card, "cut").hidden = !found.truncated;
  for (const shown of ["fact", "actions"]) part(card, shown).hidden = false;
  part(card, "words").addEventListener("click", () => attempt(() => toggleWords(card, name, text)));
  part(card, "copy").addEventListener("click", () => copyCommand(part(card, "command"), name, text));
  return card;
}
