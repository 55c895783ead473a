// Evaluations as intervals, critics that are no models among them.

const FIGURES = [
  ["acc_refined", "Acc@Refine"], ["delta", "\u0394"], ["acc_dis_balanced", "Acc@Dis, balanced"],
  ["acc_dis_correct", "Acc@Dis on right responses"], ["acc_dis_incorrect", "Acc@Dis on wrong responses"],
  ["parse_rate", "with a verdict"],
];

let figure = "acc_refined";

function figureOf(row, name) {
  return row.figures.find((found) => found.name === name);
}

function evaluationPlot() {
  const host = document.getElementById("evaluation-plot");
  const has = FIGURES.filter(([name]) => DATA.evaluations.some((row) => figureOf(row, name)));
  if (!has.length) return;
  if (!has.some(([name]) => name === figure)) {
    figure = has[0][0];
  }
  const choose = (name) => {
    figure = name;
    drawEvaluation();
  };
  host.replaceChildren(
    el("div", { class: "controls" }, choice("Figure", has, choose, figure)),
    el("div", { id: "evaluation-picture" }),
  );
  drawEvaluation();
}

function drawEvaluation() {
  const host = document.getElementById("evaluation-picture");
  if (!host) return;
  const rows = DATA.evaluations.filter((row) => figureOf(row, figure) && !row.row.includes("@"));
  const width = Math.min(host.clientWidth, 900);
  const left = Math.min(width * 0.42, 260);
  const values = rows.flatMap((row) => [figureOf(row, figure).value, ...(figureOf(row, figure).ci95 || [])]);
  const whole = Math.max(...values) <= 1;
  const x = [Math.min(0, ...values), Math.max(whole && figure !== "delta" ? 1 : 0, ...values)];
  const px = (value) => scale(value, apart(x), left, width - 26);
  const height = 22 * rows.length + 30;
  const picture = svg("svg", { width, height, role: "img", class: "intervals",
    "aria-label": "The figures of the table below with their intervals" });
  for (const at of ticks(apart(x), width < 500 ? 3 : 6)) {
    picture.append(
      svg("line", { class: "grid", x1: px(at), x2: px(at), y1: 4, y2: height - 24 }),
      svg("text", { x: px(at), y: height - 8, "text-anchor": "middle" }, whole ? percent(at) : number(at)));
  }
  rows.forEach((row, at) => picture.append(intervalLine(row, 22 * at + 15, px, left)));
  host.replaceChildren(picture);
}

function intervalLine(row, y, px, left) {
  const { value, ci95 } = figureOf(row, figure);
  const [low, high] = ci95 || [value, value];
  const name = RUNS.length > 1 ? `${row.row} \u00b7 ${RUNS[row.run].label}` : row.row;
  const letters = Math.floor(left / 7);
  const short = name.length > letters ? `${name.slice(0, letters - 1)}\u2026` : name;
  const colour = row.control ? "control" : `c${row.run % COLOURS}`;
  const dot = row.control
    ? svg("rect", { x: px(value) - 4, y: y - 4, width: 8, height: 8, transform: `rotate(45 ${px(value)} ${y})` })
    : svg("circle", { cx: px(value), cy: y, r: 5 });
  return svg("g", { class: `interval ${colour}` },
    svg("title", {}, visible(`${name}: ${percent(value)}`)),
    svg("text", { x: left - 10, y: y + 4, "text-anchor": "end" }, visible(short)),
    svg("line", { x1: px(low), x2: px(high), y1: y, y2: y }), dot);
}
