// What models wrote: shown as it is, marked, compared.

const LETTERS_SHOWN = 4000;
const LINES_MARKED = 2000;
const CELLS_COMPARED = 4e6;

// Letters that would command a terminal or turn the order of what is shown.
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

function visible(text) {
  return text.replace(UNSEEN, (letter) => {
    const code = letter.charCodeAt(0);
    if (code < 0x20) {
      return String.fromCharCode(0x2400 + code);
    }
    return code === 0x7f ? "\u2421" : `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
  });
}

// A text by its number on this page, or as the board gives it: itself, or its start.
function textOf(text) {
  if (typeof text === "number") return DATA.rollouts.texts.list[text];
  return typeof text === "string" ? text : text.start;
}

// Letters of a text that is not whole here.
function lettersOf(text) {
  return typeof text === "number" ? DATA.rollouts.texts.cut[text] : text.letters;
}

// A text in a box, with its start alone where it is long.
function textBox(index, draw) {
  const text = textOf(index);
  const box = el("div", { class: "text", tabindex: 0 });
  const show = (whole) => {
    const shown = whole ? text : start(text);
    box.replaceChildren(draw(shown));
    if (shown.length < text.length) {
      const all = () => show(true);
      const name = `Show all ${count(text.length)} letters`;
      box.append(el("button", { type: "button", class: "more", onclick: all }, name));
    }
    const letters = lettersOf(index);
    if (letters && whole) {
      box.append(el("p", { class: "about" }, `This page has the start alone of ${count(letters)} letters.`));
    }
    if (text === "") {
      box.append(el("p", { class: "about" }, "(empty)"));
    }
  };
  show(text.length <= LETTERS_SHOWN);
  return box;
}

function start(text) {
  const end = LETTERS_SHOWN;
  const pair = text.charCodeAt(end - 1) >= 0xd800 && text.charCodeAt(end - 1) < 0xdc00;
  return text.slice(0, pair ? end - 1 : end);
}

function plain(text) {
  return el("div", { dir: "auto" }, visible(text));
}

const OF_STEP = /^[\s*_#>-]*correctness of the step\b\W*(correct|wrong)\b/i;
const OF_ANSWER = /^[\s*_#>-]*correctness of the final answer\b\W*(?:(correct|wrong)\b)?/i;

// A critique with its verdicts marked, a line each.
function marked(text) {
  const lines = text.split("\n");
  if (lines.length > LINES_MARKED) {
    return plain(text);
  }
  return el("div", {}, lines.map(markedLine));
}

function markedLine(line) {
  const step = OF_STEP.exec(line);
  const answer = step ? null : OF_ANSWER.exec(line);
  const says = ((step && step[1]) || (answer && answer[1]) || "").toLowerCase();
  const mark = says === "correct" ? " good" : says === "wrong" ? " bad" : "";
  const kind = step ? " of-step" : answer ? " of-answer" : "";
  return el("div", { class: `line${kind}${mark}`, dir: "auto" }, visible(line));
}

// What became of `before`: pieces of the new text, and those that are gone, marked.
function changes(before, after) {
  const pieces = compared(before, after);
  const node = ([kind, text]) => {
    const tag = kind === "+" ? "ins" : kind === "-" ? "del" : "span";
    return el(tag, {}, visible(text));
  };
  return el("div", { dir: "auto" }, pieces.map(node));
}

const WORDS = /\s+|[\p{L}\p{N}_]+(?:[.,]\p{N}+)*|./gsu;

function compared(before, after) {
  if (before === after) {
    return [["=", after]];
  }
  const words = [before.match(WORDS) || [], after.match(WORDS) || []];
  if (words[0].length * words[1].length <= CELLS_COMPARED) {
    return difference(...words);
  }
  const lines = [before, after].map((text) => text.split(/(?<=\n)/));
  if (lines[0].length * lines[1].length <= CELLS_COMPARED) {
    return difference(...lines);
  }
  return [["-", before], ["+", after]];
}

// The longest common subsequence of two lists of pieces, as pieces that stay, go and come.
function difference(a, b) {
  let first = 0;
  while (first < a.length && first < b.length && a[first] === b[first]) {
    first++;
  }
  let last = 0;
  while (last < a.length - first && last < b.length - first && a[a.length - 1 - last] === b[b.length - 1 - last]) {
    last++;
  }
  const middle = between(a.slice(first, a.length - last), b.slice(first, b.length - last));
  const same = (pieces) => ["=", pieces.join("")];
  return joined([same(a.slice(0, first)), ...middle, same(a.slice(a.length - last))]);
}

function between(a, b) {
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const here = i * width + j;
      longest[here] =
        a[i] === b[j] ? longest[here + width + 1] + 1 : Math.max(longest[here + width], longest[here + 1]);
    }
  }
  const pieces = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const here = i * width + j;
    if (i < a.length && j < b.length && a[i] === b[j]) {
      pieces.push(["=", a[i++]]);
      j++;
    } else if (i < a.length && (j === b.length || longest[here + width] >= longest[here + 1])) {
      pieces.push(["-", a[i++]]);
    } else {
      pieces.push(["+", b[j++]]);
    }
  }
  return pieces;
}

// Neighbours of one kind as one piece; what goes stands before what comes in its place.
function joined(pieces) {
  const all = [];
  let [gone, come] = ["", ""];
  const flush = () => {
    if (gone) all.push(["-", gone]);
    if (come) all.push(["+", come]);
    [gone, come] = ["", ""];
  };
  for (const [kind, text] of pieces) {
    if (text === "") continue;
    if (kind === "-") {
      gone += text;
    } else if (kind === "+") {
      come += text;
    } else {
      flush();
      all.push([kind, text]);
    }
  }
  flush();
  return all;
}
