// Elements without markup: whatever a text holds, it goes in as text.

const DATA = JSON.parse(document.getElementById("data").textContent);
const RUNS = DATA.runs;
const SVG = "http://www.w3.org/2000/svg";

function el(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  for (const child of children.flat(3)) {
    if (child !== null && child !== undefined) {
      element.append(child);
    }
  }
  return element;
}

// A number with as many digits as a person compares.
function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) {
    return "–";
  }
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) {
    return minus(value.toExponential(2));
  }
  const decimals = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
  return minus(String(Number(value.toFixed(decimals))));
}

function percent(value) {
  return minus(`${Number((100 * value).toFixed(1))} %`);
}

function signed(value) {
  return value > 0 ? `+${number(value)}` : number(value);
}

function minus(text) {
  return text.replace(/-/g, "\u2212").replace("e\u2212", "e-");
}

function count(value) {
  return value.toLocaleString("en-GB");
}

// A labelled choice; `options` are pairs of value and name.
function choice(label, options, onchange, chosen) {
  const select = el("select", { onchange: () => onchange(select.value) });
  for (const [value, name] of options) {
    select.append(el("option", { value, selected: value === chosen }, name));
  }
  return el("label", { class: "field" }, el("span", {}, label), select);
}

function later(work, milliseconds) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
}
