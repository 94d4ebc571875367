"use strict";
// Narrow windows: a short legend goes below the figure; a long one goes, and the tables name what it names.
const NARROW_PX = 760;
const MOST_LEGEND_ENTRIES = 9;
const CHARACTER_PX = 6; // of the small font
const LINE_PX = 18;
const wide = new Map(); // figure -> what it looks like in a wide window

function remember(figure) {
  const { layout } = figure;
  const axes = Object.keys(layout).filter((name) => /^[xy]axis/.test(name));
  wide.set(figure, {
    axes: axes.map((name) => ({ name, title: layout[name].title?.text ?? "", domain: layout[name].domain ?? [0, 1] })),
    margin: { l: 80, r: 24, b: 66, ...layout.margin },
    font: layout.font?.size ?? 12,
    legend: { ...layout.legend },
    shown: layout.showlegend ?? true,
  });
  return wide.get(figure);
}

// A title in lines of so many characters; words stay whole.
function broken(title, characters) {
  const lines = [""];
  for (const word of title.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (longer.length > characters && lines.at(-1)) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

function narrowed(figure, before) {
  const left = before.margin.l > 110 ? Math.min(before.margin.l, 0.42 * figure.clientWidth) : Math.min(before.margin.l, 52);
  const across = figure.clientWidth - left - 8;
  const shown = figure._fullData.filter((trace) => trace.visible === true && trace.showlegend && trace.name);
  const grouped = shown.some((trace) => trace.legendgrouptitle?.text);
  const legend = before.shown && !grouped && shown.length > 1 && shown.length <= MOST_LEGEND_ENTRIES;
  const pixels = shown.reduce((sum, trace) => sum + 60 + CHARACTER_PX * trace.name.length, 0);
  const legendPx = legend ? LINE_PX * Math.ceil(1.3 * pixels / figure.clientWidth) + 6 : 0;
  const changes = {};
  let lines = 1;
  for (const { name, title, domain } of before.axes) {
    changes[`${name}.title.font.size`] = 12;
    if (!name.startsWith("x") || !title) continue;
    const found = broken(title, Math.max(12, Math.floor(across * (domain[1] - domain[0]) / CHARACTER_PX)));
    changes[`${name}.title.text`] = found.join("<br>");
    lines = Math.max(lines, found.length);
  }
  return {
    ...changes,
    "showlegend": legend,
    "legend": { ...before.legend, orientation: "h", x: 0, xanchor: "left", xref: "container", y: 0, yanchor: "bottom",
      yref: "container", font: { size: 11 } },
    "font.size": 11,
    "margin.l": left,
    "margin.r": 8,
    "margin.b": before.margin.b + legendPx + (lines - 1) * LINE_PX,
  };
}

function widened(before) {
  const changes = {};
  for (const { name, title } of before.axes) {
    changes[`${name}.title.font.size`] = before.font + 1;
    changes[`${name}.title.text`] = title;
  }
  return {
    ...changes,
    "showlegend": before.shown,
    "legend": before.legend,
    "font.size": before.font,
    "margin.l": before.margin.l,
    "margin.r": before.margin.r,
    "margin.b": before.margin.b,
  };
}

function fitFigures() {
  for (const figure of document.querySelectorAll(".js-plotly-plot")) {
    if (!figure.clientWidth || figure.closest(".curve")) continue; // folded away, or small in any window
    const before = wide.get(figure) ?? remember(figure);
    const narrow = figure.clientWidth < NARROW_PX && !figure.closest(".wide"); // that one is moved sideways
    const changes = narrow ? narrowed(figure, before) : widened(before);
    Plotly.relayout(figure, { ...changes, autosize: true });
  }
}

function sortTable(header) {
  const table = header.closest("table");
  const column = header.cellIndex;
  const descending = header.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const numeric = header.classList.contains("number");
  const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = (a, b) => {
    if (key(a) === "" || key(b) === "") return Number(key(a) === "") - Number(key(b) === ""); // empty cells last
    const order = numeric ? Number(key(a)) - Number(key(b)) : key(a).localeCompare(key(b));
    return descending ? -order : order;
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
}

// What a folded table holds: it becomes a table when it is opened.
const folded = (section) => JSON.parse(section.querySelector('script[type="application/json"]').textContent);

function unfold(details) {
  const place = details.querySelector(".scroll");
  if (place.firstChild) return;
  const content = folded(details);
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const column of content.columns) {
    const cell = document.createElement("th");
    const button = document.createElement("button");
    [cell.scope, cell.className, button.type, button.textContent] = ["col", column.kind, "button", column.title];
    cell.append(button);
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of content.rows) {
    const line = body.insertRow();
    row.forEach((value, index) => {
      const cell = line.insertCell();
      const { kind, decimals } = content.columns[index];
      cell.className = kind;
      if (typeof value === "number" && decimals !== null) {
        cell.dataset.value = String(value);
        const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
        cell.textContent = value.toLocaleString("en-US", digits);
      } else cell.textContent = value === null ? "" : String(value);
    });
  }
  place.append(table);
}

function downloadCsv(button) {
  const section = button.closest("section");
  const table = section.querySelector("table");
  const quoted = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;
  const shown = () => [...table.rows].map((row) => [...row.cells].map((item) => item.dataset.value ?? item.textContent));
  const stored = ({ columns, rows }) => [columns.map((column) => column.title), ...rows];
  const lines = table ? shown() : stored(folded(section));
  const text = lines.map((row) => row.map(quoted).join(",")).join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text + "\n"], { type: "text/csv" }));
  link.download = `${button.dataset.name}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

document.addEventListener("click", (event) => {
  const header = event.target.closest("th");
  if (header?.querySelector("button")) sortTable(header);
  if (event.target.matches(".csv")) downloadCsv(event.target);
});
document.addEventListener("toggle", (event) => {
  if (event.target.matches("details.data[open]")) unfold(event.target);
}, true);
window.addEventListener("resize", fitFigures);
window.addEventListener("load", fitFigures);
