"use strict";
// Narrow windows: a short legend goes below the figure; a long one goes, and the tables name what it names.
const NARROW_PX = 760;
const MOST_LEGEND_ENTRIES = 9;
const wide = new Map(); // figure -> what it looks like in a wide window

function fitFigures() {
  for (const figure of document.querySelectorAll(".js-plotly-plot")) {
    if (!figure.clientWidth) continue; // folded away
    const { layout } = figure;
    if (!wide.has(figure)) wide.set(figure, {
      left: layout.margin?.l ?? 80, font: layout.font?.size ?? 12, legend: { ...layout.legend }, shown: layout.showlegend ?? true,
    });
    const before = wide.get(figure);
    const narrow = figure.clientWidth < NARROW_PX;
    const entries = figure._fullData.filter((trace) => trace.visible === true && trace.showlegend).length;
    const below = { ...before.legend, orientation: "h", x: 0, xanchor: "left", xref: "container", y: 0, yanchor: "bottom",
      yref: "container", font: { size: 11 } };
    const titles = {};
    for (const axis of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) {
      titles[`${axis}.title.font.size`] = narrow ? 12 : before.font + 1;
    }
    Plotly.relayout(figure, {
      ...titles,
      "autosize": true,
      "showlegend": before.shown && (!narrow || entries <= MOST_LEGEND_ENTRIES),
      "legend": narrow ? below : before.legend,
      "font.size": narrow ? 11 : before.font,
      "margin.l": narrow ? Math.min(before.left, 52) : before.left,
      "margin.r": narrow ? 8 : 24,
    });
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
