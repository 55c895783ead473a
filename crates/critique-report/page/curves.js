// Which curves there are, and of which runs.

// Title, unit and metrics with their names. `share` has an axis from 0 to 100 %.
const PANELS = [
  ["Reward", [
    ["Reward", "", [["reward", "mean"], ["reward_std", "standard deviation in a group"]]],
    ["Parts of the reward, before their weights", "", /^rewards\/(.*)\/mean$/],
    ["Groups whose rewards are all equal", "share", [["frac_reward_zero_std", "groups without variance"]]],
  ]],
  ["Telling right from wrong", [
    ["Acc@Dis", "share", [["acc_dis_correct", "on right responses"], ["acc_dis_incorrect", "on wrong responses"], ["acc_dis_balanced", "balanced"]],
      [{ y: 0.5, label: "chance" }]],
    ["What critiques say", "share", [["said_correct", "says correct"], ["acc_initial", "is correct"], ["acc_dis", "says what is"]]],
    ["Critiques with a verdict", "share", [["parse_rate", "with a verdict"]]],
    ["What stands in place of a verdict", "share", /^unparsed\/(.*)$/],
  ]],
  ["Helping", [
    ["Transitions, of all responses", "share", [["stayed_right", "right \u2192 right"], ["delta_c2i", "right \u2192 wrong"], ["delta_i2c", "wrong \u2192 right"], ["stayed_wrong", "wrong \u2192 wrong"]]],
    ["Transitions, of their class", "share", [["c2i_of_correct", "broken, of right"], ["i2c_of_incorrect", "mended, of wrong"]]],
    ["Accuracy", "share", [["acc_initial", "responses"], ["acc_refined", "refinements"]]],
  ]],
  ["Validation split, greedy", [
    ["Accuracy", "share", [["eval/acc_initial", "responses"], ["eval/acc_refined", "refinements"]]],
    ["Acc@Dis", "share", [["eval/acc_dis_correct", "on right responses"], ["eval/acc_dis_incorrect", "on wrong responses"], ["eval/acc_dis_balanced", "balanced"]],
      [{ y: 0.5, label: "chance" }]],
    ["Transitions", "share", [["eval/delta_c2i", "right \u2192 wrong"], ["eval/delta_i2c", "wrong \u2192 right"]]],
    ["Verdicts", "share", [["eval/parse_rate", "with a verdict"], ["eval/said_correct", "says correct"], ["eval/acc_dis", "says what is"]]],
    ["Gates", "share", /^gate\/(.*)$/],
  ]],
  ["The policy", [
    ["KL against the reference, nats a token", "nats", [["kl", "mean"]]],
    ["KL of whole critiques, nats", "nats", [["kl_sequence", "mean of sums"]]],
    ["Entropy, nats a token", "nats", [["entropy_sampled", "of sampled tokens"]]],
    ["Moved in the step, nats a token", "nats", [["approx_kl", "approximate KL"]]],
    ["Tokens held by a clip", "share of tokens", /^clip_ratio\/(.*)_mean$/],
    ["Largest difference of log-probs, nats", "nats", [["logprob_diff_max", "sampled against recomputed"]]],
  ]],
  ["Lengths", [
    ["Length of critiques, tokens", "tokens", [["completions/mean_length", "mean"], ["completions/min_length", "shortest"], ["completions/max_length", "longest"]]],
    ["Cut off at the longest length", "share", [["completions/clipped_ratio", "critiques"], ["responses/clipped_ratio", "responses"], ["refinements/clipped_ratio", "refinements"]]],
  ]],
  ["Learning", [
    ["Loss", "nats", [["loss", "loss"]]],
    ["Norm of the gradient", "", [["grad_norm", "before clipping"]]],
    ["Learning rate", "", [["learning_rate", "learning rate"]]],
  ]],
  ["Speed and memory", [
    ["Tokens a second", "tokens/s", [["time/tokens_per_second", "learnt from (SFT)"], ["time/critique_tokens_per_second", "of critiques, while generating (RL)"]]],
    ["Time of a step, s", "s", [["time/step", "whole"], ["time/rollout", "generation"], ["time/score", "scoring"], ["time/train", "updates"]]],
    ["Memory, MiB", "MiB", [["memory/rollout_mb", "generation"], ["memory/score_mb", "scoring"], ["memory/train_mb", "updates"]]],
  ]],
];

