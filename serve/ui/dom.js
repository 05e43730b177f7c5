// Elements of the page. All data from the service and the user is inserted as text, never as markup.

export const byId = (id) => document.getElementById(id);
export const copyOf = (template) => byId(template).content.cloneNode(true).firstElementChild;
export const part = (card, name) => card.querySelector(`[data-is="${name}"]`);
export const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

export function fill(card, texts) {
  for (const [name, text] of Object.entries(texts)) {
    for (const place of card.querySelectorAll(`[data-is="${name}"]`)) place.textContent = text;
  }
}

export function percent(value) {
  if (value > 0 && value < 0.0005) return "under 0.1 %";
  if (value < 1 && value >= 0.9995) return "over 99.9 %";
  return `${(100 * value).toFixed(1)} %`;
}

export function say(text, kind = "", place = byId("status")) {
  place.textContent = text;
  place.className = kind;
}
