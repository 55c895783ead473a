// The reader of rollouts: filters, a list, and one rollout with all that belongs to it.

const A_PAGE = 50;
const BESIDE = 8;

const WORDS_OF = { correct: "right", wrong: "wrong", unparsed: "no answer" };

const reader = {
  source: LIVE ? boardSource() : pageSource(),
  filters: { run: "", place: "", problem: "", response: "", judgment: "", judged: "", transition: "", stepFrom: "", stepTo: "", rewardFrom: "", rewardTo: "", text: "" },
  sort: "order", choices: { total: 0, places: [], problems: [] },
  // What was found: how many, the part that is listed, and where it begins.
  total: 0, found: 0, list: [], page: 0,
  // What is read: a rollout with its siblings and moments, and its place in what was found.
  detail: null, at: -1, changes: true,
};

// Where a rollout comes from: a stage or an evaluation.
function placeOf(rollout) {
  return rollout.row === undefined ? rollout.stage : `evaluation: ${rollout.row}`;
}

function momentOf(rollout) {
  return rollout.row === undefined ? `${rollout.stage}, step ${rollout.step + 1}` : placeOf(rollout);
}

function claimOf(rollout) {
  const judgment = rollout.judgment;
  return typeof judgment === "object" ? "score" : judgment;
}

function claimInWords(rollout) {
  const { judgment } = rollout;
  if (typeof judgment === "object") {
    return `gives ${number(judgment.score)}`;
  }
  return { correct: "says right", wrong: "says wrong", unparsed: "no verdict" }[judgment];
}

const isRight = (verdict) => verdict === "correct";

function transitionsOf(rollout) {
  const word = (verdict) => (isRight(verdict) ? "right" : "wrong");
  return rollout.refinements.map((refinement) => `${word(rollout.verdict)} \u2192 ${word(refinement.verdict)}`);
}

function groupOf(rollout) {
  const name = rollout.id.slice(0, rollout.id.lastIndexOf("."));
  return `${rollout.run} ${rollout.row ?? ""} ${name}`;
}

// Answers to what is no longer asked are dropped.
function latest() {
  let asked = 0;
  return async (question) => {
    const own = ++asked;
    const answer = await question;
    return own === asked ? { answer } : null;
  };
}

const latestList = latest();
const latestDetail = latest();

// Reads the part of what the filters let through that is listed; false where it was asked anew since.
async function load(page) {
  const answered = await latestList(reader.source.search(reader.filters, reader.sort, page * A_PAGE, A_PAGE));
  if (!answered) return false;
  const { total, found, list } = answered.answer;
  Object.assign(reader, { total, found, list, page });
  drawList();
  return true;
}

async function filterChanged() {
  if (!await load(0)) return;
  const listed = reader.list.findIndex((rollout) => keyOf(rollout) === keyOf(chosen()));
  if (listed >= 0) {
    reader.at = listed;
  } else if (reader.list.length) {
    await choose(reader.list[0], 0, false);
  }
}

function chosen() {
  return reader.detail ? reader.detail.rollout : null;
}

function filterChoice(label, key, options) {
  const any = [["", "any"], ...options];
  const set = (value) => {
    reader.filters[key] = value;
    filterChanged();
  };
  return choice(label, any, set, reader.filters[key]);
}

function filterInput(label, key, type) {
  const changed = later(() => {
    reader.filters[key] = input.value.trim();
    filterChanged();
  }, 200);
  const input = el("input", { type, step: "any", value: reader.filters[key], oninput: changed });
  return el("label", { class: `field ${type}` }, el("span", {}, label), input);
}

