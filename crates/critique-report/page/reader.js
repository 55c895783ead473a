// The reader of rollouts: filters, a list, and one rollout with all that belongs to it.

const ALL = DATA.rollouts.list;
const A_PAGE = 50;
const BESIDE = 8;

const WORDS_OF = { correct: "right", wrong: "wrong", unparsed: "no answer" };

const reader = {
  filters: { run: "", place: "", problem: "", response: "", judgment: "", judged: "", transition: "", stepFrom: "", stepTo: "", rewardFrom: "", rewardTo: "", text: "" },
  sort: "order", found: [], page: 0, chosen: null, changes: true,
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

// Which rollouts the filters let through.
function search() {
  const f = reader.filters;
  const words = f.text.toLowerCase();
  const texts = new Set();
  if (words) {
    DATA.rollouts.texts.list.forEach((text, at) => {
      if (text.toLowerCase().includes(words)) texts.add(at);
    });
  }
  const says = (r) => !words || r.id.toLowerCase().includes(words)
    || [r.question, r.response, r.critique, ...r.refinements.map((it) => it.text)].some((text) => texts.has(text));
  const within = (value, from, to) => (from === "" || value >= Number(from)) && (to === "" || value <= Number(to));
  const tests = [
    [f.run, (r) => r.run === Number(f.run)],
    [f.place, (r) => placeOf(r) === f.place],
    [f.problem, (r) => r.problem === f.problem],
    [f.response, (r) => (f.response === "not" ? !isRight(r.verdict) : r.verdict === f.response)],
    [f.judgment, (r) => claimOf(r) === f.judgment],
    [f.judged, (r) => r.judged_rightly === (f.judged === "rightly")],
    [f.transition, (r) => (f.transition === "none" ? !r.refinements.length : transitionsOf(r).includes(f.transition))],
    [f.stepFrom + f.stepTo, (r) => r.row === undefined && within(r.step + 1, f.stepFrom, f.stepTo)],
    [f.rewardFrom + f.rewardTo, (r) => r.row === undefined && within(r.reward, f.rewardFrom, f.rewardTo)],
  ].filter(([set]) => set !== "").map(([, test]) => test);
  reader.found = ALL.filter((rollout) => tests.every((test) => test(rollout)) && says(rollout));
  const orders = { up: (a, b) => a.reward - b.reward, down: (a, b) => b.reward - a.reward, advantage: (a, b) => Math.abs(b.advantage) - Math.abs(a.advantage) };
  if (orders[reader.sort]) {
    reader.found.sort(orders[reader.sort]);
  }
}

function filterChanged() {
  search();
  reader.page = 0;
  drawList();
  if (!reader.found.includes(reader.chosen) && reader.found.length) {
    choose(reader.found[0], false);
  }
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
  const places = [...new Set(ALL.map(placeOf))].map((place) => [place, visible(place)]);
  const transitions = ["right \u2192 right", "right \u2192 wrong", "wrong \u2192 right", "wrong \u2192 wrong"];
  const problems = [...new Set(ALL.map((rollout) => rollout.problem))].sort();
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
  filterChanged();
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
  const page = reader.found.slice(from, from + A_PAGE);
  const item = (rollout) => el("li", {}, el("button", {
    type: "button", "aria-current": rollout === reader.chosen ? "true" : "false",
    onclick: () => choose(rollout, true),
  }, el("span", { class: "id" }, visible(rollout.row === undefined ? rollout.id : `${rollout.row} \u00b7 ${rollout.id}`)),
  RUNS.length > 1 ? el("span", { class: "id" }, visible(RUNS[rollout.run].label)) : null,
  el("span", { class: "badges" }, badges(rollout), rollout.row === undefined ? badge(`reward ${number(rollout.reward)}`, "plain") : null)));
  const turn = (by) => () => {
    reader.page += by;
    drawList();
  };
  const pages = Math.ceil(reader.found.length / A_PAGE);
  host.replaceChildren(
    el("p", { class: "found", role: "status" }, `${count(reader.found.length)} of ${count(ALL.length)} rollouts`),
    el("ol", { start: from + 1 }, page.map(item)),
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

function choose(rollout, told) {
  reader.chosen = rollout;
  const at = reader.found.indexOf(rollout);
  if (at >= 0) {
    reader.page = Math.floor(at / A_PAGE);
  }
  drawList();
  const [list, item] = ["#reader-list ol", "#reader-list [aria-current=true]"].map((name) => document.querySelector(name));
  if (item) {
    list.scrollTop = item.offsetTop - list.offsetTop - list.clientHeight / 3;
  }
  drawDetail();
  if (told) {
    history.replaceState(null, "", linkTo(rollout));
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

function step(by) {
  const at = reader.found.indexOf(reader.chosen);
  const next = reader.found[Math.max(0, at + by)];
  if (next) {
    choose(next, true);
  }
}

function drawDetail() {
  const rollout = reader.chosen;
  document.getElementById("reader-detail").replaceChildren(
    detailHead(rollout), texts(rollout), worth(rollout), sameProblem(rollout));
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
function worth(rollout) {
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
    siblings(rollout));
}

function siblings(rollout) {
  const group = ALL.filter((other) => groupOf(other) === groupOf(rollout));
  const mean = group.reduce((sum, other) => sum + other.reward, 0) / group.length;
  const line = (other) => el("tr", { class: other === rollout ? "chosen" : "" },
    el("th", { scope: "row" }, other === rollout ? "this one" : el("a", { href: linkTo(other) }, other.id.slice(other.id.lastIndexOf("/") + 1))),
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
function sameProblem(rollout) {
  const moments = new Map();
  for (const other of ALL.filter((other) => other.problem === rollout.problem)) {
    const moment = `${other.run} ${momentOf(other)}`;
    if (!moments.has(moment) || other === rollout) {
      moments.set(moment, other);
    }
  }
  const all = [...moments.values()];
  const others = el("div", { class: "beside", tabindex: 0, role: "region", "aria-label": "The same problem at other moments" });
  const show = (to) => {
    others.append(...all.slice(others.children.length, to).map((other) => besideCard(other, rollout)));
    more.hidden = others.children.length >= all.length;
  };
  const more = el("button", { type: "button", onclick: () => show(others.children.length + BESIDE) }, "More moments");
  show(BESIDE);
  if (all.length < 2) {
    return el("p", { class: "about" }, "The page has this problem at no other moment.");
  }
  return el("section", { class: "same" },
    el("h4", {}, "The same problem across steps and stages ", el("small", {}, `${count(all.length)} moments, one rollout of each`)), others, more);
}

function besideCard(other, rollout) {
  const run = RUNS.length > 1 ? ` · ${RUNS[other.run].label}` : "";
  const part = (title, content) => [el("h6", {}, title), content];
  const before = textOf(other.response);
  return el("article", { class: other === rollout ? "chosen" : "" },
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

function follow() {
  const link = linked(location.hash);
  if (!link) return;
  const fits = (rollout) => rollout.id === link.id
    && (link.row === undefined || rollout.row === link.row)
    && (link.run === undefined || RUNS[rollout.run].label === link.run);
  const rollout = ALL.find(fits);
  const missing = document.getElementById("reader-missing");
  missing.hidden = Boolean(rollout);
  if (!rollout) {
    missing.textContent = visible(`This page does not have the rollout ${link.id}. It holds ${count(ALL.length)} of ${count(DATA.rollouts.total)}; critique-rl replay makes any of them again.`);
  } else {
    if (!reader.found.includes(rollout)) {
      clearFilters();
    }
    choose(rollout, false);
  }
  document.getElementById("rollouts").scrollIntoView();
  if (rollout) {
    showDetail();
  }
}

function openReader() {
  const host = document.getElementById("reader");
  const { total, exact } = DATA.rollouts;
  if (!ALL.length) {
    host.replaceChildren(el("p", {}, total ? `This page holds none of the ${count(total)} rollouts.` : "These runs have recorded no rollouts (save.rollouts_every)."));
    return;
  }
  const cut = ALL.length < total
    ? el("p", { class: "cut" }, `This page holds ${count(ALL.length)} of ${exact ? "" : "about "}${count(total)} rollouts, spread over stages, steps and evaluations. critique-rl report --rollouts N takes more.`) : null;
  host.replaceChildren(...[cut, el("p", { id: "reader-missing", class: "cut", role: "status", hidden: true }), filterBar(),
    el("div", { class: "reader" }, el("div", { id: "reader-list" }), el("div", { id: "reader-detail" }))].filter(Boolean));
  filterChanged();
  window.addEventListener("hashchange", follow);
  document.addEventListener("keydown", (event) => {
    const writing = event.target.closest("input, select, textarea");
    const by = { j: 1, k: -1 }[event.key];
    if (by && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      step(by);
    }
  });
  follow();
}
