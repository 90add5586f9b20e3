"use strict";

// One state, one function a section that draws it anew. Per-image metrics, histories and pictures stand in
// script elements of their own and are parsed when they are asked for.

const COLORS = ["#1f77b4", "#e07b1a", "#2a9d5c", "#c2509b", "#8a63c9", "#a38a00", "#1ba3b8", "#8a8f98"];
const TILES = ["image", "truth", "prediction", "error", "boundaries"]; // of a strip, from left to right
const CHUNK = 80; // rows of the table drawn at a time
const REACH = 14; // pixels from a point within which it is meant

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const blocks = new Map();

/** Content of a JSON block, null if there is none. */
function block(name) {
  if (!blocks.has(name)) {
    const element = document.getElementById(name);
    blocks.set(name, element ? JSON.parse(element.textContent) : null);
  }
  return blocks.get(name);
}

/** An element with properties and children. */
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

// a method that reads ground truth at test time is never named without its mark
const marked = ({ experiment, mark }) => (mark ? `${experiment} (${mark})` : experiment);
const label = (run) => `${marked(data.runs[run])}/${data.runs[run].name}`;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const better = Object.fromEntries(data.metrics.map((metric) => [metric.key, metric.better]));
const units = Object.fromEntries(data.metrics.map((metric) => [metric.key, metric.unit]));
const position = Object.fromEntries(data.metrics.map((metric, number) => [metric.key, number]));

function format(value) {
  if (value === null || value === undefined) return "";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size >= 1) return String(value);
  return value.toFixed(size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4);
}

function signed(value) {
  return (value > 0 ? "+" : value < 0 ? "\u2212" : "\u00b1") + format(Math.abs(value) || 0);
}

// --- state -----------------------------------------------------------------------------------------------------------

const PREFERRED = ["abs_rel", "rmse", "delta1", "log10", "silog", "boundary_acc", "boundary_comp", "object_abs_rel"];
const state = {
  chosen: [], // runs, in the order of choice: it gives their colours
  metrics: PREFERRED.filter((name) => name in position).slice(0, 7),
  sort: { column: "experiment", descending: false },
  curves: null, // names of the curves shown; null takes the usual ones
  a: null, b: null, frameSet: null, frameMetric: "abs_rel",
  pinned: null, hovered: null, // indices of frames
};
if (!state.metrics.length) state.metrics = data.metrics.slice(0, 7).map((metric) => metric.key);

const color = (run) => (state.chosen.includes(run) ? COLORS[state.chosen.indexOf(run) % COLORS.length] : css("--quiet"));

/** Two runs of different experiments that can be compared frame by frame, or what comes nearest. */
// an index alone may be that of another frame in other data
const namesOf = (table) => table.index.map((index, row) => [index, table.scene[row], table.frame[row]].join("\n"));

/** The first two results of single images that have frames in common, null if there are none. */
function sharing() {
  const names = comparable.map((result) => new Set(namesOf(framesOf(result.run, result.dataset))));
  for (const [place, one] of comparable.entries()) {
    const other = comparable.findIndex((result, number) => number > place && result.dataset === one.dataset && [...names[place]].some((name) => names[number].has(name)));
    if (other > 0) return [one, comparable[other]];
  }
  return null;
}

function firstChoice() {
  const sets = new Map();
  for (const result of data.results) {
    if (!result.frames) continue;
    if (!sets.has(result.label)) sets.set(result.label, new Map());
    sets.get(result.label).set(data.runs[result.run].experiment, result.run); // later runs replace earlier ones
  }
  const largest = [...sets.values()].sort((one, other) => other.size - one.size)[0];
  const pair = largest && largest.size < 2 ? sharing() : null;
  if (pair) {
    state.frameSet = pair[0].dataset;
    return pair.map((result) => result.run);
  }
  const runs = largest ? [...largest.values()] : [];
  for (let run = 0; run < data.runs.length && runs.length < 2; run++) if (!runs.includes(run)) runs.push(run);
  return runs.slice(0, 2);
}

function choose(run, wanted) {
  state.chosen = state.chosen.filter((other) => other !== run);
  if (wanted) state.chosen.push(run);
  drawAll();
}

function drawChosen() {
  const names = state.chosen.map((run) => make("span", { className: "run" },
    swatch(run), label(run),
    make("button", { type: "button", textContent: "\u00d7", title: "Remove", ariaLabel: `Remove ${label(run)}`, onclick: () => choose(run, false) })));
  $("chosen").replaceChildren(...(names.length ? names : [make("span", { className: "quiet", textContent: "No run is chosen: tick runs in the table." })]));
}