function filterBar() {
  const places = reader.choices.places.map((place) => [place, visible(place)]);
  const transitions = ["right \u2192 right", "right \u2192 wrong", "wrong \u2192 right", "wrong \u2192 wrong"];
  const { problems } = reader.choices;
  const sort = (value) => {
    reader.sort = value;
    filterChanged();
  };
  return el("form", { class: "filters", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() },
    RUNS.length > 1 ? filterChoice("Run", "run", RUNS.map((run, at) => [String(at), visible(run.label)])) : null,
    filterChoice("Stage or evaluation", "place", places),
    el("div", { class: "pair" }, filterInput("Step from", "stepFrom", "number"), filterInput("to", "stepTo", "number")),
    filterChoice("Response", "response", [["correct", "right"], ["not", "not right"], ["wrong", "wrong"], ["unparsed", "no answer"]]),
    filterChoice("Critique", "judgment", [["correct", "says right"], ["wrong", "says wrong"], ["unparsed", "no verdict"], ["score", "gives a score"]]),
    filterChoice("Judged", "judged", [["rightly", "rightly"], ["wrongly", "wrongly"]]),
    filterChoice("Refinement", "transition", [...transitions.map((name) => [name, name]), ["none", "none"]]),
    el("div", { class: "pair" }, filterInput("Reward from", "rewardFrom", "number"), filterInput("to", "rewardTo", "number")),
    filterChoice("Problem", "problem", problems.map((problem) => [problem, visible(problem)])),
    filterInput("Text", "text", "search"),
    choice("Order", [["order", "of the run"], ["down", "highest reward"], ["up", "lowest reward"], ["advantage", "largest advantage"]], sort, reader.sort),
    el("button", { type: "button", onclick: clearFilters }, "Clear"));
}

function clearFilters() {
  for (const key of Object.keys(reader.filters)) {
    reader.filters[key] = "";
  }
  reader.sort = "order";
  document.querySelector(".filters").replaceWith(filterBar());
  return filterChanged();
}

function badge(text, kind) {
  return el("span", { class: `badge ${kind}` }, text);
}

function badges(rollout) {
  const verdict = badge(rollout.verdict === "unparsed" ? "no answer" : `response ${WORDS_OF[rollout.verdict]}`, isRight(rollout.verdict) ? "good" : "bad");
  const claim = badge(claimInWords(rollout), claimOf(rollout) === "score" ? "plain" : rollout.judged_rightly ? "good" : "bad");
  const ways = [...new Set(transitionsOf(rollout))].map((way) => badge(way, way.endsWith("right") ? "good" : "bad"));
  const cut = rollout.truncated ? [badge("cut off", "plain")] : [];
  return [verdict, claim, ways, cut];
}

function drawList() {
  const host = document.getElementById("reader-list");
  const from = reader.page * A_PAGE;
  const current = keyOf(chosen());
  const item = (rollout, at) => el("li", {}, el("button", {
    type: "button", "aria-current": keyOf(rollout) === current ? "true" : "false",
    onclick: () => choose(rollout, from + at, true),
  }, el("span", { class: "id" }, visible(rollout.row === undefined ? rollout.id : `${rollout.row} \u00b7 ${rollout.id}`)),
  RUNS.length > 1 ? el("span", { class: "id" }, visible(RUNS[rollout.run].label)) : null,
  el("span", { class: "badges" }, badges(rollout), rollout.row === undefined ? badge(`reward ${number(rollout.reward)}`, "plain") : null)));
  const turn = (by) => () => load(reader.page + by);
  const pages = Math.ceil(reader.found / A_PAGE);
  host.replaceChildren(
    el("p", { class: "found", role: "status" }, `${count(reader.found)} of ${count(reader.total)} rollouts`),
    el("ol", { start: from + 1 }, reader.list.map(item)),
    el("div", { class: "turn" },
      el("button", { type: "button", disabled: reader.page === 0, onclick: turn(-1) }, "Earlier"),
      el("span", {}, pages ? `${reader.page + 1} of ${pages}` : "none"),
      el("button", { type: "button", disabled: reader.page + 1 >= pages, onclick: turn(1) }, "Later")));
}

