// The page: one tweet or several lines, classified by every model.

import { byId, counted, element, part, say } from "./dom.js";
import { cardOf, verdictOf } from "./card.js";
import { listenToFiles } from "./file.js";
import { classifyLines } from "./lines.js";
import { ask, attempt, hold, service, useKey } from "./service.js";

const LINES = 1000; // most pasted lines
let latest = 0; // number of the last submission; results of earlier ones are dropped
let judged = ""; // the text of the predictions on screen

service.whenLoaded = () => {
  const known = Object.entries(service.models);
  byId("verdicts").replaceChildren(...known.map(([name, about]) => cardOf(name, about)));
  byId("limits").replaceChildren(...known.map(([, { question, limits }]) =>
    element("div", "", element("dt", "", question), element("dd", "", limits))));
};

const linesOf = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

// Up to three lines are treated as one tweet; for more, the user chooses.
function classify() {
  const text = byId("tweet").value.trim();
  if (!text) return say("Paste or type a tweet first.", "bad");
  const count = linesOf(text).length;
  byId("lines").hidden = count < 2;
  byId("lines-count").textContent = `These ${count} lines are`;
  if (count <= 3) return classifyOne(text);
  say(`Are these ${count} lines one tweet, or one tweet each? Choose below the text.`);
  byId("as-each").focus();
}

async function classifyEach(lines) {
  if (lines.length > LINES) {
    const most = `expected at most ${counted(LINES, "line")}`;
    return say(`The text has ${counted(lines.length, "line")}; ${most}. Save it as a .txt file and choose that.`, "bad");
  }
  const mine = ++latest;
  const table = await classifyLines(lines, () => mine === latest);
  if (!table) return;
  judged = byId("tweet").value.trim();
  byId("verdicts").replaceChildren(table);
  say(`Done. ${lines.length} lines have a verdict each.`);
}

async function classifyOne(text) {
  const mine = ++latest;
  say("Classifying…");
  const known = Object.entries(service.models);
  const outcomes = await Promise.allSettled(known.map(([name]) => ask("v1/classify", { model: name, input: text })));
  if (mine !== latest) return;
  judged = text;
  const cards = known.map(([name, about], at) =>
    outcomes[at].value ? verdictOf(name, about, text, outcomes[at].value.data[0]) : cardOf(name, about));
  byId("verdicts").replaceChildren(...cards);
  const failed = outcomes.find(({ status }) => status === "rejected");
  if (failed) throw failed.reason;
  const results = cards.map((card) => `${part(card, "question").textContent} ${part(card, "label").textContent}.`);
  say(`Done. ${results.join(" ")}`, "unseen");
  cards[0]?.scrollIntoView({ block: "nearest" });
}

function onSubmit(form, action) {
  byId(form).addEventListener("submit", (event) => {
    event.preventDefault();
    action();
  });
}

function listen() {
  onSubmit("form", () => attempt(classify));
  onSubmit("key-form", useKey);
  byId("forget").addEventListener("click", () => { hold(""); byId("tweet").focus(); });
  byId("tweet").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("form").requestSubmit();
  });
  byId("as-one").addEventListener("click", () => attempt(() => classifyOne(byId("tweet").value.trim())));
  byId("as-each").addEventListener("click", () => attempt(() => classifyEach(linesOf(byId("tweet").value))));
  byId("tweet").addEventListener("input", () => {
    byId("lines").hidden = true;
    if (judged && byId("tweet").value.trim() !== judged) say("The verdicts belong to the text before you changed it.");
  });
  for (const example of document.querySelectorAll(".examples button")) {
    example.addEventListener("click", () => {
      byId("tweet").value = example.textContent;
      byId("form").requestSubmit();
    });
  }
}

listen();
listenToFiles();
attempt(() => {});
