"use strict";
// Narrow windows: the numbers stay in the picture, and the variants' table below names them.
const NARROW_PX = 760;

function fitFigures() {
  for (const figure of document.querySelectorAll(".js-plotly-plot")) {
    const narrow = figure.clientWidth < NARROW_PX;
    figure.dataset.left ??= String(figure.layout.margin.l);
    figure.dataset.font ??= String(figure.layout.font.size);
    const titles = {};
    for (const axis of Object.keys(figure.layout).filter((name) => /^[xy]axis/.test(name))) {
      titles[`${axis}.title.font.size`] = narrow ? 12 : Number(figure.dataset.font) + 1;
    }
    Plotly.relayout(figure, {
      ...titles,
      "autosize": true,
      "showlegend": !narrow,
      "font.size": narrow ? 11 : Number(figure.dataset.font),
      "margin.l": narrow ? 52 : Number(figure.dataset.left),
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

function downloadCsv(button) {
  const table = button.closest("section").querySelector("table");
  const cell = (item) => `"${(item.dataset.value ?? item.textContent).replaceAll('"', '""')}"`;
  const text = [...table.rows].map((row) => [...row.cells].map(cell).join(",")).join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text + "\n"], { type: "text/csv" }));
  link.download = `${button.dataset.name}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

document.addEventListener("click", (event) => {
  const header = event.target.closest("th");
  if (header) sortTable(header);
  if (event.target.matches(".csv")) downloadCsv(event.target);
});
window.addEventListener("resize", fitFigures);
window.addEventListener("load", fitFigures);
