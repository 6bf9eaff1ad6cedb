/** Comma-separated values as docs/api.md has them: RFC 4180, and nothing that a spreadsheet takes for a formula. Pure. */

/** What a formula can begin with, behind what a spreadsheet ignores. */
const FORMULA = /^[\s\u00a0\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]*[=+\-@'\t\r\n\uff1d\uff0b\uff0d\uff20]/u;

/**
 * @param {readonly string[]} names the first line
 * @param {Iterable<readonly (string | number | boolean | null)[]>} rows
 */
export function csvOf(names, rows) {
  const lines = [names.map(cell).join(",")];
  for (const row of rows) lines.push(row.map(cell).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

/** @param {string | number | boolean | null} value */
function cell(value) {
  if (value === null) return "";
  if (typeof value !== "string") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
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
