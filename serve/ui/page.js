// All data from the service and the user is inserted as text, never as markup.

const byId = (id) => document.getElementById(id);
let key = ""; // in memory only
let afterKey = () => {};
let models = null;
let most = 1; // maximum texts per request
let latest = 0; // number of the last submission; results of earlier ones are dropped
let judged = ""; // the text of the predictions on screen

/* Requests and errors */

const refused = (status, message, sent) => Object.assign(new Error(message), { status, sent });

async function ask(path, body) {
  const sent = key;
  const headers = sent ? { Authorization: `Bearer ${sent}` } : {};
  if (body) headers["Content-Type"] = "application/json";
  const request = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
  const response = await fetch(path, request).catch(() => {
    throw refused(0, "The service cannot be reached. Check the connection and try again.");
  });
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  throw refused(response.status, reasonOf(response, answer), sent);
}

function reasonOf(response, answer) {
  const reason = answer?.error?.message ?? `the service answered with status ${response.status}`;
  const wait = response.headers.get("Retry-After") ?? "";
  const later = /^\d+$/.test(wait) ? ` Try again in ${wait} ${wait === "1" ? "second" : "seconds"}.` : "";
  return `That did not work: ${reason}.${later}`;
}

function say(text, kind = "") {
  byId("status").textContent = text;
  byId("status").className = kind;
}

// Run an action; on a 401, ask for the API key and run the action again.
async function attempt(action) {
  try {
    if (!models) await load();
    await action();
  } catch (error) {
    if (error.status === undefined) throw error;
    if (error.status !== 401) return say(error.message, "bad");
    askForKey(action, error.sent);
  }
}

/* API key */

function askForKey(action, sent) {
  if (key && sent !== key) return attempt(action); // the key changed while the request was in flight
  afterKey = action;
  if (byId("key-form").hidden) {
    byId("key-reason").textContent = sent ? "This key was not accepted." : "This service asks for an API key.";
    say("");
    hold("");
    byId("key-form").hidden = false;
  }
  byId("key").focus();
}

function hold(given) {
  key = given;
  byId("key").value = "";
  byId("key-form").hidden = true;
  byId("key-held").hidden = !given;
}

function useKey() {
  hold(byId("key").value.trim());
  byId("tweet").focus();
  attempt(afterKey);
}

/* Cards */

const part = (card, name) => card.querySelector(`[data-is="${name}"]`);

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function fill(card, texts) {
  for (const [name, text] of Object.entries(texts)) {
    for (const place of card.querySelectorAll(`[data-is="${name}"]`)) place.textContent = text;
  }
}

function percent(value) {
  if (value > 0 && value < 0.0005) return "under 0.1 %";
  if (value < 1 && value >= 0.9995) return "over 99.9 %";
  return `${(100 * value).toFixed(1)} %`;
}

function show(card, name, probability) {
  part(card, name).value = probability ?? "";
  part(card, `${name}-mark`).hidden = probability === null;
  part(card, `${name}-mark`).style.setProperty("--at", probability ?? 0);
  if (probability !== null) fill(card, { [name]: percent(probability) });
}

// A card with the model's question; without a prediction, it shows the current threshold and version.
function cardOf(name, about, found) {
  const card = byId("card").content.cloneNode(true).firstElementChild;
  const [{ question, labels, notices }, { threshold, version }] = [about, found ?? about];
  fill(card, { name, question, negative: labels[0], positive: labels.at(-1), version: version || "unpublished" });
  part(card, "question").id = `question-${name}`;
  card.setAttribute("aria-labelledby", `question-${name}`);
  part(card, "notices").append(...notices.map((notice) => element("p", "notice", notice)));
  show(card, "probability", found ? found.probs.at(-1) : null);
  show(card, "threshold", threshold);
  return card;
}

function verdictOf(name, about, text, found) {
  const card = cardOf(name, about, found);
  card.classList.add(found.label === about.labels.at(-1) ? "high" : "low");
  fill(card, { label: found.label });
  part(card, "cut").hidden = !found.truncated;
  for (const shown of ["fact", "actions"]) part(card, shown).hidden = false;
  part(card, "words").addEventListener("click", () => attempt(() => toggleWords(card, name, text)));
  part(card, "copy").addEventListener("click", () => copy(part(card, "command"), name, text));
  return card;
}

/* Word attribution */

// 0 to 4, on the same scale for all tweets, so that cards are comparable.
const levelOf = (push) => [0.1, 0.5, 1, 2].filter((bound) => Math.abs(push) >= bound).length;
const signOf = (push) => (push < 0 ? "−" : "+");

