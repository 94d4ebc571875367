"use strict";
// The panel that shows one network. All text goes in as text: no name is ever read as markup.
const known = JSON.parse(document.getElementById("networks").textContent);
const panel = document.getElementById("network");
const built = document.getElementById("built");
const which = document.getElementById("which");
const front = document.querySelector(".picks-networks .drawing");
const glance = document.getElementById("plot-glance");
const INK = "#1f2933", BLUE = "#0072b2", QUIET = "#8a9ba8", GRID = "#e4e7eb", VEIL = "rgba(255,255,255,0.78)"; // of plots/style.py

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

const grouped = (value) => value.toLocaleString("en-US");
// Three significant digits, as everywhere else: 0.0340, 3.14, 1,230.
function significant(value) {
  const rounded = Number(value.toPrecision(3));
  const decimals = Math.max(0, rounded ? 2 - Math.floor(Math.log10(Math.abs(rounded))) : 0);
  return rounded.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}
const percent = (value) => `${value.toFixed(2)} %`;
const has = (trial) => Object.hasOwn(known.networks, String(trial));

function numbers(pairs) {
  const list = element("dl", "numbers");
  for (const [name, value] of pairs) list.append(element("div", "", element("dt", "", name), element("dd", "", value)));
  return list;
}

// The front's network that beats this one by most; the rule of the study's front, for two objectives.
function standing(network) {
  if (network.verdict) return network.verdict;
  if (network.front) return "On the front: nothing that was tried beats it in one measure without losing in another.";
  if (!known.two) return "Not on the front.";
  const better = Object.values(known.networks).filter((other) =>
    other.front && other.top1 >= network.top1 && other.ms <= network.upper && other !== network);
  if (!better.length) return "Not on the front.";
  const gain = (other) => (other.top1 - network.top1) / 10 + (network.ms - other.ms) / network.ms;
  const best = better.reduce((a, b) => (gain(b) > gain(a) ? b : a));
  const ms = network.ms - best.ms;
  const speed = ms === 0 ? "as fast" : `${significant(Math.abs(ms))} ms ${ms > 0 ? "faster" : "slower, which is a tie"}`;
  return `Dominated by ${best.label}: ${(best.top1 - network.top1).toFixed(2)} points more accurate, ${speed}.`;
}

function chip(index) {
  const [text, kind, sign] = known.ops[index];
  const made = element("span", `op ${kind}`, sign ? `${sign} ${text}` : text);
  if (sign) made.classList.add(sign === "−" ? "gone" : "differs");
  return made;
}

function unitOf(index) {
  const [name, count, sign, before, branches, after] = known.units[index];
  const made = element("div", "unit");
  const title = [count === 1 ? "" : `${count} ×`, name].filter(Boolean).join(" ");
  const shown = count === 0 ? `− no ${name}` : sign ? `${sign} ${title}` : title;
  if (shown) made.append(element("p", "", shown));
  if (count === 0) return made; // only the baseline has it
  const column = (ops) => ops.length ? element("div", "branch", ...ops.map(chip)) : element("div", "branch pass", "as is");
  if (before.length) made.append(element("div", "branch", ...before.map(chip)));
  made.append(element("div", "branches", ...branches.map(column)));
  if (after.length) made.append(element("div", "branch", ...after.map(chip)));
  return made;
}

function drawing(network) {
  const made = element("div", "parts");
  for (const [name, units] of network.parts) {
    made.append(element("div", "block", element("p", "", name), element("div", "units", ...units.map(unitOf))));
  }
  return made;
}

function changes(network) {
  const table = element("table", "changes");
  const head = table.createTHead().insertRow();
  for (const title of ["Choice (by stage)", "Here", "There"]) head.append(element("th", "", title));
  const body = table.createTBody();
  for (const [name, value, base] of network.changes) {
    const row = body.insertRow();
    for (const text of [known.choices[name], value, base]) row.insertCell().textContent = text;
  }
  return table;
}

function drawCurve(place, network, trial) {
  const lines = [];
  const add = (of, name, color, dash) => lines.push({
    x: of.curve[0], y: of.curve[1], name, mode: "lines+markers", line: { color, dash, width: 2 }, marker: { color, size: 5 },
    hovertemplate: "epoch %{x}: %{y:.2f} %<extra></extra>",
  });
  const recommended = known.networks[known.recommended];
  if (recommended?.curve && String(known.recommended) !== String(trial)) add(recommended, "the recommended", QUIET, "dot");
  add(network, "this network", BLUE, "solid");
  const axis = { linecolor: INK, color: INK, showline: true, gridcolor: GRID, zeroline: false, ticks: "outside" };
  const layout = {
    template: "none", margin: { l: 44, r: 8, b: 38 }, font: { size: 11, color: INK }, showlegend: lines.length > 1,
    paper_bgcolor: "white", plot_bgcolor: "white", legend: { x: 1, y: 0, xanchor: "right", yanchor: "bottom", bgcolor: VEIL },
    xaxis: { ...axis, title: { text: "Epoch", standoff: 4 }, tickformat: "d" },
    yaxis: { ...axis, title: { text: "Top-1 (%)", standoff: 4 } },
  };
  drawFigure(place, { data: lines, layout, height: 210, small: true });
}

