/** Comma-separated values as docs/api.md has them: RFC 4180, and nothing that a spreadsheet takes for a formula. Pure. */

/** What a formula can begin with, behind spaces, controls and formats, which some programs look behind. */
const FORMULA = /^[\s\p{Cc}\p{Cf}]*[=+\-@\uff1d\uff0b\uff0d\uff20]/u;
const CELL_OF_ITS_OWN = /^['\t\r\n]/;
/** Semicolon and tab separate cells too where a spreadsheet's region says so. */
const TO_QUOTE = /[",;\t\r\n]|^\s|\s$/u;

/**
 * @param {readonly string[]} names the first line
 * @param {Iterable<readonly (string | number | boolean | null)[]>} rows
 */
export function csvOf(names, rows) {
  const lines = [names.map(cell).join(",")];
  for (const row of rows) lines.push(row.map(cell).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

/** One value as it stands between two commas. @param {string | number | boolean | null} value */
export function cell(value) {
  if (value === null) return "";
  if (typeof value !== "string") return String(value);
  const text = CELL_OF_ITS_OWN.test(value) || FORMULA.test(value) ? `'${value}` : value;
  return TO_QUOTE.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Give the browser a file to keep. @param {string} name @param {string} text */
export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
