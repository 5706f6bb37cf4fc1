
// The axis: the positions of operations and annotations, by time or by order.
const axis = {
  byTime: recorded.hasTimes,
  from: 0,
  to: 1,
  start: new Float64Array(count),
  end: new Float64Array(count),
  spans: [], // [from, to] of each span
  bands: [],
};

// firstNotBelow returns the first place in an ascending column whose value is not
// below the given one.
function firstNotBelow(column, value, low = 0, high = column.length) {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (column[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// events holds all calls and returns by stamp, with times that never decrease: the
// drawing must be in order even where a clock went backwards.
const events = (() => {
  const stamps = new Float64Array(count + ops.ret.reduce((n, r) => n + (r > 0), 0));
  let n = 0;
  for (let i = 0; i < count; i++) {
    stamps[n++] = ops.call[i];
    if (ops.ret[i] > 0) stamps[n++] = ops.ret[i];
  }
  stamps.sort();
  const times = new Float64Array(n);
  const timeAt = (stamp) => times[firstNotBelow(stamps, stamp)];
  if (recorded.hasTimes) {
    for (let i = 0; i < count; i++) {
      times[firstNotBelow(stamps, ops.call[i])] = ops.callTime[i];
      if (ops.ret[i] > 0) times[firstNotBelow(stamps, ops.ret[i])] = ops.returnTime[i];
    }
    for (let i = 1; i < n; i++) times[i] = Math.max(times[i], times[i - 1]);
  }
  return { stamps, times, timeAt };
})();

// orderOf converts the time of an annotation to a position among the stamps.
function orderOf(time) {
  const { stamps, times } = events;
  if (stamps.length === 0) return time;
  const at = firstNotBelow(times, time);
  if (at === stamps.length) return stamps[at - 1] + 1;
  if (at === 0 || times[at] === time) return stamps[at];
  const share = (time - times[at - 1]) / (times[at] - times[at - 1]);
  return stamps[at - 1] + share * (stamps[at] - stamps[at - 1]);
}

function setAxis(byTime) {
  axis.byTime = byTime && recorded.hasTimes;
  const place = axis.byTime || !recorded.hasTimes ? (t) => t : orderOf;
  axis.spans = annotations.spans.map((s) => [place(s[4]), place(s[5])]);
  axis.bands = annotations.bands.map((b) => [place(b[2]), place(b[3])]);
  let from = Infinity, to = -Infinity;
  for (let i = 0; i < count; i++) {
    axis.start[i] = axis.byTime ? events.timeAt(ops.call[i]) : ops.call[i];
    axis.end[i] = ops.ret[i] === 0 ? -1 : axis.byTime ? events.timeAt(ops.ret[i]) : ops.ret[i];
    from = Math.min(from, axis.start[i]);
    to = Math.max(to, axis.start[i], axis.end[i]);
  }
  for (const [a, b] of axis.spans.concat(axis.bands)) {
    from = Math.min(from, a);
    to = Math.max(to, b);
  }
  if (!(to > from)) [from, to] = [Number.isFinite(from) ? from : 0, (Number.isFinite(from) ? from : 0) + 1];
  const margin = (to - from) * 0.01;
  axis.from = from - margin;
  axis.to = to + margin;
  endOpenOperations(to + margin / 2);
}

// An operation that never returned is drawn up to the next call of its client.
function endOpenOperations(last) {
  const next = new Float64Array(recorded.clients.length).fill(last);
  for (let i = count - 1; i >= 0; i--) {
    if (ops.ret[i] === 0) axis.end[i] = Math.max(axis.start[i], next[ops.client[i]]);
    next[ops.client[i]] = axis.start[i];
  }
}

// A client has as many rows as it has operations that overlap. Beyond maxLevels
// they are drawn over each other.
const maxLevels = 64;
const clientRows = recorded.clients.map(() => []); // by client: its levels, each with its operations in call order
const levelOf = new Uint8Array(count);

(() => {
  const free = recorded.clients.map(() => []); // by client and level: the stamp from which the level is free
  for (let i = 0; i < count; i++) {
    const levels = free[ops.client[i]];
    let level = levels.findIndex((stamp) => stamp < ops.call[i]);
    if (level < 0) level = Math.min(levels.length, maxLevels - 1);
    levels[level] = Math.max(levels[level] || 0, ops.ret[i]);
    levelOf[i] = level;
    (clientRows[ops.client[i]][level] ||= []).push(i);
  }
  for (const levels of clientRows) {
    for (let l = 0; l < levels.length; l++) levels[l] = Uint32Array.from(levels[l]);
  }
})();

// pack assigns overlapping intervals to different lines.
function pack(intervals, most) {
  const ends = [];
  return intervals.map(([from, to]) => {
    let line = ends.findIndex((end) => end < from);
    if (line < 0) line = Math.min(ends.length, most - 1);
    ends[line] = Math.max(ends[line] || 0, to);
    return line;
  });
}

// The annotations by lane. Each partition has a thin line in its lane; if only one
// is shown, a thick one.
const lanes = annotations.lanes.map((name) => ({ name, states: [], reigns: [] }));
const partitions = [];
annotations.spans.forEach((span, i) => {
  const lane = lanes[span[0]];
  if (span[1] !== "primary") lane.states.push(i);
  else {
    lane.reigns.push(i);
    if (!partitions.includes(span[2])) partitions.push(span[2]);
  }
});
partitions.sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
const partitionNumber = new Map(partitions.map((name, i) => [name, i]));