// In no panel of their own: they are counts of what other panels show.
const PLAIN_COUNTS = ["num_tokens", "learnt_tokens", "rollouts", "dropped"];

const view = { runs: new Set(RUNS.map((_, at) => at)), stage: "", smooth: 1, join: true };

function metricNames() {
  return [...new Set(RUNS.flatMap((run) => Object.keys(run.curves.columns)))].sort();
}

function panelsWithData() {
  const names = metricNames();
  const used = new Set(PLAIN_COUNTS);
  const sections = PANELS.map(([heading, panels]) => [heading, panels.map(([title, unit, wanted, references]) => {
    const metrics = wanted instanceof RegExp
      ? names.flatMap((name) => (wanted.test(name) ? [[name, wanted.exec(name)[1]]] : []))
      : wanted.filter(([name]) => names.includes(name));
    metrics.forEach(([name]) => used.add(name));
    return { title, unit, metrics, references };
  })]);
  const rest = names.filter((name) => !used.has(name));
  sections.push(["Others", rest.map((name) => ({ title: name, unit: "", metrics: [[name, name]] }))]);
  return sections;
}

// Runs that are drawn as one: seeds of one arm, or each by itself.
function groups() {
  const runs = [...view.runs].sort((a, b) => a - b);
  if (!view.join) {
    return runs.map((run) => ({ name: RUNS[run].label, colour: run % COLOURS, runs: [run] }));
  }
  const arms = new Map();
  for (const run of runs) {
    const arm = RUNS[run].arm;
    arms.set(arm, [...(arms.get(arm) || []), run]);
  }
  return [...arms].map(([arm, runs]) => ({
    name: runs.length > 1 ? `${RUNS[runs[0]].label} and ${runs.length - 1} more` : RUNS[runs[0]].label,
    colour: arm % COLOURS, runs,
  }));
}

// The points of a metric in one run, in the stage that is looked at.
function pointsOf(run, metric) {
  const { curves, stages } = RUNS[run];
  const column = curves.columns[metric] || [];
  const points = column.map((y, at) => ({ x: curves.step[at], y, stage: stages[curves.stage[at]].name }));
  return points.filter((point) => point.y !== null && (!view.stage || point.stage === view.stage));
}

// Mean, least and most of several runs, step by step.
function together(runs, metric) {
  if (runs.length === 1) {
    return pointsOf(runs[0], metric);
  }
  const steps = new Map();
  for (const point of runs.flatMap((run) => pointsOf(run, metric))) {
    const key = `${point.x} ${point.stage}`;
    steps.set(key, [...(steps.get(key) || []), point]);
  }
  const means = [...steps.values()].map((points) => {
    const values = points.map((point) => point.y);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const spread = values.length > 1 ? { low: Math.min(...values), high: Math.max(...values) } : {};
    return { ...points[0], y: mean, ...spread };
  });
  return means.sort((a, b) => a.x - b.x);
}

// A running mean within each stage; what it smooths stays behind it, faint.
function smoothed(points) {
  if (view.smooth <= 1) {
    return points;
  }
  const keep = 1 - 1 / view.smooth;
  let [stage, sum, weight] = [null, 0, 0];
  return points.map((point) => {
    if (point.stage !== stage) {
      [stage, sum, weight] = [point.stage, 0, 0];
    }
    sum = keep * sum + point.y;
    weight = keep * weight + 1;
    return { ...point, y: sum / weight, raw: point.low === undefined ? point.y : undefined };
  });
}

