// Plots of lines over steps, drawn as SVG.

// Okabe and Ito's colours, safe for the colour-blind, as the style sheet has them for light and dark.
const COLOURS = 7;
const DASHES = ["", "6 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2", "1 2"];
const MARGIN = { left: 48, right: 12, top: 18, bottom: 22 };

// `lines`: { label, colour, dash, points: [{ x, y, raw, low, high, stage }] }.
function plot({ title, unit, lines, marks, references, width }) {
  const height = Math.round(Math.max(150, Math.min(220, width * 0.5)));
  const frame = { width, height, unit, ...ranges(lines, references || [], unit) };
  frame.px = (x) => scale(x, frame.x, MARGIN.left, width - MARGIN.right);
  frame.py = (y) => scale(y, frame.y, height - MARGIN.bottom, MARGIN.top);
  const picture = svg("svg", {
    width, height, viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0,
    "aria-label": `${title}. ${inWords(lines, unit)} Arrow keys read it step by step.`,
  });
  picture.append(axes(frame), stageMarks(frame, marks), referenceLines(frame, references || []));
  for (const line of lines) {
    picture.append(band(frame, line), curve(frame, line));
  }
  const readout = el("p", { class: "readout" });
  readable(picture, readout, frame, lines, marks);
  return el("figure", { class: "plot" }, el("figcaption", {}, title), legend(lines), picture, readout);
}

function scale(value, [low, high], from, to) {
  return from + ((value - low) / (high - low)) * (to - from);
}

function ranges(lines, references, unit) {
  const x = [Infinity, -Infinity];
  const y = [Infinity, -Infinity];
  const widen = (range, value) => {
    if (value !== null && value !== undefined) {
      range[0] = Math.min(range[0], value);
      range[1] = Math.max(range[1], value);
    }
  };
  for (const point of lines.flatMap((line) => line.points)) {
    widen(x, point.x);
    [point.y, point.raw, point.low, point.high].forEach((value) => widen(y, value));
  }
  references.forEach((reference) => widen(y, reference.y));
  if (unit === "share") {
    return { x: apart(x), y: [Math.min(0, y[0]), Math.max(1, y[1])] };
  }
  const room = (y[1] - y[0]) * 0.05 || Math.abs(y[0]) * 0.1 || 1;
  const low = y[0] >= 0 && y[0] < (y[1] - y[0]) * 0.5 ? 0 : y[0] - room;
  return { x: apart(x), y: [low, y[1] + room] };
}

function apart([low, high]) {
  return high > low ? [low, high] : [low - 1, high + 1];
}

// Round numbers in a range.
function ticks([low, high], about) {
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) {
    found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  }
  return found;
}

function shown(value, unit) {
  return unit === "share" ? percent(value) : number(value);
}

function axes({ width, height, unit, x, y, px, py }) {
  const group = svg("g", { class: "axes" });
  for (const at of ticks(y, 4)) {
    group.append(
      svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: py(at), y2: py(at) }),
      svg("text", { x: MARGIN.left - 5, y: py(at) + 4, "text-anchor": "end" }, shown(at, unit)),
    );
  }
  for (const at of ticks(x, Math.max(2, width / 90)).filter(Number.isInteger)) {
    group.append(svg("text", { x: px(at), y: height - 7, "text-anchor": "middle" }, count(at)));
  }
  return group;
}

// Where stages begin, with their names.
function stageMarks({ height, x, px }, marks) {
  const group = svg("g", { class: "stages" });
  let free = MARGIN.left;
  for (const mark of marks.filter((mark) => mark.last >= x[0] && mark.first <= x[1])) {
    const at = Math.max(px(mark.first - 0.5), MARGIN.left);
    if (mark.first > x[0]) {
      group.append(svg("line", { x1: at, x2: at, y1: MARGIN.top - 12, y2: height - MARGIN.bottom }));
    }
    const room = px(Math.min(mark.last, x[1])) - at;
    if (at >= free && room >= 6 * mark.name.length) {
      group.append(svg("text", { x: at + 3, y: MARGIN.top - 6 }, visible(mark.name)));
      free = at + 6 * mark.name.length;
    }
  }
  return group;
}

function referenceLines({ width, py }, references) {
  const draw = ({ y, label }) => [
    svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: py(y), y2: py(y) }),
    svg("text", { x: width - MARGIN.right, y: py(y) - 3, "text-anchor": "end" }, label),
  ];
  return svg("g", { class: "references" }, references.map(draw));
}