function swatch(run) {
  const element = make("span", { className: "swatch" });
  element.style.background = color(run);
  return element;
}

// --- table of metrics ------------------------------------------------------------------------------------------------

const TEXT_COLUMNS = [
  ["experiment", "experiment"], ["name", "run"], ["dataset", "test set"], ["data", "trained on"],
  ["profile", "profile"], ["seed", "seed"], ["commit", "commit"],
];

function allRows() {
  const rows = data.results.map((result) => ({
    ...data.runs[result.run], run: result.run, dataset: result.label, set: result.dataset, differs: result.label !== result.dataset,
    synthetic: result.synthetic, published: result.published, mark: result.mark,
    value: (metric) => result.metrics[position[metric]],
  }));
  const tested = new Set(data.results.map((result) => result.run));
  data.runs.forEach((run, number) => {
    if (!tested.has(number)) rows.push({ ...run, run: number, dataset: "", set: "", synthetic: false, published: {}, value: () => null });
  });
  for (const row of data.published) {
    rows.push({
      run: null, experiment: row.experiment, mark: row.mark, name: `${row.table}: ${row.method}`, dataset: row.test, set: row.dataset, data: row.train,
      profile: "published", seed: "", commit: "", tags: [], missing: [], published: {}, notes: row.notes,
      value: (metric) => (metric in row.values ? row.values[metric] : null),
    });
  }
  for (const row of rows) {
    row.text = [...TEXT_COLUMNS.map(([key]) => row[key]), row.mark, ...row.tags].join(" ").toLowerCase();
  }
  return rows;
}

const rows = allRows();
let shown = [];
let apart = 0; // rows left out as they are on synthetic data
let drawn = 0;
let best = {};

function selectRows() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const set = $("test-set").value;
  const published = $("show-published").checked;
  const fitting = rows.filter((row) => (!set || row.set === set) && words.every((word) => row.text.includes(word)));
  // synthetic values never stand beside published ones
  shown = fitting.filter((row) => (published ? !row.synthetic : row.run !== null));
  apart = fitting.filter((row) => published && row.synthetic).length;
  const { column, descending } = state.sort;
  const key = TEXT_COLUMNS.some(([name]) => name === column) ? (row) => row[column] || null : (row) => row.value(column) ?? null;
  const order = (one, other) => (typeof one === "number" ? one - other : String(one).localeCompare(String(other), undefined, { numeric: true }));
  shown.sort((one, other) => {
    const [x, y] = [key(one), key(other)];
    if (x === null || y === null) return (x === null) - (y === null); // what is not measured stands last, either way
    return (descending ? -1 : 1) * order(x, y) || one.text.localeCompare(other.text);
  });
  best = {};
  for (const row of shown) {
    if (row.run === null) continue;
    for (const metric of state.metrics) {
      const value = row.value(metric);
      if (value === null || value === undefined || !better[metric]) continue;
      const own = `${row.dataset} ${metric}`;
      if (!(own in best) || (value - best[own]) * better[metric] > 0) best[own] = value;
    }
  }
}

function drawTable() {
  selectRows();
  drawHead();
  drawn = 0;
  const body = $("run-table").tBodies[0];
  body.replaceChildren();
  $("table-frame").scrollTop = 0;
  drawMoreRows();
  if (!shown.length) {
    const cell = make("td", { className: "empty", colSpan: 8 + state.metrics.length, textContent: "No run fits the filter." });
    body.append(make("tr", {}, cell));
  }
  const measured = shown.filter((row) => row.run !== null).length;
  $("row-count").textContent = `${measured} measured` + (shown.length > measured ? `, ${shown.length - measured} published` : "")
    + (apart ? `; ${apart} on synthetic data, not shown beside published ones` : "");
  drawFootnotes();
}