function linesOf(panel) {
  const all = groups();
  const alone = all.length === 1;
  return panel.metrics.flatMap(([metric, label], at) => all.map((group) => ({
    label,
    name: alone ? label : `${group.name}, ${label}`,
    colour: alone ? at % COLOURS : group.colour,
    legendColour: alone ? at % COLOURS : "none",
    dash: at % DASHES.length,
    points: smoothed(together(group.runs, metric)),
  }))).filter((line) => line.points.length > 0);
}

// Stages are marked as the first run has them that has something in the panel.
function stagesOf(panel) {
  const runs = [...view.runs].sort((a, b) => a - b);
  const first = runs.find((run) => panel.metrics.some(([metric]) => pointsOf(run, metric).length > 0));
  return first === undefined ? [] : RUNS[first].stages;
}

// What is open stays open when curves are drawn anew.
const folded = new Map([["Speed and memory", true], ["Others", true]]);

function drawCurves() {
  const host = document.getElementById("curves-panels");
  const wide = host.clientWidth;
  const columns = Math.max(1, Math.floor(wide / 330));
  const width = Math.floor((wide - 16 * (columns - 1)) / columns) - 22;
  const sections = panelsWithData().map(([heading, panels]) => {
    const drawn = panels.map((panel) => ({ ...panel, lines: linesOf(panel) })).filter((panel) => panel.lines.length);
    if (!drawn.length) return null;
    const details = el("details", { class: "panel-group", open: !folded.get(heading) },
      el("summary", {}, el("h3", {}, heading)),
      el("div", { class: "panels" }, drawn.map((panel) => plot({ ...panel, marks: stagesOf(panel), width: Math.max(240, width) }))));
    details.addEventListener("toggle", () => folded.set(heading, !details.open));
    return details;
  });
  host.replaceChildren(...sections.filter(Boolean));
  if (!host.children.length) {
    host.append(el("p", {}, "There are no metrics of these runs."));
  }
}

function curvesControls() {
  const host = document.getElementById("curves-controls");
  host.replaceChildren();
  const names = [...new Set(RUNS.flatMap((run) => run.stages.map((stage) => stage.name)))];
  const change = (key, read) => (value) => {
    view[key] = read(value);
    runChoices();
    drawCurves();
  };
  host.append(choice("Stage", [["", "all"], ...names.map((name) => [name, visible(name)])], change("stage", String), view.stage));
  host.append(choice("Smoothing", [["1", "none"], ["5", "5 points"], ["20", "20 points"]], change("smooth", Number), String(view.smooth)));
  const arms = new Set(RUNS.map((run) => run.arm));
  if (arms.size < RUNS.length) {
    const options = [["join", "mean, least and most"], ["each", "each by itself"]];
    host.append(choice("Runs that differ in their seed", options, change("join", (value) => value === "join"), view.join ? "join" : "each"));
  }
  host.append(el("div", { id: "run-choices" }));
  if (DATA.steps_a_point > 1) {
    host.append(el("p", { class: "about" }, `Each point is the mean of ${DATA.steps_a_point} steps.`));
  }
  runChoices();
}

function runChoices() {
  const host = document.getElementById("run-choices");
  if (RUNS.length === 1) return;
  const toggle = (run, on) => {
    view.runs[on ? "add" : "delete"](run);
    drawCurves();
  };
  const colours = new Map(groups().flatMap((group) => group.runs.map((run) => [run, group.colour])));
  const boxes = RUNS.map((run, at) => {
    const box = el("input", { type: "checkbox", onchange: () => toggle(at, box.checked) });
    box.checked = view.runs.has(at);
    const colour = colours.get(at) ?? (view.join ? run.arm : at) % COLOURS;
    return el("label", { class: "run" }, box, sample(colour, 0), visible(run.label));
  });
  const names = new Set(RUNS.map((run) => run.stages.map((stage) => `${stage.name} ${stage.first}`).join()));
  const note = names.size > 1 ? el("p", { class: "about" }, "Where stages differ between runs, a plot marks those of the first run in it.") : null;
  host.replaceChildren(el("fieldset", {}, el("legend", {}, "Runs"), boxes), ...(note ? [note] : []));
}
