
// The style sheet defines the colours of both themes.
let ink = {};
const paper = canvas.getContext("2d");
const overviewPaper = overview.getContext("2d");

const kindNames = ["get", "put", "delete"];
function kindColour(kind) {
  const name = recorded.kinds[kind];
  return kindNames.includes(name) ? ink[name] : ink["other-" + (kind % 2)];
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["surface", "panel", "text", "muted", "faint", "line", "edge", "get", "put", "delete", "other-0", "other-1",
    "mark", "mark-soft", "context", "up", "down", "down-line", "paused", "paused-line", "primary-0", "primary-1", "on-primary", "fault", "zookeeper", "other", "select"];
  ink = {};
  for (const name of names) ink[name] = style.getPropertyValue("--" + name).trim();
  ink.font = "11px " + style.getPropertyValue("--font");
  ink.bold = "600 11px " + style.getPropertyValue("--font");
  ink.downHatch = hatch(ink["down"], ink["down-line"], 1);
  ink.pausedHatch = hatch(ink["paused"], ink["paused-line"], -1);
  ink.kinds = recorded.kinds.map((_, k) => kindColour(k));
  ink.unknown = ink.kinds.map((colour) => hatch("transparent", colour, 1));
}

// hatch makes states distinguishable without colour.
function hatch(ground, line, slope) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const p = tile.getContext("2d");
  p.fillStyle = ground;
  p.fillRect(0, 0, 6, 6);
  p.strokeStyle = line;
  p.lineWidth = 1.2;
  p.beginPath();
  for (const shift of [-6, 0, 6]) {
    p.moveTo(shift, slope > 0 ? 6 : 0);
    p.lineTo(shift + 6, slope > 0 ? 0 : 6);
  }
  p.stroke();
  return paper.createPattern(tile, "repeat");
}

function sizeCanvas(element, p, width, height) {
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  const w = Math.round(width * ratio), h = Math.round(height * ratio);
  if (element.width !== w || element.height !== h) {
    element.width = w;
    element.height = h;
    element.style.width = width + "px";
    element.style.height = height + "px";
  }
  p.setTransform(ratio, 0, 0, ratio, 0, 0);
}

function draw() {
  sizeCanvas(canvas, paper, view.width, view.height);
  paper.textBaseline = "middle";
  paper.font = ink.font;
  paper.fillStyle = ink.surface;
  paper.fillRect(0, 0, view.width, view.height);
  const ticks = ticksOf(view.from, view.to, plotWidth());
  drawGround(ticks);
  clipBelow(pinned, () => {
    for (const block of blocks) if (block.type === "client" && isSeen(block)) drawClient(block, topOf(block));
    drawLinks();
  });
  for (const block of blocks) {
    if (!isSeen(block)) continue;
    if (block.type === "bands") drawBandLabels(topOf(block));
    else if (block.type === "lane") drawLane(block, topOf(block));
  }
  drawGutter();
  drawAxis(ticks);
}

const isSeen = (block) => topOf(block) < view.height && topOf(block) + block.height > (isPinned(block) ? 0 : AXIS_HEIGHT);

function clipBelow(top, paint) {
  paper.save();
  paper.beginPath();
  paper.rect(0, top, view.width, view.height - top);
  paper.clip();
  paint();
  paper.restore();
}

// drawGround draws the background: the grid and the bands.
function drawGround(ticks) {
  paper.fillStyle = ink.line;
  for (const { x } of ticks.marks) paper.fillRect(Math.round(x), AXIS_HEIGHT, 1, view.height);
  for (const kind of bandKinds) {
    paper.fillStyle = bandColour(kind);
    paper.globalAlpha = 0.1;
    for (const [from, to] of unionOf(kind)) {
      const left = Math.max(view.gutter, xOf(from)), right = Math.min(view.width, xOf(to));
      if (right >= left) paper.fillRect(left, AXIS_HEIGHT, Math.max(1, right - left), view.height);
    }
  }
  paper.globalAlpha = 1;
}

const bandKinds = [...new Set(annotations.bands.map((b) => b[0]))];
const bandColour = (kind) => (kind === "fault" || kind === "zookeeper" ? ink[kind] : ink.other);