function linkTo(rollout) {
  const named = [`rollout=${encodeURIComponent(rollout.id)}`];
  if (rollout.row !== undefined) named.push(`row=${encodeURIComponent(rollout.row)}`);
  if (RUNS.length > 1) named.push(`run=${encodeURIComponent(RUNS[rollout.run].label)}`);
  return `#${named.join("&")}`;
}

// Opens a rollout; `at` is its place in what was found, or -1.
async function choose(rollout, at, told) {
  const answered = await latestDetail(reader.source.detail(rollout));
  if (!answered || !answered.answer) return;
  await open(answered.answer, at, told);
}

async function open(detail, at, told) {
  Object.assign(reader, { detail, at });
  if (at >= 0 && Math.floor(at / A_PAGE) !== reader.page) {
    await load(Math.floor(at / A_PAGE));
  }
  drawList();
  const [list, item] = ["#reader-list ol", "#reader-list [aria-current=true]"].map((name) => document.querySelector(name));
  if (item) {
    list.scrollTop = item.offsetTop - list.offsetTop - list.clientHeight / 3;
  }
  drawDetail();
  if (told) {
    history.replaceState(null, "", linkTo(detail.rollout));
    showDetail();
  }
}

// Where the rollout stands below the list, not beside it, it is brought into view.
function showDetail() {
  const [list, detail] = ["reader-list", "reader-detail"].map((name) => document.getElementById(name));
  if (detail.offsetTop > list.offsetTop) {
    detail.scrollIntoView();
  }
}

async function step(by) {
  const at = Math.max(0, reader.at + by);
  if (at >= reader.found) return;
  const page = Math.floor(at / A_PAGE);
  if (page !== reader.page && !await load(page)) return;
  const next = reader.list[at - page * A_PAGE];
  if (next) {
    await choose(next, at, true);
  }
}

function drawDetail() {
  const { detail } = reader;
  const { rollout } = detail;
  document.getElementById("reader-detail").replaceChildren(
    detailHead(rollout), texts(rollout), worth(rollout, detail.siblings), sameProblem(rollout, detail));
}

function detailHead(rollout) {
  const folder = RUNS[rollout.run].folder;
  const quoted = (text) => `'${text.replace(/'/g, "'\\''")}'`;
  const row = rollout.row === undefined ? "" : ` --row ${quoted(rollout.row)}`;
  return el("header", { class: "detail-head" },
    el("h3", {}, visible(rollout.id)),
    el("p", { class: "badges" }, badge(visible(momentOf(rollout)), "plain"),
      RUNS.length > 1 ? badge(visible(RUNS[rollout.run].label), "plain") : null, badges(rollout)),
    el("p", { class: "controls" },
      el("button", { type: "button", onclick: () => step(-1), title: "key k" }, "Previous"),
      el("button", { type: "button", onclick: () => step(1), title: "key j" }, "Next"),
      el("a", { href: linkTo(rollout) }, "Link to this rollout")),
    el("details", { class: "again" }, el("summary", {}, "Make it again"),
      el("code", {}, visible(`critique-rl replay ${quoted(folder)} ${quoted(rollout.id)}${row}`))));
}

function column(title, note, ...content) {
  return el("section", { class: "column" }, el("h4", {}, title, note ? el("small", {}, ` ${note}`) : null), content);
}

function tokens(length) {
  return length ? `${count(length)} tokens` : "";
}

function texts(rollout) {
  const lengths = rollout.tokens;
  return el("div", { class: "columns" },
    column("Question", "", textBox(rollout.question, plain),
      el("p", { class: "about" }, "Gold answer: ", el("b", { dir: "auto" }, visible(textOf(rollout.gold).slice(0, LETTERS_SHOWN))))),
    column("Response", tokens(lengths[0]), badge(WORDS_OF[rollout.verdict], isRight(rollout.verdict) ? "good" : "bad"), textBox(rollout.response, plain)),
    column("Critique", tokens(lengths[1]), badge(claimInWords(rollout), rollout.judged_rightly ? "good" : "bad"), textBox(rollout.critique, marked)),
    rollout.refinements.map((refinement, at) => refinementColumn(rollout, refinement, at)),
    rollout.refinements.length ? null : column("Refinement", "", el("p", { class: "about" }, "None was asked for.")));
}