function drawHead() {
  const cells = [make("th", { className: "plain", scope: "col", ariaLabel: "chosen" })];
  for (const [key, title] of [...TEXT_COLUMNS, ...state.metrics.map((metric) => [metric, metric])]) {
    const own = state.sort.column === key;
    const arrow = better[key] ? (better[key] > 0 ? "\u2191" : "\u2193") : "";
    const mark = make("span", { className: "mark", textContent: own ? (state.sort.descending ? "\u25be" : "\u25b4") : "" });
    const button = make("button", { type: "button", onclick: () => sortBy(key) }, title, arrow ? ` ${arrow}` : "", mark);
    button.dataset.column = key;
    const direction = arrow ? (better[key] > 0 ? "higher is better" : "lower is better") : "";
    button.title = [units[key], direction].filter(Boolean).join(", ");
    const head = make("th", { scope: "col", className: key in position ? "number" : "" }, button);
    if (own) head.ariaSort = state.sort.descending ? "descending" : "ascending";
    cells.push(head);
  }
  $("run-table").tHead.replaceChildren(make("tr", {}, ...cells));
}

function sortBy(column) {
  const same = state.sort.column === column;
  state.sort = { column, descending: same ? !state.sort.descending : better[column] > 0 }; // the best first
  drawTable();
  document.querySelector(`#run-table th button[data-column="${CSS.escape(column)}"]`).focus();
}

function drawMoreRows() {
  const part = shown.slice(drawn, drawn + CHUNK);
  drawn += part.length;
  $("run-table").tBodies[0].append(...part.map(drawRow));
}

function drawRow(row) {
  const element = make("tr", {});
  if (row.run === null) element.className = "published";
  else if (state.chosen.includes(row.run)) element.className = "chosen";
  const tick = row.run === null ? null : make("input", {
    type: "checkbox", checked: state.chosen.includes(row.run), ariaLabel: `Choose ${label(row.run)}`,
    onchange: (event) => choose(row.run, event.target.checked),
  });
  element.append(make("td", {}, tick));
  for (const [key] of TEXT_COLUMNS) {
    const text = key === "experiment" ? marked(row) : row[key];
    const cell = make("td", { className: "name", textContent: text, title: text });
    if (key === "name" && row.run !== null && row.missing.length) {
      cell.append(make("span", { className: "note", textContent: row.missing.map((text) => text.split(":")[0]).join(", "), title: row.missing.join("\n") }));
    }
    element.append(cell);
  }
  element.append(...state.metrics.map((metric) => metricCell(row, metric)));
  return element;
}

function metricCell(row, metric) {
  const value = row.value(metric);
  const top = row.run !== null && value !== null && value !== undefined && best[`${row.dataset} ${metric}`] === value;
  const cell = make("td", { className: "number" }, make("span", { className: top ? "best" : "", textContent: format(value) }));
  const doubts = (row.run === null && row.notes[metric]) || [];
  if (doubts.length) cell.append(make("span", { className: "note", title: doubts.join("\n"), textContent: "\u2021" }));
  const sources = row.published[metric];
  if (sources && value !== null && value !== undefined) {
    const difference = value - sources[0].value;
    const gain = Math.sign(difference) * better[metric];
    const mark = (sources[0].remarks.length ? "\u2020" : "") + (sources[0].notes.length ? "\u2021" : "");
    cell.append(make("span", { className: "note", title: sources.map((one) => [`${one.source}: ${one.value}`, ...one.remarks, ...one.notes].join("; ")).join("\n") },
      `${format(sources[0].value)}${mark} `,
      make("span", { className: gain > 0 ? "better" : gain < 0 ? "worse" : "", textContent: signed(difference) })));
  }
  return cell;
}

function drawFootnotes() {
  const notes = new Set(shown.some((row) => row.differs) ? [data.different_frames] : []);
  for (const row of shown) {
    for (const metric of state.metrics) {
      const source = (row.published[metric] || [])[0];
      if (source && source.remarks.length) notes.add(`\u2020 ${row.experiment}/${row.name} on ${row.dataset} is not as published: ${source.remarks.join("; ")}`);
      for (const text of (source ? source.notes : row.run === null && row.notes[metric]) || []) {
        notes.add(`\u2021 ${source ? source.source : row.name}, ${metric}: ${text}`);
      }
    }
  }
  $("footnotes").replaceChildren(...[...notes].map((textContent) => make("li", { textContent })));
}

function drawIncomplete() {
  const lacking = data.runs.map((run, number) => [number, run.missing]).filter(([, missing]) => missing.length);
  $("incomplete").hidden = !lacking.length;
  $("incomplete").querySelector("summary").textContent = `${lacking.length} of ${data.runs.length} runs lack something`;
  $("incomplete").querySelector("ul").replaceChildren(...lacking.map(([run, missing]) => make("li", { textContent: `${label(run)}: ${missing.join("; ")}` })));
}