// unionOf merges the overlapping bands of a kind, so that the overlap is not darker.
function unionOf(kind) {
  const joined = [];
  axis.bands.forEach(([from, to], i) => {
    if (annotations.bands[i][0] !== kind) return;
    const last = joined[joined.length - 1];
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  });
  return joined;
}

function drawBandLabels(top) {
  const busy = []; // by line: where its last label ends
  axis.bands.forEach(([from, to], i) => {
    const left = Math.max(view.gutter, xOf(from)), right = Math.min(view.width, xOf(to));
    if (right < view.gutter || left > view.width) return;
    const [kind, label] = annotations.bands[i];
    const y = top + bandLines[i] * BAND, width = Math.max(3, right - left);
    paper.fillStyle = bandColour(kind);
    paper.globalAlpha = 0.28;
    paper.fillRect(left, y, width, BAND - 3);
    paper.globalAlpha = 1;
    paper.fillRect(left, y, 3, BAND - 3);
    if (view.marker && view.marker.band === i) outline(left, y, width, BAND - 3);
    if (left + 6 < (busy[bandLines[i]] || 0)) return;
    const next = axis.bands.findIndex(([start], j) => j > i && bandLines[j] === bandLines[i] && xOf(start) > left);
    const room = (next < 0 ? view.width : Math.min(view.width, xOf(axis.bands[next][0]))) - left - 9;
    const text = cut(label || kind, room);
    paper.fillStyle = ink.text;
    paper.fillText(text, left + 6, y + (BAND - 3) / 2 + 0.5);
    busy[bandLines[i]] = left + 8 + (text ? paper.measureText(text).width : 0);
  });
}

function drawLane(block, top) {
  const lane = lanes[block.number];
  for (const i of lane.states) {
    const state = annotations.spans[i][1];
    paper.fillStyle = state === "up" ? ink.up : state === "down" ? ink.downHatch : ink.pausedHatch;
    drawSpan(i, top, STATE, state === "up" ? "" : state, ink.text);
  }
  const alone = view.partition !== "" || partitions.length === 1;
  for (const i of lane.reigns) {
    const [, , partition, epoch] = annotations.spans[i];
    if (view.partition !== "" && partition !== view.partition) continue;
    const number = partitionNumber.get(partition);
    paper.fillStyle = ink["primary-" + (Number(epoch) + (alone ? 0 : number)) % 2];
    const y = top + STATE + 2 + (alone ? 0 : number * block.thin);
    const height = alone ? 12 : Math.max(1, block.thin - (block.thin > 2 ? 1 : 0));
    drawSpan(i, y, height, alone ? "primary, epoch " + epoch : "", ink["on-primary"]);
  }
}

function drawSpan(i, y, height, text, colour) {
  const [from, to] = axis.spans[i];
  const left = Math.max(view.gutter, xOf(from)), right = Math.min(view.width, xOf(to));
  if (right < view.gutter || left > view.width) return;
  const width = Math.max(1, right - left);
  paper.fillRect(left, y, width, height);
  if (view.marker && view.marker.span === i) outline(left, y, width, height);
  if (!text || width < 34 || height < 10) return;
  const words = cut(text, width - 8) || (text.startsWith("primary") ? cut("e" + annotations.spans[i][3], width - 6) : "");
  if (!words) return;
  if (colour === ink.text) {
    paper.fillStyle = ink.surface;
    paper.fillRect(left + 4, y + 0.5, paper.measureText(words).width + 4, height - 1);
  }
  paper.fillStyle = colour;
  paper.fillText(words, left + 6, y + height / 2 + 0.5);
}

function outline(x, y, width, height) {
  paper.strokeStyle = ink.select;
  paper.lineWidth = 2;
  paper.strokeRect(x - 1, y - 1, width + 2, height + 2);
}

// cut shortens a text to a width; "" if nothing useful would remain.
function cut(text, room) {
  const most = Math.floor(room / 5.6);
  if (text.length <= most) return text;
  return most < 4 ? "" : text.slice(0, most - 1) + "…";
}

function drawClient(block, top) {
  clientRows[block.number].forEach((row, level) => {
    const y = top + level * ROW;
    if (!row || y >= view.height || y + ROW <= 0) return;
    const marked = drawRow(row, y), i = view.selected;
    if (i >= 0 && ops.client[i] === block.number && levelOf[i] === level) drawSelection(y);
    for (const m of marked) drawMark(m, y);
  });
}

const BAR = 14;

