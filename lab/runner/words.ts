/** Splits a command line into words as containerlab does with `exec` lines: no shell, just blanks, quotes and backslashes. */

/** The words of a command line, or what is wrong with it. */
export type Words =
  | { readonly ok: true; readonly words: readonly string[] }
  | { readonly ok: false; readonly reason: string };

/** Splits `line`. Double and single quotes group, a backslash outside single quotes takes the next character as it is. */
export function splitWords(line: string): Words {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let i = 0; i < line.length; i++) {
    const character = line.charAt(i);
    if (character === '\\' && quote !== "'") {
      i++;
      if (i === line.length) return { ok: false, reason: 'ends in a backslash' };
      word = (word ?? '') + line.charAt(i);
    } else if (quote !== undefined) {
      if (character === quote) quote = undefined;
      else word = (word ?? '') + character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else if (character === ' ' || character === '\t') {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (quote !== undefined) return { ok: false, reason: `a ${quote} is not closed` };
  if (word !== undefined) words.push(word);
  if (words.length === 0) return { ok: false, reason: 'the command is empty' };
  return { ok: true, words };
}
