// Words that two transcripts do not share.

const PUNCTUATION = /^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu;

const key = (word) => word.toLowerCase().replace(PUNCTUATION, "") || word;

export const words = (text) => text.split(/\s+/).filter(Boolean);

// For each word of `text`, whether it is outside the longest common subsequence with `reference`;
// case and punctuation at the edges of a word do not count.
export function differing(reference, text) {
  const [before, after] = [words(reference).map(key), words(text).map(key)];
  const length = before.map(() => new Uint16Array(after.length + 1));
  length.push(new Uint16Array(after.length + 1));
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      length[i][j] =
        before[i] === after[j]
          ? length[i + 1][j + 1] + 1
          : Math.max(length[i + 1][j], length[i][j + 1]);
    }
  }
  const found = new Array(after.length).fill(true);
  for (let i = 0, j = 0; i < before.length && j < after.length; ) {
    if (before[i] === after[j]) {
      found[j] = false;
      i += 1;
      j += 1;
    } else if (length[i + 1][j] >= length[i][j + 1]) {
      i += 1;
    } else {
      j += 1;
    }
  }
  return found;
}
