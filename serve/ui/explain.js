// What a card can show on request: the words that pushed the label, and the request as a curl command.

import { element, fill, part, say } from "./dom.js";
import { ask, hasKey } from "./service.js";

/* Word attribution */

// 0 to 4, on the same scale for all tweets, so that cards are comparable.
const levelOf = (push) => [0.1, 0.5, 1, 2].filter((bound) => Math.abs(push) >= bound).length;
const signOf = (push) => (push < 0 ? "−" : "+");

export async function toggleWords(card, name, text) {
  const panel = part(card, "panel");
  if (panel.hidden) {
    say("Leaving out one word after another…");
    showWords(card, await ask("v1/words", { model: name, input: text }), text);
    if (card.isConnected) say(`The words are shown below the verdict of ${name}.`, "unseen");
  }
  panel.hidden = !panel.hidden;
  part(card, "words").ariaExpanded = String(!panel.hidden);
}

function showWords(card, { words, measured, words_total: total, truncated, toward }, text) {
  const remarks = [];
  if (measured < total) remarks.push(`Only the first ${measured} of ${total} words were measured.`);
  if (truncated) remarks.push("The text was truncated; leaving out a word lets the model read further.");
  fill(card, { remark: remarks.join(" "), toward });
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
  const direction = `${push < 0 ? " away from" : " toward"} ${part(card, "toward").textContent}: `;
  return element("li", "", size, direction, element("q", "", word));
}

/* curl command */

export async function copyCommand(shown, name, text) {
  const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`;
  const url = new URL("v1/classify", document.baseURI).href;
  const lines = [`curl -s ${quote(url)}`, "-H 'Content-Type: application/json'"];
  if (hasKey()) lines.push('-H "Authorization: Bearer $TWEETELM_API_KEY"'); // keep the key out of the shell history
  lines.push(`-d ${quote(JSON.stringify({ model: name, input: text }))}`);
  shown.textContent = lines.join(" \\\n  ");
  shown.hidden = false;
  const copied = await navigator.clipboard?.writeText(shown.textContent).then(() => true, () => false);
  say(copied ? "Copied." : "Select the command below the verdict to copy it.");
}
