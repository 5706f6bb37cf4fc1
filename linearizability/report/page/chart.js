
// The view: which part of the history is visible. Every change redraws the chart.
const view = {
  from: 0, to: 1,
  width: 0, height: 0, gutter: 120,
  scroll: 0, // of the rows, in pixels
  selected: -1,
  marker: null, // the selected span or band: {band: i} or {span: i}
  hovered: -1,
  partition: "", // whose primaries are shown; "": all
  filter: { key: -1, client: -1, kinds: null, outcomes: null },
  shown: new Uint8Array(count).fill(1), // passes the filter
  filtered: false,
};

const AXIS_HEIGHT = 26, ROW = 20, GAP = 7, BAND = 16, STATE = 11;

const canvas = byId("chart"), scroller = byId("scroller"), rowsElement = byId("rows");
const overview = byId("overview");

// blocks are the parts below the axis, from top to bottom. Bands and lanes are
// pinned while the clients scroll, unless they would leave no room for them.
let blocks = [];
let totalHeight = 0;
let pinned = AXIS_HEIGHT; // where the scrolling part begins
let pinnedHeight = AXIS_HEIGHT;
let bandLines = [];

function layOut() {
  blocks = [];
  let top = AXIS_HEIGHT + 4;
  bandLines = pack(axis.bands.map(([from, to]) => [from, Math.max(to, from + (axis.to - axis.from) / 60)]), 7);
  if (axis.bands.length > 0) {
    const height = (Math.max(...bandLines) + 1) * BAND;
    blocks.push({ type: "bands", top, height });
    top += height + GAP;
  }
  const thin = Math.max(1, Math.min(3, Math.floor(40 / Math.max(1, partitions.length))));
  lanes.forEach((lane, number) => {
    const reigns = lane.reigns.length === 0 ? 0 : view.partition !== "" || partitions.length === 1 ? 12 : thin * partitions.length;
    blocks.push({ type: "lane", number, top, height: STATE + (reigns ? reigns + 2 : 0), thin });
    top += STATE + (reigns ? reigns + 2 : 0) + GAP;
  });
  pinnedHeight = blocks.length > 0 ? top + 1 : AXIS_HEIGHT;
  pin();
  if (blocks.length > 0) top += 6;
  for (const client of rowsShown()) {
    const height = Math.max(1, clientRows[client].length) * ROW;
    blocks.push({ type: "client", number: client, top, height });
    top += height + 2;
  }
  totalHeight = top + 8;
  rowsElement.style.height = totalHeight + "px";
}

function pin() {
  pinned = pinnedHeight <= view.height * 0.65 ? pinnedHeight : AXIS_HEIGHT;
}

const isPinned = (block) => block.type !== "client" && pinned > AXIS_HEIGHT;
const topOf = (block) => block.top - (isPinned(block) ? 0 : view.scroll);

// rowsShown leaves out clients that have no operation left after filtering.
function rowsShown() {
  const clients = recorded.clients.map((_, c) => c);
  if (view.filter.key < 0 && view.filter.client < 0) return clients;
  const seen = new Uint8Array(clients.length);
  for (let i = 0; i < count; i++) if (view.shown[i]) seen[ops.client[i]] = 1;
  return clients.filter((c) => seen[c]);
}

function applyFilter() {
  const { key, client, kinds, outcomes } = view.filter;
  view.filtered = key >= 0 || client >= 0 || kinds !== null || outcomes !== null;
  let left = 0;
  for (let i = 0; i < count; i++) {
    const shown = (key < 0 || ops.key[i] === key) && (client < 0 || ops.client[i] === client) &&
      (kinds === null || kinds.has(ops.kind[i])) && (outcomes === null || outcomes.has(outcomeOf(i)));
    view.shown[i] = shown ? 1 : 0;
    left += view.shown[i];
  }
  layOut();
  clampScroll();
  redraw();
  return left;
}

const plotWidth = () => Math.max(10, view.width - view.gutter);
const xOf = (position) => view.gutter + ((position - view.from) / (view.to - view.from)) * plotWidth();
const positionAt = (x) => view.from + ((x - view.gutter) / plotWidth()) * (view.to - view.from);

function setView(from, to) {
  const whole = axis.to - axis.from;
  const least = axis.byTime ? Math.min(whole, 200) : Math.min(whole, 3);
  let width = Math.min(whole, Math.max(least, to - from));
  if (!(width > 0)) width = whole;
  const middle = (from + to) / 2;
  from = Math.min(Math.max(axis.from, middle - width / 2), axis.to - width);
  view.from = from;
  view.to = from + width;
  redraw();
}