async function toggleWords(card, name, text) {
  const panel = part(card, "panel");
  if (panel.hidden) {
    say("Leaving out one word after another…");
    showWords(card, await ask("v1/words", { model: name, input: text }), text);
    if (card.isConnected) say(`The words are shown below the verdict of ${name}.`, "unseen");
  }
  panel.hidden = !panel.hidden;
  part(card, "words").ariaExpanded = String(!panel.hidden);
}

function showWords(card, { words, measured, words_total: total, truncated }, text) {
  const remarks = [];
  if (measured < total) remarks.push(`Only the first ${measured} of ${total} words were measured.`);
  if (truncated) remarks.push("The text was truncated; leaving out a word lets the model read further.");
  fill(card, { remark: remarks.join(" ") });
  part(card, "remark").hidden = !remarks.length;
  part(card, "marked").replaceChildren(...marked(text, words));
  const strongest = words.filter(({ push }) => levelOf(push)).sort((a, b) => Math.abs(b.push) - Math.abs(a.push));
  part(card, "top").replaceChildren(...strongest.slice(0, 5).map(({ text: word, push }) => pushOf(card, word, push)));
  if (!strongest.length) part(card, "top").append(element("li", "", "No single word moves it by 0.1 or more."));
}

function marked(text, words) {
  const characters = Array.from(text); // the API counts code points; JavaScript strings count UTF-16 units
  const shown = [];
  let at = 0;
  for (const { text: word, start, end, push } of words) {
    const level = levelOf(push);
    shown.push(characters.slice(at, start).join(""));
    const [sign, direction] = [element("span", "sign", signOf(push)), push < 0 ? "down" : "up"];
    shown.push(level ? element("span", `word ${direction} level${level}`, sign, word) : word);
    at = end;
  }
  return [...shown, characters.slice(at).join("")];
}

function pushOf(card, word, push) {
  const size = element("data", "", `${signOf(push)}${Math.abs(push).toFixed(2)}`);
  size.value = push;
  const direction = `${push < 0 ? " away from" : " toward"} ${part(card, "positive").textContent}: `;
  return element("li", "", size, direction, element("q", "", word));
}

/* curl command */

async function copy(shown, name, text) {
  const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`;
  const url = new URL("v1/classify", document.baseURI).href;
  const lines = [`curl -s ${quote(url)}`, "-H 'Content-Type: application/json'"];
  if (key) lines.push('-H "Authorization: Bearer $TWEETELM_API_KEY"'); // keep the key out of the shell history
  lines.push(`-d ${quote(JSON.stringify({ model: name, input: text }))}`);
  shown.textContent = lines.join(" \\\n  ");
  shown.hidden = false;
  const copied = await navigator.clipboard?.writeText(shown.textContent).then(() => true, () => false);
  say(copied ? "Copied." : "Select the command below the verdict to copy it.");
}

/* The page */

async function load() {
  const info = await ask("info");
  [models, most] = [info.models, info.limits.inputs];
  const known = Object.entries(models);
  byId("verdicts").replaceChildren(...known.map(([name, about]) => cardOf(name, about)));
  byId("limits").replaceChildren(...known.map(([, { question, limits }]) =>
    element("div", "", element("dt", "", question), element("dd", "", limits))));
}

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
  const mine = ++latest;
  const known = Object.entries(models);
  const found = [];
  for (let at = 0; at < lines.length; at += most) {
    say(`Classifying lines ${at + 1} to ${Math.min(at + most, lines.length)} of ${lines.length}…`);
    const input = lines.slice(at, at + most);
    const answers = await Promise.all(known.map(([name]) => ask("v1/classify", { model: name, input })));
    if (mine !== latest) return;
    found.push(...input.map((line, place) => [line, answers.map(({ data }) => data[place])]));
  }
  judged = byId("tweet").value.trim();
  byId("verdicts").replaceChildren(tableOf(known, found));
  say(`Done. ${lines.length} lines have a verdict each.`);
}

function tableOf(known, found) {
  const box = byId("table").content.cloneNode(true).firstElementChild;
  const heads = known.map(([, { question }]) => element("th", "", question));
  box.querySelector("thead tr").append(...heads);
  box.querySelector("tbody").append(...found.map(([line, items]) =>
    element("tr", "", element("td", "", line), ...items.map((item, at) => cellOf(known[at][1], item)))));
  return box;
}

function cellOf({ labels }, { label, probs, error }) {
  if (error) return element("td", "bad", error.message);
  return element("td", label === labels.at(-1) ? "high" : "low", `${label} ${percent(probs[labels.indexOf(label)])}`);
}

async function classifyOne(text) {
  const mine = ++latest;
  say("Classifying…");
  const known = Object.entries(models);
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

function listen() {
  const submitted = (form, action) => form.addEventListener("submit", (event) => {
    event.preventDefault();
    action();
  });
  submitted(byId("form"), () => attempt(classify));
  submitted(byId("key-form"), useKey);
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
attempt(() => {});