const ring = { name: "shown in the panel", mode: "markers", hoverinfo: "skip", showlegend: false,
  marker: { symbol: "circle-open", size: 18, color: INK, line: { width: 2.5 } } };
function mark(network) {
  if (!["scatter", "scattergl"].includes(front?.data[0]?.type)) return;
  Object.assign(ring, { x: [network.ms], y: [network.top1] });
  const stored = figures.get(front);
  if (stored.data.includes(ring)) Plotly.restyle(front, { x: [ring.x], y: [ring.y] }, [front.data.length - 1]);
  else {
    stored.data.push(ring); // it stays when the figure is drawn anew
    Plotly.addTraces(front, painted({ ...ring }));
  }
}

function show(trial, { look = false } = {}) {
  if (!panel || !has(trial)) return;
  const network = known.networks[trial];
  which.value = String(trial);
  const interval = network.low === null ? "" : ` (${significant(network.low)} to ${significant(network.high)})`;
  const named = network.label === `trial ${trial}` ? network.label : `${network.label} (trial ${trial})`;
  const place = element("div", "drawing");
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", `Top-1 of ${named} after each epoch`);
  const command = element("code", "", known.retrain + trial);
  panel.replaceChildren(
    element("h3", "", named + (String(known.recommended) === String(trial) ? " · recommended" : "")),
    element("p", "", standing(network)),
    numbers([
      ["Top-1", percent(network.top1)], ["Latency (ms)", significant(network.ms) + interval],
      ["p10, median, p90 (ms)", [network.p10, network.median, network.p90].map(significant).join(", ")],
      ["Params", grouped(network.params)], ["MACs", grouped(network.macs) + (network.uncounted ? "*" : "")],
      ...(network.memory === null ? [] : [["Memory access (MB)", (network.memory / 1e6).toFixed(2)]]),
    ]),
    element("p", "quiet", `${network.epochs} epochs, ${network.mean ?? `seed ${network.seed}`}, ` +
      `${grouped(network.images)} ${network.split} images; ` +
      `${grouped(network.runs)} runs${network.converged ? "" : ", not converged"}; arch_id ${network.arch}`),
    element("h4", "", "Train it in full"), element("p", "type", command),
    element("h4", "", "Learning curve"),
    network.curve ? element("div", "figure", place) : element("p", "", "No learning curve is stored on this page."),
    element("h4", "", `What differs from ${known.baselines[network.family] ?? network.family}`),
    network.changes.length ? changes(network) : element("p", "", "Nothing."),
  );
  const signs = network.changes.length ? " (≠ differs, + added, − left out)" : "";
  built.replaceChildren(...(network.parts?.length
    ? [element("h4", "", `How ${network.label} is built${signs}`), drawing(network)] : []));
  if (network.curve) drawCurve(place, network, trial);
  mark(network);
  if (look) {
    document.getElementById("panel").scrollIntoView({ block: "nearest" });
    panel.focus({ preventScroll: true });
  }
}

function fillChoices() {
  const entries = Object.entries(known.networks);
  const groups = [
    ["On the front", entries.filter(([, network]) => network.front)],
    ["Published, not on the front", entries.filter(([, network]) => !network.front && network.verdict)],
    ["Other trials", entries.filter(([, network]) => !network.front && !network.verdict)],
  ];
  for (const [title, members] of groups) {
    if (!members.length) continue;
    const group = element("optgroup");
    group.label = title;
    for (const [trial, network] of members) {
      const text = `${network.label} · ${percent(network.top1)} · ${significant(network.ms)} ms`;
      const option = element("option", "", text);
      option.value = trial;
      group.append(option);
    }
    which.append(group);
  }
}

// A trial's number in a table becomes a button, where its network is known.
function addButtons(within) {
  for (const cell of within.querySelectorAll("td.trial")) {
    const trial = cell.dataset.value;
    if (trial === undefined || !has(trial) || cell.querySelector("button")) continue;
    const button = element("button", "show", cell.textContent);
    button.type = "button";
    button.dataset.trial = trial;
    button.setAttribute("aria-label", `Show trial ${trial}`);
    cell.replaceChildren(button);
  }
}

const byLatency = Object.entries(known.networks).sort(([, a], [, b]) => a.ms - b.ms).map(([trial]) => trial);
function step(by) {
  const at = byLatency.indexOf(which.value);
  show(byLatency[Math.min(Math.max(at + by, 0), byLatency.length - 1)]);
}

if (panel) {
  fillChoices();
  addButtons(document);
  which.addEventListener("change", () => show(which.value));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.show");
    if (button) show(button.dataset.trial, { look: true });
  });
  document.addEventListener("toggle", (event) => {
    if (event.target.matches("details.data[open]")) addButtons(event.target);
  }, true);
  document.querySelector(".picks-networks").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    event.preventDefault();
    step(event.key === "ArrowRight" ? 1 : -1);
  });
  for (const figure of [front, glance]) {
    figure?.on("plotly_click", ({ points }) => {
      const trial = [points[0].customdata].flat()[0];
      if (has(trial)) show(trial, { look: figure === glance || window.innerWidth < 1200 });
    });
  }
  show(known.recommended ?? byLatency[0]);
} else {
  for (const button of document.querySelectorAll("button.show")) button.remove();
}
