// Reads a file of tweets into a table, and writes a table as CSV.

import { counted } from "./dom.js";

export const LIMITS = { bytes: 20_000_000, rows: 50_000 };
const ELSEWHERE = "use tweetelm classify-files (docs/archives.md).";
const READERS = { csv: readCsv, tsv: readCsv, jsonl: readJsonLines, ndjson: readJsonLines, txt: readText };

// A file that cannot be read; the message says why and what to do.
export const unreadable = (message) => Object.assign(new Error(message), { status: 0 });

// Return { name, columns, rows, hasBom }; a row has `cells`, and an `error` if it cannot be classified.
export async function readTable(file) {
  const [name, ending] = [file.name, file.name.split(".").at(-1).toLowerCase()];
  if (!READERS[ending]) {
    const known = Object.keys(READERS).map((one) => `.${one}`).join(", ");
    throw unreadable(`${name} is not a file that this page reads; expected ${known}. For others, ${ELSEWHERE}`);
  }
  if (file.size > LIMITS.bytes) {
    const size = `${Math.ceil(file.size / 1e6)} MB; expected at most ${LIMITS.bytes / 1e6} MB`;
    throw unreadable(`${name} has ${size}. For larger files, ${ELSEWHERE}`);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const table = READERS[ending](decoded(bytes), ending);
  if (!table.rows.length) throw unreadable(`${name} has no rows.`);
  if (table.rows.length > LIMITS.rows) {
    const rows = `${counted(table.rows.length, "row")}; expected at most ${LIMITS.rows.toLocaleString("en")}`;
    throw unreadable(`${name} has ${rows}. For larger files, ${ELSEWHERE}`);
  }
  return { name, hasBom: bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf, ...table };
}

/* Text */

// UTF-16 needs a byte order mark. Bytes that are not UTF-8 become lone surrogates, so that only their rows fail.
function decoded(bytes) {
  const mark = (bytes[0] << 8) | bytes[1];
  if (mark === 0xfffe || mark === 0xfeff) {
    return new TextDecoder(mark === 0xfffe ? "utf-16le" : "utf-16be").decode(bytes);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return damaged(bytes);
  }
}

function damaged(bytes) {
  const [strict, lenient] = [{ fatal: true }, {}].map((options) => new TextDecoder("utf-8", options));
  const lines = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0x0a, at) + 1 || bytes.length;
    const line = bytes.subarray(at, end);
    try {
      lines.push(strict.decode(line));
    } catch {
      lines.push(lenient.decode(line).replaceAll("\ufffd", "\ud800"));
    }
    at = end;
  }
  return lines.join("");
}

export const isValid = (text) => !/\p{Surrogate}/u.test(text);

function readText(text) {
  const lines = text.split(/\r\n|\n|\r/);
  if (lines.at(-1) === "") lines.pop();
  return { columns: ["text"], rows: lines.map((line) => ({ cells: [line] })) };
}

/* CSV */

function readCsv(text, ending) {
  const delimiter = ending === "tsv" ? "\t" : delimiterOf(text);
  const [header = [], ...records] = [...recordsOf(text, delimiter)];
  const width = header.length;
  const wrong = (cells) => `the row has ${counted(cells.length, "field")}; the header has ${width}`;
  const rows = records.filter((cells) => cells.length > 1 || cells[0] !== "" || width === 1)
    .map((cells) => (cells.length === width ? { cells } : { cells, error: wrong(cells) }));
  const widest = rows.reduce((most, { cells }) => Math.max(most, cells.length), width);
  const extra = Array.from({ length: widest - width }, (_, at) => `column ${width + at + 1}`);
  return { columns: [...header, ...extra], rows };
}

// The delimiter that the first line has most of, outside quotes.
function delimiterOf(text) {
  const first = text.split("\n", 1)[0].replace(/"[^"]*"/g, "");
  const counts = [",", ";", "\t"].map((one) => [one, first.split(one).length]);
  return counts.reduce((best, one) => (one[1] > best[1] ? one : best))[0];
}

// Quoted fields may contain delimiters, newlines and doubled quotes.
function* recordsOf(text, delimiter) {
  const border = new RegExp(`[${delimiter}\\r\\n]`, "g");
  let [at, number] = [0, 0];
  while (at < text.length) {
    const cells = [];
    number += 1;
    do {
      if (cells.length) at += 1; // the delimiter
      let cell = "";
      if (text[at] === '"') [cell, at] = quotedAt(text, at, number);
      border.lastIndex = at;
      const end = border.exec(text)?.index ?? text.length;
      cells.push(cell + text.slice(at, end));
      at = end;
    } while (text[at] === delimiter);
    at += text.startsWith("\r\n", at) ? 2 : 1;
    yield cells;
  }
}

function quotedAt(text, start, number) {
  const pieces = [];
  for (let at = start + 1; ; ) {
    const end = text.indexOf('"', at);
    if (end < 0) {
      throw unreadable(`Record ${number} of the file, counted from the header, opens a quote that is never closed. Close it.`);
    }
    pieces.push(text.slice(at, end));
    if (text[end + 1] !== '"') return [pieces.join('"'), end + 1];
    at = end + 2;
  }
}

/* JSON lines */

function readJsonLines(text) {
  const found = text.split("\n").filter((line) => line.trim()).map(parsed);
  const columns = [...new Set(found.flatMap((fields) => Object.keys(fields ?? {})))];
  const error = "the line is neither a JSON object nor a string";
  const cellsOf = (fields) => columns.map((name) => cellOf(fields[name]));
  return { columns, rows: found.map((fields) => (fields ? { cells: cellsOf(fields) } : { cells: [], error })) };
}

function parsed(line) {
  try {
    const value = JSON.parse(exact(line));
    if (typeof value === "string") return { text: value };
    return value && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

// Numbers of 16 digits or more, such as ids of tweets, become strings: JavaScript would round them.
function exact(line) {
  if (!/\d{16}/.test(line)) return line;
  const kept = (piece) => (piece[0] === '"' || piece.length < 16 ? piece : `"${piece}"`);
  return line.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, kept);
}

function cellOf(value) {
  if (value === undefined || value === null) return null;
  return typeof value === "string" ? value : JSON.stringify(value);
}

/* Results */

const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

export function csvOf(columns, rows) {
  return [columns, ...rows].map((cells) => `${cells.map((cell) => quoted(String(cell ?? ""))).join(",")}\n`).join("");
}

// The column that most likely has the tweets: by its name, else the longest cells among the first rows.
export function textColumn({ columns, rows }) {
  const names = columns.map((name) => name.trim().toLowerCase());
  const named = ["text", "tweet"].map((name) => names.indexOf(name)).find((at) => at >= 0);
  if (named !== undefined) return named;
  const first = rows.slice(0, 50);
  const lengths = columns.map((_, at) => first.reduce((sum, { cells }) => sum + (cells[at]?.length ?? 0), 0));
  return Math.max(0, lengths.indexOf(Math.max(...lengths)));
}