function refinementColumn(rollout, refinement, at) {
  const before = textOf(rollout.response);
  const draw = (text) => (reader.changes ? changes(before.slice(0, Math.max(LETTERS_SHOWN, text.length)), text) : plain(text));
  const many = rollout.refinements.length > 1 ? ` ${at + 1}` : "";
  const box = el("input", { type: "checkbox", onchange: () => { reader.changes = box.checked; drawDetail(); } });
  box.checked = reader.changes;
  return column(`Refinement${many}`, tokens(rollout.tokens[2][at]),
    badge(WORDS_OF[refinement.verdict], isRight(refinement.verdict) ? "good" : "bad"),
    el("label", { class: "toggle" }, box, "mark what changed"), textBox(refinement.text, draw));
}

// Reward and advantage, beside those of the other critiques of the response.
function worth(rollout, group) {
  const parts = rollout.rewards.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, visible(name)), el("td", {}, signed(value))));
  const [ofResponse, ofCritique] = rollout.log_probs;
  const sums = [["response", ofResponse], ["critique", ofCritique]].filter(([, sum]) => sum !== null);
  const about = sums.length ? el("p", { class: "about" }, `Sum of log-probs, nats: ${sums.map(([name, sum]) => `${name} ${number(sum)}`).join(", ")}.`) : null;
  if (rollout.row !== undefined) {
    return el("div", { class: "worth" }, about);
  }
  return el("div", { class: "worth" },
    el("section", {}, el("h4", {}, "Reward"),
      el("table", { class: "figures" }, el("tbody", {}, parts,
        el("tr", { class: "sum" }, el("th", { scope: "row" }, "reward"), el("td", {}, signed(rollout.reward))),
        el("tr", {}, el("th", { scope: "row" }, "advantage"), el("td", {}, signed(rollout.advantage))))), about),
    siblings(rollout, group));
}

function siblings(rollout, group) {
  const own = (other) => keyOf(other) === keyOf(rollout);
  const mean = group.reduce((sum, other) => sum + other.reward, 0) / group.length;
  const line = (other) => el("tr", { class: own(other) ? "chosen" : "" },
    el("th", { scope: "row" }, own(other) ? "this one" : el("a", { href: linkTo(other) }, other.id.slice(other.id.lastIndexOf("/") + 1))),
    el("td", { class: "words" }, claimInWords(other)), el("td", { class: "words" }, transitionsOf(other).join(", ") || "–"),
    el("td", {}, signed(other.reward)), el("td", {}, signed(other.advantage)));
  return el("section", { class: "siblings" },
    el("h4", {}, "Critiques of this response ", el("small", {}, `mean reward here ${number(mean)}`)),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Critiques of this response" },
      el("table", { class: "figures" },
        el("thead", {}, el("tr", {}, ["critique", "verdict", "refinement", "reward", "advantage"].map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, group.map(line)))));
}

// The same problem at other moments: one rollout of each.
function sameProblem(rollout, { moments: all, all_moments: there }) {
  const others = el("div", { class: "beside", tabindex: 0, role: "region", "aria-label": "The same problem at other moments" });
  const show = (to) => {
    others.append(...all.slice(others.children.length, to).map((other) => besideCard(other, rollout)));
    more.hidden = others.children.length >= all.length;
  };
  const more = el("button", { type: "button", onclick: () => show(others.children.length + BESIDE) }, "More moments");
  show(BESIDE);
  if (all.length < 2) {
    return el("p", { class: "about" }, "This problem is here at no other moment.");
  }
  return el("section", { class: "same" },
    el("h4", {}, "The same problem across steps and stages ", el("small", {}, `${count(there)} moments${all.length < there ? `, ${count(all.length)} of them here` : ""}, one rollout of each`)), others, more);
}

