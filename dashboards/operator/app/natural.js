/** The order in which people look for names, the same as the hub's lists have: Locker 2 before Locker 10. Pure. */

/**
 * Compare two texts: a run of digits counts as its number, whatever the case of letters.
 * @param {string} a @param {string} b
 */
export function natural(a, b) {
  const x = a.toLowerCase();
  const y = b.toLowerCase();
  let i = 0;
  let j = 0;
  while (i < x.length && j < y.length) {
    if (isDigit(x, i) && isDigit(y, j)) {
      const [from, to] = [endOfZeros(x, i), endOfZeros(y, j)];
      i = endOfDigits(x, from);
      j = endOfDigits(y, to);
      if (i - from !== j - to) return i - from - (j - to);
      const order = plain(x.slice(from, i), y.slice(to, j));
      if (order) return order;
    } else {
      if (x[i] !== y[j]) return x[i] < y[j] ? -1 : 1;
      i += 1;
      j += 1;
    }
  }
  return x.length - i - (y.length - j) || plain(a, b);
}

/** @param {string} a @param {string} b */
function plain(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** @param {string} text @param {number} at */
function isDigit(text, at) {
  const code = text.charCodeAt(at);
  return code >= 48 && code <= 57;
}

/** @param {string} text @param {number} at */
function endOfZeros(text, at) {
  while (text[at] === "0") at += 1;
  return at;
}

/** @param {string} text @param {number} at */
function endOfDigits(text, at) {
  while (at < text.length && isDigit(text, at)) at += 1;
  return at;
}
