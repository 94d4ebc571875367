"use strict";
// Figures are drawn from the data beside them: in the colours of the screen or of paper, for the width that there is.
const NARROW_PX = 760; // below, a short legend goes under the figure; a long one goes, and the tables name what it names
const MOST_NARROW_PX = 480; // below, labels stand where the figure has a place for them in such a window
const COLUMN_PX = 620; // below, panels stand one under the other
const PRINTED_PX = 690; // what the margins of A4 leave
const PRINTED_HEIGHT_PX = 360; // of a figure that may have any height
const PRINTED_PAGE_PX = 900;
const LEAST_SCALE = 0.6; // a figure of fixed width is made no smaller than this: then it is moved sideways
const MOST_LEGEND_ENTRIES = 9;
const CHARACTER_PX = 6; // of the small font
const LINE_PX = 18;
const PANEL_GAP_PX = 62; // tick labels and a line of title
const HINT_PX = 24;
const CONFIG = { responsive: false, displaylogo: false, showSendToCloud: false };
const DARK = JSON.parse(document.getElementById("dark").textContent); // colour on white -> colour in the dark
const darkness = window.matchMedia("(prefers-color-scheme: dark)");
const figures = new Map(); // element -> what is stored of it
let printing = false;

// A copy in the colours of the screen. Scales of colours stay: they are an order.
function painted(value, key = "") {
  if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map((each) => painted(each, key));
  if (value && typeof value === "object") {
    if ("bdata" in value) return value;
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, name === "colorscale" ? each : painted(each, name)]));
  }
  if (typeof value !== "string" || printing || !darkness.matches) return value;
  if (/color$/.test(key)) return DARK[value.toLowerCase()] ?? value;
  return value.replace(/color:(#[0-9a-f]{6})/gi, (whole, color) => `color:${DARK[color.toLowerCase()] ?? color}`);
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

const axesOf = (layout, letter) => Object.keys(layout).filter((name) => name.startsWith(`${letter}axis`));

// What stands above panels, each panel's own.
const headsOf = (layout) => (layout.annotations ?? []).filter((each) => each.xref === "paper" && each.yref === "paper");

// Panels in the order in which one reads them.
function panelsOf(layout) {
  const panels = axesOf(layout, "x").map((x) => ({ x: layout[x], y: layout[(layout[x].anchor ?? "y").replace("y", "yaxis")] }))
    .filter(({ x, y }) => x.domain && y?.domain);
  return panels.sort((a, b) => b.y.domain[1] - a.y.domain[1] || a.x.domain[0] - b.x.domain[0]);
}

// Panels one under the other, each as high as it was; the height of the whole figure.
function stack(layout, height) {
  const panels = panelsOf(layout);
  const before = height - layout.margin.t - layout.margin.b;
  const heads = headsOf(layout);
  const headOf = ({ x, y }) => heads.find((each) => x.domain[0] <= each.x && each.x <= x.domain[1] && Math.abs(each.y - y.domain[1]) < 0.02);
  const found = panels.map((panel) => ({ ...panel, head: headOf(panel), px: (panel.y.domain[1] - panel.y.domain[0]) * before }));
  const gap = ({ x, head }) => PANEL_GAP_PX + LINE_PX * ((x.title?.text ?? "").split("<br>").length + (head?.text.split("<br>").length ?? 0));
  const area = found.reduce((sum, panel, place) => sum + panel.px + (place ? gap(panel) : 0), 0);
  let down = 0;
  found.forEach((panel, place) => {
    down += place ? gap(panel) : 0;
    const { x, y, head, px } = panel;
    [x.domain, y.domain, x.automargin, y.automargin] = [[0, 1], [1 - (down + px) / area, 1 - down / area], false, true];
    if (y.matches) { // it leaned on the labels of its neighbour
      const labelled = layout[y.matches.replace("y", "yaxis")];
      Object.assign(y, { showticklabels: true, tickmode: labelled.tickmode, tickvals: labelled.tickvals, ticktext: labelled.ticktext });
    }
    if (head) Object.assign(head, { x: 0, xanchor: "left", y: y.domain[1] });
    down += px;
  });
  return area + layout.margin.t + layout.margin.b;
}

// An axis' title in lines that fit into so many pixels; how many they are.
function wrapTitle(title, pixels, size = 12) {
  if (!title?.text) return 0;
  const found = broken(title.text.replaceAll("<br>", " "), Math.max(12, Math.floor((pixels * 12) / size / (CHARACTER_PX + 0.8))));
  [title.text, title.font] = [found.join("<br>"), { ...title.font, size }];
  return found.length;
}

const columnsOf = (layout, width) => (width < COLUMN_PX ? new Set(panelsOf(layout).map(({ x }) => x.domain[0])).size : 1);

// Lines of what stands above panels, as long as these are wide; the pixels that the first row's need.
function wrapHeads(layout, width) {
  const panels = panelsOf(layout);
  const across = width - layout.margin.l - layout.margin.r;
  let lines = 1;
  for (const head of headsOf(layout)) {
    const panel = panels.find(({ x }) => x.domain[0] <= head.x && head.x <= x.domain[1]);
    const share = columnsOf(layout, width) > 1 || !panel ? 1 : panel.x.domain[1] - panel.x.domain[0];
    const found = broken(head.text.replaceAll("<br>", " "), (across * share) / (CHARACTER_PX + 1.5));
    head.text = found.join("<br>");
    head.font = { ...head.font, size: 12 };
    if (head.y > 0.98) lines = Math.max(lines, found.length);
  }
  return lines * LINE_PX;
}

// The layout for a narrow window, changed in place; the height that it needs.
function narrow(layout, data, width, height) {
  const left = layout.margin.l > 110 ? Math.min(layout.margin.l, 0.42 * width) : Math.min(layout.margin.l, 62);
  Object.assign(layout.margin, { l: left, r: 8 });
  const columns = columnsOf(layout, width);
  const across = (columns > 1 ? 0.8 : 1) * (width - left - 8); // labels of rows may push it aside
  let lines = 1;
  for (const name of axesOf(layout, "x")) {
    const { title, domain = [0, 1] } = layout[name];
    lines = Math.max(lines, wrapTitle(title, across * (columns > 1 ? 1 : domain[1] - domain[0])));
  }
  for (const name of axesOf(layout, "y")) wrapTitle(layout[name].title, Infinity); // smaller letters
  const shown = data.filter((trace) => trace.name && trace.showlegend !== false && trace.visible !== false);
  const grouped = shown.some((trace) => trace.legendgrouptitle?.text);
  layout.showlegend = layout.showlegend !== false && !grouped && shown.length > 1 && shown.length <= MOST_LEGEND_ENTRIES;
  const entry = 48 + 1.15 * CHARACTER_PX * Math.max(0, ...shown.map((trace) => trace.name.length)); // all as wide as the longest
  const legendPx = layout.showlegend ? 14 + LINE_PX * Math.ceil(shown.length / Math.max(1, Math.floor(width / entry))) : 0;
  layout.legend = { ...layout.legend, orientation: "h", x: 0, xanchor: "left", xref: "container", y: 0, yanchor: "bottom",
    yref: "container", font: { size: 11 } };
  layout.font.size = 11;
  const before = layout.margin.b; // room for a legend that stood there is used again
  layout.margin.b = Math.max(before, 54 + (lines - 1) * LINE_PX + legendPx);
  const whole = height + layout.margin.b - before;
  return columns > 1 ? stack(layout, whole) : whole;
}

function draw(place) {
  const known = figures.get(place);
  const { figure, data, layout: wanted, height: asked = null, rows = false, small = false } = known;
  const least = wanted.meta?.least_width ?? 0;
  figure.style.height = asked === null ? "" : `${asked}px`;
  const share = Number(getComputedStyle(figure).getPropertyValue("--printed-share")) || 1;
  known.room = printing ? PRINTED_PX * share : figure.clientWidth;
  const { room } = known;
  if (!room) return; // folded away
  let height = asked !== null && rows ? asked : printing ? Math.min(asked ?? PRINTED_HEIGHT_PX, PRINTED_HEIGHT_PX) : figure.clientHeight;
  let scale = Math.min(1, Math.max(room / (least || room), printing ? 0 : LEAST_SCALE));
  if (least && !rows) height /= scale; // as high as others
  else if (least && printing) scale = Math.min(scale, PRINTED_PAGE_PX / height);
  else if (printing) height = Math.min(height, PRINTED_PAGE_PX);
  const width = Math.max(room, least);
  const layout = structuredClone(wanted);
  if (room < MOST_NARROW_PX && layout.meta?.narrow) layout.annotations = layout.meta.narrow;
  layout.margin = { l: 80, r: 24, b: 66, ...layout.margin, t: 24 };
  if (panelsOf(layout).length > 1 && headsOf(layout).length) layout.margin.t += wrapHeads(layout, room);
  if (!least && !small && room < NARROW_PX) height = narrow(layout, data, room, height);
  for (const name of axesOf(layout, "y")) {
    const { title, domain = [0, 1] } = layout[name];
    wrapTitle(title, 0.95 * (domain[1] - domain[0]) * (height - layout.margin.t - layout.margin.b), title?.font?.size);
  }
  const moves = least * scale > room + 1;
  figure.classList.toggle("moves", moves);
  figure.tabIndex = moves ? 0 : -1; // the arrow keys move it
  Object.assign(place.style, { width: `${width}px`, height: `${height}px`, transform: scale < 1 ? `scale(${scale})` : "",
    marginRight: `${(scale - 1) * width}px` });
  Plotly.react(place, painted(data), painted({ ...layout, width, height, autosize: false }), CONFIG);
  figure.style.height = `${Math.ceil(height * scale) + (moves ? HINT_PX : 0)}px`;
}

// A figure to draw, now and whenever the colours or the room change: {data, layout} with `height` in pixels (else the
// stylesheet's), `rows` if it is as high as its rows need, `small` if it is small in any window.
function drawFigure(place, stored) {
  figures.set(place, { figure: place.closest(".figure"), ...stored });
  draw(place);
}

function drawAgain({ all }) {
  for (const [place, { figure, room }] of figures) {
    if (!place.isConnected) figures.delete(place);
    else if (all || Math.abs(figure.clientWidth - room) > 1) draw(place);
  }
}

for (const place of document.querySelectorAll(".drawing")) {
  drawFigure(place, JSON.parse(place.nextElementSibling.textContent));
}
darkness.addEventListener("change", () => drawAgain({ all: true }));
window.addEventListener("resize", () => drawAgain({ all: false }));
for (const [event, now] of [["beforeprint", true], ["afterprint", false]]) {
  window.addEventListener(event, () => {
    printing = now;
    drawAgain({ all: true });
  });
}

function sortTable(header) {
  const table = header.closest("table");
  const column = header.cellIndex;
  const descending = header.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const numeric = header.classList.contains("number");
  const key = (row) => row.cells[column].dataset.value ?? (numeric ? "" : row.cells[column].textContent);
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
      const [number, shown] = Array.isArray(value) ? value : [value, null];
      cell.className = kind;
      if (typeof number === "number" && (shown !== null || decimals !== null)) {
        cell.dataset.value = String(number);
        const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
        cell.textContent = shown ?? number.toLocaleString("en-US", digits);
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
  const saved = (value) => Array.isArray(value) ? value[0] : value;
  const stored = ({ columns, rows }) => [columns.map((column) => column.title), ...rows.map((row) => row.map(saved))];
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