function menu(list, names, isChecked, toggle) {
  list.replaceChildren(...names.map((name) => make("label", {},
    make("input", { type: "checkbox", value: name, checked: isChecked(name), onchange: (event) => toggle(name, event.target.checked) }), name)));
}

function options(select, values, chosen, text = (value) => value) {
  select.replaceChildren(...values.map((value) => make("option", { value, textContent: text(value), selected: value === chosen })));
  select.disabled = !values.length;
}

// --- canvases --------------------------------------------------------------------------------------------------------

/** Drawing context in CSS pixels of a canvas that is as sharp as the screen. */
function context(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  return { pen, width, height };
}

/** About `count` round numbers from low to high. */
function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const found = [];
  for (let tick = Math.ceil(low / step); tick * step <= high + step * 1e-9; tick++) found.push(+(tick * step).toPrecision(12));
  return found;
}

/** Powers of ten, and their halves and fifths where there are few, between two positive numbers. */
function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of high / low < 50 ? [1, 2, 5] : [1]) found.push(+(factor * 10 ** power).toPrecision(3));
  }
  return found.filter((tick) => tick >= low && tick <= high);
}

function short(value) {
  const size = Math.abs(value);
  if (size >= 10000) return `${+(value / 1000).toPrecision(3)}k`;
  return size && size < 0.001 ? value.toExponential(0) : String(+value.toPrecision(4));
}

