// Everything that came from outside is shown through textContent, never as markup.

const byId = (id) => document.getElementById(id);

function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

const percent = (value) => `${(100 * value).toFixed(1)} %`;

async function answerOf(response) {
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  throw new Error(body?.error?.message ?? `the service answered ${response.status}`);
}

function listOf(pairs) {
  const list = document.createElement("dl");
  for (const [name, value] of pairs) list.append(element("dt", name), element("dd", value));
  return list;
}

function barOf(probability, threshold) {
  const bar = element("div", "", "bar");
  bar.setAttribute("aria-hidden", "true"); // the number stands below
  const fill = element("div", "", "fill");
  fill.style.width = percent(probability).replace(" ", "");
  bar.append(fill);
  if (threshold !== null) {
    const mark = element("div", "", "threshold");
    mark.style.left = percent(threshold).replace(" ", "");
    bar.append(mark);
  }
  return bar;
}

function cardOf(about, found) {
  const positive = about.labels.at(-1);
  const probability = found.probs.at(-1);
  const card = element("article", "", found.label === positive ? "verdict high" : "verdict low");
  card.append(
    element("h3", about.question),
    element("p", found.label, "label"),
    barOf(probability, found.threshold),
    listOf([
      [`Probability of ${positive}`, percent(probability)],
      ["Threshold", found.threshold === null ? "most probable label" : percent(found.threshold)],
      ["Version", found.version || "unpublished"],
    ]),
  );
  if (found.truncated) card.append(element("p", "Only the beginning was read: the text is too long.", "remark"));
  return card;
}

async function classify(name, about, text) {
  const response = await fetch("v1/classify", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model: name, input: text }),
  });
  return cardOf(about, (await answerOf(response)).data[0]);
}

function say(text, error = false) {
  byId("status").textContent = text;
  byId("status").className = error ? "error" : "";
}

let latest = 0; // of several submissions in flight, only the last one may show its verdicts

async function submit(models) {
  const text = byId("tweet").value.trim();
  if (!text) return;
  const mine = ++latest;
  byId("submit").disabled = true;
  byId("verdicts").replaceChildren();
  say("Classifying…");
  try {
    const asked = Object.entries(models).map(([name, about]) => classify(name, about, text));
    const cards = await Promise.all(asked);
    if (mine !== latest) return;
    byId("verdicts").replaceChildren(...cards);
    say("");
  } catch (error) {
    if (mine === latest) say(`That did not work: ${error.message}`, true);
  } finally {
    if (mine === latest) byId("submit").disabled = false;
  }
}

function describe(models) {
  for (const [name, about] of Object.entries(models)) {
    if (about.notices.length) byId("notices").append(element("p", `${name}: ${about.notices.join("; ")}`));
    byId("limits").append(element("dt", about.question), element("dd", about.limits));
  }
}

function listen(models) {
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(models);
  });
  byId("tweet").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("form").requestSubmit();
  });
  for (const example of document.querySelectorAll(".example")) {
    example.addEventListener("click", () => {
      byId("tweet").value = example.textContent;
      byId("form").requestSubmit();
    });
  }
}

try {
  const { models } = await answerOf(await fetch("info"));
  describe(models);
  listen(models);
} catch (error) {
  say(`The models cannot be reached: ${error.message}`, true);
}