// Points of each stage by themselves: a line does not lead from one stage into the next.
function stretches(points, key) {
  const all = [];
  let before = null;
  for (const point of points) {
    if (point[key] === null || point[key] === undefined) continue;
    if (!before || before.stage !== point.stage) {
      all.push([]);
    }
    all[all.length - 1].push(point);
    before = point;
  }
  return all;
}

function curve({ px, py }, line) {
  const group = svg("g", { class: `curve c${line.colour}` });
  const way = (points, key) => points.map((point) => `${px(point.x).toFixed(1)},${py(point[key]).toFixed(1)}`).join(" ");
  for (const points of stretches(line.points, "raw")) {
    group.append(svg("polyline", { class: "raw", points: way(points, "raw") }));
  }
  const few = line.points.filter((point) => point.y !== null).length <= 40;
  for (const points of stretches(line.points, "y")) {
    group.append(svg("polyline", { points: way(points, "y"), "stroke-dasharray": DASHES[line.dash] }));
    if (few || points.length === 1) {
      group.append(...points.map((point) => svg("circle", { cx: px(point.x), cy: py(point.y), r: 2 })));
    }
  }
  return group;
}

function band({ px, py }, line) {
  const group = svg("g", { class: `band c${line.colour}` });
  for (const points of stretches(line.points, "low")) {
    const there = points.map((point) => `${px(point.x).toFixed(1)},${py(point.high).toFixed(1)}`);
    const back = points.map((point) => `${px(point.x).toFixed(1)},${py(point.low).toFixed(1)}`).reverse();
    group.append(svg("polygon", { points: [...there, ...back].join(" ") }));
  }
  return group;
}

function sample(colour, dash) {
  return svg("svg", { class: `sample curve c${colour}`, width: 26, height: 8, "aria-hidden": "true" },
    svg("line", { x1: 0, x2: 26, y1: 4, y2: 4, "stroke-dasharray": DASHES[dash] }));
}

function legend(lines) {
  const entries = new Map(lines.map((line) => [line.label, line]));
  const item = ([label, line]) => el("li", {}, sample(line.legendColour ?? line.colour, line.dash), visible(label));
  return el("ul", { class: "legend" }, [...entries].map(item));
}

function inWords(lines, unit) {
  const words = lines.slice(0, 8).map((line) => {
    const points = line.points.filter((point) => point.y !== null);
    const [first, last] = [points[0], points[points.length - 1]];
    return first ? `${line.name || line.label}: from ${shown(first.y, unit)} to ${shown(last.y, unit)}.` : "";
  });
  return words.join(" ");
}

// Pointer and arrow keys read values off the plot.
function readable(picture, readout, frame, lines, marks) {
  const places = [...new Set(lines.flatMap((line) => line.points.map((point) => point.x)))].sort((a, b) => a - b);
  const cursor = svg("line", { class: "cursor", y1: MARGIN.top, y2: frame.height - MARGIN.bottom, visibility: "hidden" });
  picture.append(cursor);
  readout.textContent = valuesAt(places[places.length - 1], lines, marks, frame.unit);
  let at = places.length - 1;
  const read = (place) => {
    at = Math.max(0, Math.min(places.length - 1, place));
    const x = places[at];
    cursor.setAttribute("x1", frame.px(x));
    cursor.setAttribute("x2", frame.px(x));
    cursor.setAttribute("visibility", "visible");
    readout.textContent = valuesAt(x, lines, marks, frame.unit);
  };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const x = scale(event.clientX - box.left, [MARGIN.left, frame.width - MARGIN.right], ...frame.x);
    read(nearest(places, x));
  });
  picture.addEventListener("pointerleave", () => cursor.setAttribute("visibility", "hidden"));
  picture.addEventListener("focus", () => readout.setAttribute("aria-live", "polite"));
  picture.addEventListener("blur", () => readout.removeAttribute("aria-live"));
  picture.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: places.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      read(to);
    }
  });
}

function nearest(places, x) {
  let best = 0;
  places.forEach((place, at) => {
    if (Math.abs(place - x) < Math.abs(places[best] - x)) best = at;
  });
  return best;
}

function valuesAt(x, lines, marks, unit) {
  const stage = marks.find((mark) => mark.first <= x && x <= mark.last);
  const values = lines.flatMap((line) => {
    const point = line.points.find((point) => point.x === x && point.y !== null);
    if (!point) return [];
    const spread = point.low === undefined ? "" : ` (${shown(point.low, unit)} to ${shown(point.high, unit)})`;
    return [`${line.name || line.label} ${shown(point.y, unit)}${spread}`];
  });
  return visible(`step ${number(x)}${stage ? `, ${stage.name}` : ""}: ${values.join(", ")}`);
}
