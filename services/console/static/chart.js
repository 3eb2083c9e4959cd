// The chart of throughput: uPlot draws what the page says, and again whenever that is another.

/* global uPlot */
const root = document.documentElement;
let place, chart, drawn, told;

function colour(name) {
  return getComputedStyle(root).getPropertyValue(name).trim();
}

function clock(seconds, digits) {
  const when = new Date(seconds * 1000);
  if (root.dataset.zone !== "local") return when.toISOString().slice(11, 11 + digits);
  return when.toLocaleTimeString(undefined, { timeStyle: digits > 5 ? "medium" : "short" });
}

// The times at which steps begin. A step is drawn from its beginning to the next one's, the last one to the edge.

function columns() {
  const times = told.placed.map((_, number) => told.since + number * told.step);
  return [times, told.placed, told.completed, told.otherwise.map((number) => number || null)];
}

function until() {
  return told.since + told.placed.length * told.step;
}

function drawChanges({ ctx, bbox, valToPos }) {
  const size = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour("--ink");
  ctx.lineWidth = size;
  ctx.setLineDash([2 * size, 2 * size]);
  for (const [at] of told.changes) {
    if (at < told.since || at > until()) continue;
    const x = Math.round(valToPos(at, "x", true));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(x - 5 * size, bbox.top - 8 * size);
    ctx.lineTo(x + 5 * size, bbox.top - 8 * size);
    ctx.lineTo(x, bbox.top);
    ctx.fill();
  }
  ctx.restore();
}

// What a step holds is told beside the pointer.

const tip = document.createElement("div");
tip.className = "tip";

function lines(number) {
  const begins = told.since + number * told.step, ends = begins + told.step;
  const zone = root.dataset.zone === "local" ? "" : " UTC";
  return [
    (ends < until() ? `${clock(begins, 8)} to ${clock(ends, 8)}` : `Since ${clock(begins, 8)}`) + zone,
    `${told.placed[number]} placed`,
    `${told.completed[number]} completed`,
    `${told.otherwise[number]} rejected or cancelled`,
    ...told.changes.filter(([at]) => at >= begins && at < ends).map(([, text]) => `▼ ${text}`),
  ];
}

function tell({ cursor, over, posToVal }) {
  tip.hidden = !(cursor.left >= 0);
  if (tip.hidden) return;
  const last = told.placed.length - 1;
  const number = Math.min(last, Math.max(0, Math.floor((posToVal(cursor.left, "x") - told.since) / told.step)));
  tip.replaceChildren(...lines(number).map((text) => Object.assign(document.createElement("div"), { textContent: text })));
  const left = cursor.left < over.clientWidth / 2 ? cursor.left + 12 : cursor.left - tip.offsetWidth - 12;
  tip.style.left = `${Math.max(0, Math.min(left, over.clientWidth - tip.offsetWidth))}px`;
}

// Orders are counted in whole numbers, however many there are: 1, 2, 5, 10 and so on, which have room beside the chart.

const whole = Array.from({ length: 13 }, (_, zeros) => [1, 2, 5].map((each) => each * 10 ** zeros)).flat();
const short = new Intl.NumberFormat("en", { notation: "compact" });

function axis(more) {
  return {
    stroke: () => colour("--soft"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { show: false },
    ...more,
  };
}

function options() {
  const stepped = uPlot.paths.stepped({ align: 1, extend: true });
  const bars = uPlot.paths.bars({ align: 1, size: [0.8] });
  return {
    ...size(),
    padding: [12, 28, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { time: false, range: () => [told.since, until()] }, y: { range: (_, __, most) => [0, Math.max(4, most * 1.05)] } },
    axes: [
      axis({ incrs: [60, 180, 300], space: 70, size: 28, values: (_, times) => times.map((each) => clock(each, 5)) }),
      axis({ incrs: whole, size: 40, values: (_, numbers) => numbers.map((each) => short.format(each)) }),
    ],
    series: [
      {},
      { stroke: () => colour("--one"), fill: () => `${colour("--one")}2e`, width: 2, paths: stepped, points: { show: false } },
      { stroke: () => colour("--well"), width: 2, dash: [7, 4], paths: stepped, points: { show: false } },
      { stroke: () => colour("--wrong"), fill: () => colour("--wrong"), width: 0, paths: bars, points: { show: false } },
    ],
    hooks: { draw: [drawChanges], setCursor: [tell], ready: [({ over }) => { tip.hidden = true; over.append(tip); }] },
  };
}

function size() {
  return { width: place.clientWidth, height: place.clientHeight };
}

const fitted = new ResizeObserver(() => chart?.setSize(size()));

function leave() {
  fitted.disconnect();
  chart?.destroy();
  chart = drawn = undefined;
}

function draw() {
  const found = document.getElementById("throughput");
  if (found !== place) leave();
  place = found;
  if (!place || place.dataset.drawn === drawn) return;
  drawn = place.dataset.drawn;
  told = JSON.parse(drawn);
  if (chart) chart.setData(columns());
  else {
    chart = new uPlot(options(), columns(), place);
    fitted.observe(place);
  }
}

function again() {
  chart?.redraw(false, true);
}

document.addEventListener("htmx:after:swap", draw);
new MutationObserver(again).observe(root, { attributeFilter: ["data-theme", "data-zone"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
draw();