// drawRow draws wide operations as bars. Operations that share a pixel are drawn as
// the most important of them: unknown before refused before answered. Adjacent
// pixels of one colour are drawn as one rectangle.
function drawRow(row, y) {
  const wide = [], marked = [];
  let pixel = -1, rank = -1, colour = "";
  const scale = plotWidth() / (view.to - view.from), shift = view.gutter - view.from * scale;
  let runFrom = -1, runTo = -1, runColour = "";
  const endRun = () => {
    if (runFrom >= 0) {
      paper.fillStyle = runColour;
      paper.fillRect(runFrom, y + 3, runTo - runFrom + 1, BAR);
    }
    runFrom = -1;
  };
  const settle = () => { // the pixel joins the run of its colour
    if (pixel < 0) return;
    if (runFrom >= 0 && runColour === colour && pixel === runTo + 1) runTo = pixel;
    else {
      endRun();
      [runFrom, runTo, runColour] = [pixel, pixel, colour];
    }
    pixel = -1;
  };
  for (let n = firstInRow(row, view.from); n < row.length; n++) {
    const i = row[n], left = axis.start[i] * scale + shift;
    if (left > view.width) break;
    if (ops.mark[i] > 0) marked.push(i);
    const width = axis.end[i] * scale + shift - left;
    if (width >= 3) {
      wide.push(i);
      continue;
    }
    const at = Math.max(view.gutter, Math.floor(left));
    const shown = view.shown[i], outcome = outcomeOf(i);
    const mine = shown ? (outcome === UNKNOWN ? 3 : outcome === REFUSED ? 2 : 1) : 0;
    if (at !== pixel) {
      settle();
      [pixel, rank] = [at, -1];
    }
    if (mine >= rank) {
      rank = mine;
      colour = mine === 0 ? ink.faint : mine === 3 ? ink.muted : ink.kinds[ops.kind[i]];
    }
  }
  settle();
  endRun();
  for (const i of wide) drawBar(i, y);
  return marked;
}

function barOf(i) {
  const left = xOf(axis.start[i]);
  return [Math.max(view.gutter - 4, left), Math.min(view.width + 4, Math.max(xOf(axis.end[i]), left + 1))];
}

function drawBar(i, y) {
  const [left, right] = barOf(i), width = Math.max(1, right - left - 1);
  if (!view.shown[i]) {
    paper.fillStyle = ink.faint;
    paper.fillRect(left, y + 6, width, BAR - 6);
    return;
  }
  const outcome = outcomeOf(i), colour = ink.kinds[ops.kind[i]];
  if (width < 8 && outcome === OK) {
    paper.fillStyle = colour;
    paper.fillRect(left, y + 3, width, BAR);
    return;
  }
  paper.fillStyle = ink.surface;
  paper.fillRect(left, y + 3, width, BAR);
  paper.fillStyle = colour;
  if (outcome === OK) {
    paper.globalAlpha = 0.2;
    paper.fillRect(left, y + 3, width, BAR);
    paper.globalAlpha = 1;
  } else if (outcome === UNKNOWN) {
    paper.globalAlpha = 0.55;
    paper.fillStyle = ink.unknown[ops.kind[i]];
    paper.fillRect(left, y + 3, width, BAR);
    paper.globalAlpha = 1;
  }
  paper.strokeStyle = colour;
  paper.lineWidth = 1;
  if (outcome === REFUSED) paper.setLineDash([3, 2]);
  paper.strokeRect(left + 0.5, y + 3.5, Math.max(1, width - 1), BAR - 1);
  paper.setLineDash([]);
  paper.fillStyle = colour;
  paper.fillRect(left, y + 3, 3, BAR);
  if (outcome === UNKNOWN && right < view.width && width > 10) {
    paper.beginPath();
    paper.moveTo(right - 1, y + 3 + BAR / 2);
    paper.lineTo(right - 7, y + 3);
    paper.lineTo(right - 7, y + 3 + BAR);
    paper.fill();
  }
  if (width > 46) drawBarText(i, left, width, y, outcome);
}