/** Grid, ticks and frame of a plot; returns functions from values to pixels. */
function axes(pen, box, xRange, yRange, { log = false, xTitle = "", yTitle = "" } = {}) {
  const of = log ? Math.log : (value) => value;
  const x = (value) => box.left + ((value - xRange[0]) / (xRange[1] - xRange[0])) * box.width;
  const y = (value) => box.top + box.height - ((of(value) - of(yRange[0])) / (of(yRange[1]) - of(yRange[0]))) * box.height;
  pen.strokeStyle = css("--grid");
  pen.fillStyle = css("--quiet");
  pen.lineWidth = 1;
  pen.textAlign = "center";
  pen.textBaseline = "top";
  for (const tick of ticks(...xRange, Math.max(2, box.width / 80))) {
    line(pen, x(tick), box.top, x(tick), box.top + box.height);
    pen.fillText(short(tick), x(tick), box.top + box.height + 5);
  }
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const tick of log ? logTicks(...yRange) : ticks(...yRange, Math.max(2, box.height / 40))) {
    line(pen, box.left, y(tick), box.left + box.width, y(tick));
    pen.fillText(short(tick), box.left - 6, y(tick));
  }
  pen.strokeStyle = css("--line");
  pen.strokeRect(box.left, box.top, box.width, box.height);
  pen.textAlign = "center";
  pen.fillText(xTitle, box.left + box.width / 2, box.top + box.height + 27);
  if (yTitle) {
    pen.save();
    pen.translate(box.left - 44, box.top + box.height / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(yTitle, 0, 0);
    pen.restore();
  }
  return { x, y };
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value === null || !Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

function padded([low, high], share = 0.04) {
  const room = (high - low) * share || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

// --- curves ----------------------------------------------------------------------------------------------------------

const USUAL_CURVES = ["train/loss_step", "train/loss_epoch", "train/loss", "val/abs_rel", "val/delta1", "val/rmse"];

function drawCurves() {
  const histories = state.chosen.map((run) => [run, block(`history-${run}`)]).filter(([, history]) => history);
  const names = [...new Set(histories.flatMap(([, history]) => Object.keys(history)))].sort();
  const wanted = state.curves || USUAL_CURVES.filter((name) => names.includes(name));
  menu($("curve-list"), names, (name) => wanted.includes(name), (name, on) => {
    state.curves = names.filter((other) => (other === name ? on : wanted.includes(other)));
    drawCurves();
  });
  const charts = wanted.filter((name) => names.includes(name)).map((name) => curveChart(name, histories));
  const text = !state.chosen.length ? "No run is chosen." : !histories.length ? "None of the chosen runs has a history." : "No curve is chosen.";
  $("curve-grid").replaceChildren(...(charts.length ? charts.map((chart) => chart.figure) : [make("p", { className: "empty", textContent: text })]));
  for (const chart of charts) chart.draw(null);
  const absent = state.chosen.filter((run) => !block(`history-${run}`));
  $("curve-notes").replaceChildren(...absent.map((run) => make("li", { textContent: `${label(run)}: ${data.runs[run].missing.find((text) => text.includes("history")) || "no curves"}` })));
}

function curveChart(name, histories) {
  const canvas = make("canvas", { role: "img", ariaLabel: `${name} of the chosen runs` });
  const reading = make("output", {});
  const curves = histories.filter(([, history]) => name in history).map(([run, history]) => ({ run, ...history[name] }));
  const draw = (pointer) => {
    const axis = $("curve-axis").value;
    const log = $("curve-log").checked;
    const usable = (value) => value !== null && (!log || value > 0);
    const yRange = extent(curves.flatMap((curve) => curve.value.filter(usable)));
    const xRange = extent(curves.flatMap((curve) => curve[axis]));
    const { pen, width, height } = context(canvas);
    if (!yRange || !xRange) {
      reading.textContent = log ? "No positive value." : "No finite value.";
      return;
    }
    const box = { left: 48, top: 8, width: width - 60, height: height - 32 };
    const range = log ? [yRange[0] / 1.05, yRange[1] * 1.05] : padded(yRange);
    const { x, y } = axes(pen, box, xRange[0] < xRange[1] ? xRange : padded(xRange), range, { log });
    const parts = [];
    for (const curve of curves) {
      pen.strokeStyle = pen.fillStyle = color(curve.run);
      pen.lineWidth = 1.6;
      pen.beginPath();
      let joined = false;
      curve.value.forEach((value, point) => {
        if (!usable(value)) joined = false; // a gap, not a bridge
        else if (joined) pen.lineTo(x(curve[axis][point]), y(value));
        else pen.moveTo(x(curve[axis][point]), y(value)), (joined = true);
      });
      pen.stroke();
      if (curve.value.length <= 40) curve.value.forEach((value, point) => usable(value) && dot(pen, x(curve[axis][point]), y(value), 2.2));
      if (pointer !== null) {
        let near = 0;
        curve[axis].forEach((at, point) => { if (Math.abs(x(at) - pointer) < Math.abs(x(curve[axis][near]) - pointer)) near = point; });
        if (usable(curve.value[near])) dot(pen, x(curve[axis][near]), y(curve.value[near]), 4);
        parts.push(`${marked(data.runs[curve.run])}: ${format(curve.value[near]) || "not finite"} at ${axis} ${curve[axis][near]}`);
      }
    }
    reading.textContent = parts.join("   ");
  };
  canvas.onmousemove = (event) => draw(event.offsetX);
  canvas.onmouseleave = () => draw(null);
  const figure = make("figure", {}, make("figcaption", {}, name), canvas, reading);
  return { figure, draw };
}

function dot(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

// --- frames ----------------------------------------------------------------------------------------------------------

const comparable = data.results.filter((result) => result.frames);
let pairs = []; // frames that both runs have, with both values and their places on the canvas

const labelOf = (run, set) => comparable.find((result) => result.run === run && result.dataset === set)?.label;
const framesOf = (run, set) => block(`frames-${run}-${set}`);

/** Take over the chosen runs as A and B, as far as they have per-image metrics. */
function pairUp() {
  const sets = [...new Set(comparable.map((result) => result.dataset))].sort();
  const has = (run, set) => comparable.some((result) => result.run === run && result.dataset === set);
  const shared = (set) => state.chosen.filter((run) => has(run, set)).length;
  if (!sets.includes(state.frameSet) || shared(state.frameSet) < 2) {
    state.frameSet = [...sets].sort((one, other) => shared(other) - shared(one))[0] ?? null;
  }
  const own = state.chosen.filter((run) => has(run, state.frameSet));
  const sameFrames = (run) => labelOf(run, state.frameSet) === labelOf(own[0], state.frameSet);
  const others = comparable.filter((result) => result.dataset === state.frameSet).map((result) => result.run)
    .filter((run) => !own.includes(run)).sort((one, other) => sameFrames(other) - sameFrames(one));
  [state.a, state.b] = [...own, ...others, null, null];
  if (state.b === null) state.b = state.a;
}

function drawFrames() {
  const sets = [...new Set(comparable.map((result) => result.dataset))].sort();
  options($("frame-set"), sets, state.frameSet);
  const runs = comparable.filter((result) => result.dataset === state.frameSet).map((result) => result.run);
  options($("frame-a"), runs, state.a, label);
  options($("frame-b"), runs, state.b, label);
  const [a, b] = [framesOf(state.a, state.frameSet), framesOf(state.b, state.frameSet)];
  const metrics = a && b ? Object.keys(a.metrics).filter((name) => name in b.metrics) : [];
  if (!metrics.includes(state.frameMetric)) state.frameMetric = metrics.includes("abs_rel") ? "abs_rel" : metrics[0] ?? null;
  options($("frame-metric"), metrics, state.frameMetric);
  const lacking = state.chosen.filter((run) => !comparable.some((result) => result.run === run));
  $("frame-note").textContent = lacking.length ? `Without per-image metrics: ${lacking.map(label).join(", ")}` : "";
  matchFrames(a, b);
  if (!pairs.some((pair) => pair.index === state.pinned)) state.pinned = null;
  state.hovered = null;
  drawScatter();
  drawPictures();
}

function matchFrames(a, b) {
  pairs = [];
  if (!a || !b || state.frameMetric === null) return;
  const place = new Map(namesOf(b).map((name, row) => [name, row]));
  const names = namesOf(a);
  const [x, y] = [a.metrics[state.frameMetric], b.metrics[state.frameMetric]];
  a.index.forEach((index, row) => {
    const other = place.get(names[row]);
    if (other === undefined || x[row] === null || y[other] === null) return;
    pairs.push({ index, scene: a.scene[row], frame: a.frame[row], rowA: row, rowB: other, x: x[row], y: y[other] });
  });
  const sign = a.better[state.frameMetric] || 1;
  for (const pair of pairs) pair.gain = sign * (pair.x - pair.y); // of A over B
  pairs.sort((one, other) => other.gain - one.gain);
}

function drawScatter() {
  const canvas = $("scatter");
  const { pen, width, height } = context(canvas);
  const range = extent(pairs.flatMap((pair) => [pair.x, pair.y]));
  if (!range) {
    pen.fillStyle = css("--quiet");
    pen.textAlign = "center";
    pen.fillText("No frames to compare: no per_image.csv of the same test set", width / 2, height / 2);
    $("scatter-summary").textContent = "";
    return;
  }
  const side = Math.min(width - 72, height - 56);
  const box = { left: 58, top: 10, width: side, height: side };
  const shared = padded(range);
  const { x, y } = axes(pen, box, shared, shared, { xTitle: `A: ${label(state.a)}`, yTitle: `B: ${label(state.b)}` });
  pen.strokeStyle = css("--quiet");
  pen.setLineDash([4, 4]);
  line(pen, x(shared[0]), y(shared[0]), x(shared[1]), y(shared[1]));
  pen.setLineDash([]);
  pen.globalAlpha = 0.55;
  for (const pair of pairs) {
    pair.px = x(pair.x);
    pair.py = y(pair.y);
    pen.fillStyle = pair.gain > 0 ? COLORS[0] : pair.gain < 0 ? COLORS[1] : css("--quiet");
    dot(pen, pair.px, pair.py, 3.2);
  }
  pen.globalAlpha = 1;
  for (const index of [state.hovered, state.pinned]) {
    const pair = pairs.find((one) => one.index === index);
    if (!pair) continue;
    pen.strokeStyle = css("--ink");
    pen.lineWidth = index === state.pinned ? 2.2 : 1.2;
    pen.beginPath();
    pen.arc(pair.px, pair.py, 6, 0, 2 * Math.PI);
    pen.stroke();
  }
  const wins = pairs.filter((pair) => pair.gain > 0).length;
  const losses = pairs.filter((pair) => pair.gain < 0).length;
  const mean = pairs.reduce((sum, pair) => sum + pair.y - pair.x, 0) / pairs.length;
  $("scatter-summary").textContent = `${state.frameMetric} of ${pairs.length} frames: A is better on ${wins} (blue), B on ${losses} (orange); mean of B \u2212 A ${signed(mean)}. Click a point to keep it; arrow keys go through the frames by gain.`;
}

function nearest(event) {
  let [found, least] = [null, REACH ** 2];
  for (const pair of pairs) {
    const distance = (pair.px - event.offsetX) ** 2 + (pair.py - event.offsetY) ** 2;
    if (distance < least) [found, least] = [pair, distance];
  }
  return found;
}

function pin(index) {
  state.pinned = index;
  drawScatter();
  drawPictures();
}

function step(by) {
  if (!pairs.length) return;
  const now = pairs.findIndex((pair) => pair.index === state.pinned);
  pin(pairs[now < 0 ? (by > 0 ? 0 : pairs.length - 1) : Math.min(pairs.length - 1, Math.max(0, now + by))].index);
}

/** Address of a frame's strip: within the page, or where it lies; null if there is none. */
function strip(run, set, index) {
  const own = data.runs[run];
  if (!(own.thumbnails[set] || []).includes(index)) return null;
  const embedded = block(`pictures-${run}-${set}`);
  if (embedded && index in embedded) return `data:image/jpeg;base64,${embedded[index]}`;
  return `${own.folder}/thumbnails/${encodeURIComponent(set)}/${String(index).padStart(4, "0")}.jpg`;
}

function tile(source, name, caption) {
  const image = make("img", { src: source, alt: `${caption}: ${name}`, decoding: "async", draggable: false });
  image.style.objectPosition = `${(100 * TILES.indexOf(name)) / (TILES.length - 1)}% 0`;
  image.onload = () => { image.style.aspectRatio = `${image.naturalWidth / TILES.length} / ${image.naturalHeight}`; };
  image.onerror = () => image.replaceWith(make("p", { className: "empty", textContent: `${decodeURIComponent(source)} is not there` }));
  return make("figure", {}, image, make("figcaption", {}, name));
}

function drawPictures() {
  const pair = pairs.find((one) => one.index === (state.pinned ?? state.hovered));
  for (const id of ["frame-best-a", "frame-previous", "frame-next", "frame-best-b"]) $(id).disabled = !pairs.length;
  if (!pair) {
    $("frame-title").textContent = "";
    $("pictures").replaceChildren(make("p", { className: "empty", textContent: pairs.length ? "Point at a frame of the plot to see its pictures; click to keep them." : "No frame." }));
    return;
  }
  $("frame-title").textContent = `${pair.scene}, frame ${pair.frame}, index ${pair.index}`;
  const sources = [state.a, state.b].map((run) => strip(run, state.frameSet, pair.index));
  const any = sources.find((source) => source !== null);
  const parts = any ? [tile(any, "image", "frame"), tile(any, "truth", "frame")] : [];
  parts.push(metricsOf(pair, parts.length ? 1 : 3));
  [state.a, state.b].forEach((run, number) => {
    const dot = make("span", { className: "swatch" });
    dot.style.background = COLORS[number];
    parts.push(make("h3", {}, dot, `${"AB"[number]}: ${label(run)}`));
    if (sources[number] === null) parts.push(make("p", { className: "empty", textContent: "No thumbnail of this frame: the run was made without the Thumbnails callback." }));
    else parts.push(...["prediction", "error", "boundaries"].map((name) => tile(sources[number], name, label(run))));
  });
  if (any) parts.push(make("p", { className: "quiet", style: "grid-column: 1 / -1; margin: 0", textContent: "Boundaries, as in SHED\u2019s Fig. 4: true ones yellow; predicted ones green where a true one is within the tolerance (1 pixel of the picture), red elsewhere. Error: relative, dark is small, 50 % and more is bright." }));
  $("pictures").replaceChildren(...parts);
}

function metricsOf(pair, columns) {
  const [a, b] = [framesOf(state.a, state.frameSet), framesOf(state.b, state.frameSet)];
  const names = [...new Set([state.frameMetric, ...state.metrics])].filter((name) => name in a.metrics && name in b.metrics).slice(0, 8);
  const lines = names.map((name) => {
    const [x, y] = [a.metrics[name][pair.rowA], b.metrics[name][pair.rowB]];
    const sign = (x === null || y === null ? 0 : Math.sign(x - y)) * (a.better[name] || 0);
    return make("tr", {}, make("td", { textContent: name }),
      make("td", { className: sign > 0 ? "number better" : "number", textContent: format(x) }),
      make("td", { className: sign < 0 ? "number better" : "number", textContent: format(y) }));
  });
  const heads = ["metric", "A", "B"].map((textContent, number) => make("th", { className: number ? "plain number" : "plain", scope: "col", textContent }));
  const element = make("div", {}, make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...lines)));
  element.style.gridColumn = `span ${columns}`;
  return element;
}

// --- configuration ---------------------------------------------------------------------------------------------------

function drawConfig() {
  const runs = state.chosen.filter((run) => !data.runs[run].missing.some((text) => text.startsWith("no config.yaml")));
  const word = $("config-filter").value.toLowerCase();
  const differing = runs.length < 2 ? [] : Object.entries(data.config).filter(([, values]) => new Set(runs.map((run) => values[run])).size > 1);
  const fitting = differing.filter(([key, values]) => [key, ...runs.map((run) => values[run])].join(" ").toLowerCase().includes(word));
  const names = runs.map((run) => make("th", { className: "plain", scope: "col" }, swatch(run), ` ${label(run)}`));
  $("config-table").tHead.replaceChildren(make("tr", {}, make("th", { className: "plain", scope: "col", textContent: "key" }), ...names));
  const lines = fitting.map(([key, values]) => make("tr", {}, make("td", { textContent: key }), ...runs.map((run) => make("td", { textContent: values[run] ?? "\u2013" }))));
  const text = runs.length < 2 ? "Choose two runs with a configuration." : differing.length ? "No key fits the filter." : "The chosen runs have the same configuration.";
  $("config-table").tBodies[0].replaceChildren(...(lines.length ? lines : [make("tr", {}, make("td", { className: "empty", colSpan: runs.length + 1, textContent: text }))]));
  $("config-count").textContent = runs.length < 2 ? "" : `${differing.length} keys differ`;
}

// --- all together ----------------------------------------------------------------------------------------------------

function drawAll() {
  const scroll = $("table-frame").scrollTop;
  drawChosen();
  for (const row of $("run-table").tBodies[0].rows) row.remove();
  drawTable();
  while (drawn < shown.length && $("table-frame").scrollHeight < scroll + $("table-frame").clientHeight) drawMoreRows();
  $("table-frame").scrollTop = scroll;
  drawCurves();
  pairUp();
  drawFrames();
  drawConfig();
}

function listen() {
  $("filter").oninput = $("test-set").onchange = $("show-published").onchange = drawTable;
  $("table-frame").onscroll = ({ target }) => {
    if (drawn < shown.length && target.scrollTop + target.clientHeight > target.scrollHeight - 600) drawMoreRows();
  };
  $("curve-axis").onchange = $("curve-log").onchange = drawCurves;
  $("frame-set").onchange = ({ target }) => { state.frameSet = target.value; pairUp(); drawFrames(); };
  $("frame-metric").onchange = ({ target }) => { state.frameMetric = target.value; drawFrames(); };
  $("frame-a").onchange = ({ target }) => { state.a = Number(target.value); drawFrames(); };
  $("frame-b").onchange = ({ target }) => { state.b = Number(target.value); drawFrames(); };
  $("frame-previous").onclick = () => step(-1);
  $("frame-next").onclick = () => step(1);
  $("frame-best-a").onclick = () => pin(pairs[0].index);
  $("frame-best-b").onclick = () => pin(pairs[pairs.length - 1].index);
  $("scatter").onmousemove = (event) => {
    const index = nearest(event)?.index ?? null;
    if (index === state.hovered) return;
    state.hovered = index;
    drawScatter();
    if (state.pinned === null && index !== null) drawPictures();
  };
  $("scatter").onclick = (event) => pin(nearest(event)?.index ?? null);
  $("scatter").onkeydown = (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (by) { event.preventDefault(); step(by); }
    else if (event.key === "Escape") pin(null);
  };
  $("config-filter").oninput = drawConfig;
  document.addEventListener("click", ({ target }) => {
    for (const open of document.querySelectorAll("details.menu[open]")) if (!open.contains(target)) open.open = false;
  });
  const redraw = () => { drawChosen(); drawCurves(); drawScatter(); };
  let waiting = 0;
  window.onresize = () => { clearTimeout(waiting); waiting = setTimeout(redraw, 120); };
  matchMedia("(prefers-color-scheme: dark)").onchange = redraw;
}

function start() {
  const tests = new Set(data.results.map((result) => result.dataset)).size;
  $("summary").textContent = `${data.runs.length} run${data.runs.length === 1 ? "" : "s"} on ${tests} test set${tests === 1 ? "" : "s"}, ${data.created}`;
  options($("test-set"), ["", ...new Set(data.results.map((result) => result.dataset))].sort(), "", (set) => set || "all");
  menu($("metric-list"), data.metrics.map((metric) => metric.key), (name) => state.metrics.includes(name), (name, on) => {
    state.metrics = data.metrics.map((metric) => metric.key).filter((other) => (other === name ? on : state.metrics.includes(other)));
    drawTable();
  });
  state.chosen = firstChoice();
  listen();
  drawIncomplete();
  drawAll();
  requestAnimationFrame(() => setTimeout(() => {
    performance.mark("rendered");
    document.documentElement.dataset.ready = "true";
  }));
}

start();