function zoom(factor, x) {
  const fixed = x === undefined ? (view.from + view.to) / 2 : positionAt(Math.max(view.gutter, x));
  const whole = axis.to - axis.from;
  const least = axis.byTime ? Math.min(whole, 200) : Math.min(whole, 3);
  const width = Math.min(whole, Math.max(least, (view.to - view.from) * factor));
  const share = (fixed - view.from) / (view.to - view.from);
  setView(fixed - share * width, fixed + (1 - share) * width);
}

const pan = (share) => setView(view.from + share * (view.to - view.from), view.to + share * (view.to - view.from));
const fit = () => setView(axis.from, axis.to);

function clampScroll() {
  view.scroll = Math.max(0, Math.min(view.scroll, totalHeight - view.height));
  scroller.scrollTop = view.scroll;
}

function scrollRows(by) {
  view.scroll += by;
  clampScroll();
  redraw();
}

// show brings operations into view, with a margin around them.
function show(list) {
  if (list.length === 0) return;
  const from = Math.min(...list.map((i) => axis.start[i])), to = Math.max(...list.map((i) => axis.end[i]));
  const room = Math.max((to - from) * 0.2, (axis.to - axis.from) / 1e5);
  setView(from - room, to + room);
  showRow(list[0]);
}

function showRow(i) {
  const block = blocks.find((b) => b.type === "client" && b.number === ops.client[i]);
  if (!block) return;
  const top = block.top + levelOf[i] * ROW;
  if (top < view.scroll + pinned || top + ROW > view.scroll + view.height) {
    view.scroll = top - (pinned + view.height) / 2;
    clampScroll();
  }
  redraw();
}

// operationAt returns the operation at or near a point of the canvas. Of several it
// prefers a marked one, then the nearest.
function operationAt(x, y) {
  const block = blockAt(y);
  if (!block || block.type !== "client" || x < view.gutter) return -1;
  const levels = clientRows[block.number];
  const level = Math.min(levels.length - 1, Math.floor((y - topOf(block)) / ROW));
  const row = levels[level];
  if (!row) return -1;
  let best = -1, bestRank = Infinity;
  for (let n = firstInRow(row, positionAt(x - 5)); n < row.length; n++) {
    const i = row[n], left = xOf(axis.start[i]);
    if (left > x + 5) break;
    if (!view.shown[i]) continue;
    const distance = Math.max(0, left - x, x - Math.max(xOf(axis.end[i]), left));
    const rank = distance - ops.mark[i] * 10;
    if (rank < bestRank) [best, bestRank] = [i, rank];
  }
  return best;
}

// firstInRow returns the first operation of a row that ends at or after a position.
function firstInRow(row, position) {
  let low = 0, high = row.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (axis.end[row[middle]] < position) low = middle + 1;
    else high = middle;
  }
  return low;
}

function blockAt(y) {
  if (y < AXIS_HEIGHT) return undefined;
  return blocks.find((b) => y >= topOf(b) && y < topOf(b) + b.height && (b.type !== "client" || y >= pinned));
}

// markerAt returns the span or the band at a point.
function markerAt(x, y) {
  const block = blockAt(y);
  if (!block || x < view.gutter) return null;
  const position = positionAt(x), near = positionAt(x + 3) - position, dy = y - topOf(block);
  const within = ([from, to]) => position >= from - near && position <= to + near;
  if (block.type === "bands") {
    const line = Math.floor(dy / BAND);
    const label = positionAt(x + 90) - position; // the label beside a short band counts as part of it
    let best = -1;
    axis.bands.forEach(([from, to], i) => {
      if (bandLines[i] === line && position >= from - near && position <= Math.max(to + near, from + label)) best = i;
    });
    return best < 0 ? null : { band: best };
  }
  if (block.type !== "lane") return null;
  const lane = lanes[block.number];
  const under = dy < STATE ? lane.states : lane.reigns.filter((i) => reignLine(block, i, dy));
  const hit = under.filter((i) => within(axis.spans[i])).pop();
  return hit === undefined ? null : { span: hit };
}

function reignLine(block, i, dy) {
  const partition = annotations.spans[i][2];
  if (view.partition !== "") return partition === view.partition;
  if (partitions.length === 1) return true;
  return Math.floor((dy - STATE - 2) / block.thin) === partitionNumber.get(partition);
}

let drawingAsked = false;
function redraw() {
  if (drawingAsked) return;
  drawingAsked = true;
  requestAnimationFrame(() => {
    drawingAsked = false;
    const began = performance.now();
    draw();
    drawOverview();
    drawTimes.push(performance.now() - began);
    if (drawTimes.length > 200) drawTimes.shift();
  });
}
const drawTimes = []; // the latest, in milliseconds; the browser tests read them