function drawBarText(i, left, width, y, outcome) {
  const from = Math.max(left, view.gutter) + 7, room = Math.min(left + width, view.width) - from - (outcome === UNKNOWN ? 12 : 4);
  const text = cut(requestText(i) + " → " + answerText(i), room) || cut(recorded.kinds[ops.kind[i]], room);
  if (!text) return;
  if (outcome === UNKNOWN) {
    paper.fillStyle = ink.surface;
    paper.fillRect(from - 2, y + 5, paper.measureText(text).width + 4, BAR - 4);
  }
  paper.fillStyle = ink.text;
  paper.fillText(text, from, y + 3.5 + BAR / 2);
}

// drawMark frames an operation of a contradiction and points an arrow at it.
function drawMark(i, y) {
  const [left, right] = barOf(i), width = Math.max(7, right - left);
  const colour = ops.mark[i] === CORE ? ink.mark : ink.context;
  if (right < view.gutter || left > view.width) return;
  if (right - left < 8) {
    paper.fillStyle = ink.kinds[ops.kind[i]];
    paper.fillRect(left, y + 3, width, BAR);
  }
  paper.strokeStyle = colour;
  paper.lineWidth = ops.mark[i] === CORE ? 2.5 : 1.5;
  paper.strokeRect(left - 0.5, y + 2, width + 1, BAR + 2);
  if (ops.mark[i] !== CORE) return;
  const x = Math.max(view.gutter + 5, Math.min(left + width / 2, view.width - 8));
  paper.fillStyle = colour;
  paper.beginPath();
  paper.moveTo(x, y + 5);
  paper.lineTo(x - 6, y - 4);
  paper.lineTo(x + 6, y - 4);
  paper.fill();
}

function drawSelection(y) {
  const [left, right] = barOf(view.selected);
  paper.strokeStyle = ink.select;
  paper.lineWidth = 1.5;
  paper.setLineDash([3, 2]);
  paper.strokeRect(left - 4, y - 1, Math.max(7, right - left) + 8, BAR + 8);
  paper.setLineDash([]);
}

// drawLinks connects the selected operation to the put whose value it observed.
function drawLinks() {
  const reader = view.selected;
  if (reader < 0) return;
  const writer = writerOf(reader);
  const a = writer < 0 ? null : pointOf(writer), b = pointOf(reader);
  if (!a || !b || writer === reader) return;
  paper.strokeStyle = ink.select;
  paper.lineWidth = 1.5;
  paper.setLineDash([5, 3]);
  paper.beginPath();
  paper.moveTo(a.x, a.y);
  const middle = (a.x + b.x) / 2;
  paper.bezierCurveTo(middle, a.y, middle, b.y, b.x, b.y);
  paper.stroke();
  paper.setLineDash([]);
}

function pointOf(i) {
  const block = blocks.find((b) => b.type === "client" && b.number === ops.client[i]);
  return block ? { x: xOf(axis.start[i]), y: topOf(block) + levelOf[i] * ROW + ROW / 2 } : null;
}

// drawGutter draws the names of the rows.
function drawGutter() {
  paper.fillStyle = ink.panel;
  paper.fillRect(0, 0, view.gutter, view.height);
  paper.fillStyle = ink.line;
  paper.fillRect(view.gutter - 1, 0, 1, view.height);
  clipBelow(pinned, () => {
    paper.fillStyle = ink.text;
    for (const block of blocks) {
      if (block.type === "client" && isSeen(block)) paper.fillText(cut(clientName(block.number), view.gutter - 16), 10, topOf(block) + ROW / 2);
    }
  });
  for (const block of blocks) {
    if (block.type === "client" || !isSeen(block)) continue;
    if (block.type === "bands") {
      paper.fillStyle = ink.muted;
      paper.fillText(cut("faults, events", view.gutter - 16), 10, topOf(block) + BAND / 2);
    } else {
      paper.fillStyle = ink.text;
      paper.font = ink.bold;
      paper.fillText(cut(lanes[block.number].name, view.gutter - 16), 10, topOf(block) + STATE / 2 + 0.5);
      paper.font = ink.font;
    }
  }
  if (pinned > AXIS_HEIGHT) {
    paper.fillStyle = ink.edge;
    paper.fillRect(0, pinned - 1, view.width, 1);
  }
}