function besideCard(other, rollout) {
  const run = RUNS.length > 1 ? ` · ${RUNS[other.run].label}` : "";
  const part = (title, content) => [el("h6", {}, title), content];
  const before = textOf(other.response);
  return el("article", { class: keyOf(other) === keyOf(rollout) ? "chosen" : "" },
    el("h5", {}, el("a", { href: linkTo(other) }, visible(momentOf(other) + run))),
    el("p", { class: "badges" }, badges(other)),
    part("Response", textBox(other.response, plain)), part("Critique", textBox(other.critique, marked)),
    other.refinements.slice(0, 1).map((refinement) => part("Refinement", textBox(refinement.text, (text) => changes(before.slice(0, Math.max(LETTERS_SHOWN, text.length)), text)))));
}

// `#rollout=ID`, with `row=` and `run=` where an id is not enough. A letter `+` is itself.
function linked(hash) {
  const words = new Map(hash.replace(/^#/, "").split("&").map((part) => {
    const at = part.indexOf("=");
    return at < 0 ? [part, ""] : [part.slice(0, at), decoded(part.slice(at + 1))];
  }));
  return words.has("rollout") ? { id: words.get("rollout"), row: words.get("row"), run: words.get("run") } : null;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function follow() {
  const link = linked(location.hash);
  if (!link) return;
  const answered = await latestDetail(reader.source.find(link));
  if (!answered) return;
  const detail = answered.answer;
  const missing = document.getElementById("reader-missing");
  missing.hidden = Boolean(detail);
  if (!detail) {
    const holds = LIVE ? "" : ` It holds ${count(reader.total)} of ${count(DATA.rollouts.total)}; critique-rl replay makes any of them again.`;
    missing.textContent = visible(`This page does not have the rollout ${link.id}.${holds}`);
  } else {
    const place = () => reader.source.place(detail.rollout, reader.filters, reader.sort);
    if (!LIVE && place() < 0) {
      await clearFilters();
    }
    await open(detail, place(), false);
  }
  document.getElementById("rollouts").scrollIntoView();
  if (detail) {
    showDetail();
  }
}

// Why there is nothing to read, where there is nothing.
function whyNothing() {
  const { total } = DATA.rollouts;
  if (reader.choices.total) return null;
  if (LIVE) return "These runs have recorded no rollouts yet.";
  return total ? `This page holds none of the ${count(total)} rollouts.` : "These runs have recorded no rollouts (save.rollouts_every).";
}

function cutNote() {
  const { total, exact, list } = DATA.rollouts;
  if (LIVE || list.length >= total) return null;
  return el("p", { class: "cut" }, `This page holds ${count(list.length)} of ${exact ? "" : "about "}${count(total)} rollouts, spread over stages, steps and evaluations. critique-rl report --rollouts N takes more.`);
}

async function openReader() {
  const host = document.getElementById("reader");
  if (LIVE) {
    host.replaceChildren(el("p", { role: "status" }, "Reading the rollouts\u2026"));
  }
  reader.choices = await reader.source.choices();
  const why = whyNothing();
  if (why) {
    host.replaceChildren(el("p", {}, why));
    return;
  }
  host.replaceChildren(...[cutNote(), el("p", { id: "reader-missing", class: "cut", role: "status", hidden: true }), filterBar(),
    el("div", { class: "reader" }, el("div", { id: "reader-list" }), el("div", { id: "reader-detail" }))].filter(Boolean));
  await filterChanged();
  window.addEventListener("hashchange", follow);
  document.addEventListener("keydown", (event) => {
    const writing = event.target.closest("input, select, textarea");
    const by = { j: 1, k: -1 }[event.key];
    if (by && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      step(by);
    }
  });
  await follow();
}