function drawAxis({ marks, step }) {
  paper.fillStyle = ink.panel;
  paper.fillRect(0, 0, view.width, AXIS_HEIGHT);
  paper.fillStyle = ink.line;
  paper.fillRect(0, AXIS_HEIGHT - 1, view.width, 1);
  paper.fillStyle = ink.muted;
  paper.fillText(axis.byTime ? "time" : "order", 10, AXIS_HEIGHT / 2);
  for (const { x, value } of marks) {
    paper.fillStyle = ink.line;
    paper.fillRect(Math.round(x), AXIS_HEIGHT - 6, 1, 6);
    paper.fillStyle = ink.muted;
    const text = axis.byTime ? timeText(value, step) : stampText(Math.round(value));
    if (x + 4 + paper.measureText(text).width < view.width) paper.fillText(text, x + 4, AXIS_HEIGHT / 2);
  }
}

// ticksOf returns round values at least 90 pixels apart.
function ticksOf(from, to, width) {
  const least = ((to - from) * 90) / width, power = 10 ** Math.floor(Math.log10(least));
  let step = [1, 2, 5, 10].map((n) => n * power).find((s) => s >= least);
  if (!axis.byTime) step = Math.max(1, Math.round(step));
  const marks = [];
  for (let n = Math.ceil(from / step); n * step <= to; n++) marks.push({ value: n * step, x: xOf(n * step) });
  return { marks, step };
}

// The overview is painted once and reused; the visible range is drawn over it.
let overviewGround = null;

function drawOverview() {
  const width = overview.parentElement.clientWidth, height = 44;
  if (!overviewGround || overviewGround.forWidth !== width) overviewGround = paintOverview(width, height);
  sizeCanvas(overview, overviewPaper, width, height);
  overviewPaper.drawImage(overviewGround.canvas, 0, 0, width, height);
  const span = axis.to - axis.from;
  const left = ((view.from - axis.from) / span) * width, right = Math.max(left + 4, ((view.to - axis.from) / span) * width);
  overviewPaper.fillStyle = ink.surface;
  overviewPaper.globalAlpha = 0.62;
  overviewPaper.fillRect(0, 0, left, height);
  overviewPaper.fillRect(right, 0, width - right, height);
  overviewPaper.globalAlpha = 1;
  if (view.to - view.from > span * 0.999) return;
  overviewPaper.strokeStyle = ink.select;
  overviewPaper.lineWidth = 2;
  overviewPaper.strokeRect(Math.max(1, left), 1, Math.min(width - 2, right - left), height - 2);
}

// paintOverview shows how many operations began at each time, by kind, and where
// the contradictions are.
function paintOverview(width, height) {
  const tile = document.createElement("canvas"), p = tile.getContext("2d");
  sizeCanvas(tile, p, width, height);
  p.fillStyle = ink.panel;
  p.fillRect(0, 0, width, height);
  const span = axis.to - axis.from, xIn = (position) => ((position - axis.from) / span) * width;
  p.globalAlpha = 0.14;
  for (const kind of bandKinds) {
    p.fillStyle = bandColour(kind);
    for (const [from, to] of unionOf(kind)) p.fillRect(xIn(from), 0, Math.max(1, xIn(to) - xIn(from)), height);
  }
  p.globalAlpha = 1;
  const columns = Math.max(1, Math.floor(width / 2)), kinds = recorded.kinds.length;
  const dense = new Float64Array(columns * kinds), sums = new Float64Array(columns);
  for (let i = 0; i < count; i++) {
    if (!view.shown[i]) continue;
    const column = Math.min(columns - 1, Math.max(0, Math.floor(((axis.start[i] - axis.from) / span) * columns)));
    dense[column * kinds + ops.kind[i]]++;
    sums[column]++;
  }
  const most = Math.max(1, ...sums);
  for (let column = 0; column < columns; column++) {
    let y = height;
    for (let kind = 0; kind < kinds; kind++) {
      const tall = (dense[column * kinds + kind] / most) * (height - 12);
      p.fillStyle = ink.kinds[kind] || ink.muted;
      p.fillRect(column * 2, y - tall, 2, tall);
      y -= tall;
    }
  }
  for (const failure of content.failures) {
    for (const i of failure.core) {
      const x = xIn(axis.start[i]);
      p.fillStyle = ink.mark;
      p.fillRect(x - 0.75, 6, 1.5, height);
      p.beginPath();
      p.moveTo(x, 9);
      p.lineTo(x - 5, 0);
      p.lineTo(x + 5, 0);
      p.fill();
    }
  }
  return { canvas: tile, forWidth: width };
}
