
// select selects an operation and shows its details; -1 clears the selection.
function select(i) {
  view.selected = i;
  view.marker = null;
  for (const row of byId("timeline").children) row.classList.toggle("selected", Number(row.dataset.operation) === i);
  if (i < 0) describeNothing();
  else describeOperation(i);
  if (i >= 0) showPartitionOf(ops.key[i]);
  redraw();
}

function describeNothing() {
  byId("details-title").textContent = "Nothing selected";
  byId("details-body").replaceChildren(element("p", { class: "muted" }, "Click an operation, a node's state or a fault to see its details."));
}

function fill(title, rows, ...more) {
  byId("details-title").textContent = title;
  const list = element("dl");
  for (const [name, value] of rows) {
    if (value === "" || value === undefined) continue;
    list.append(element("dt", {}, name), element("dd", {}, value));
  }
  byId("details-body").replaceChildren(...more.filter((m) => m.classList.contains("role")), list, ...more.filter((m) => !m.classList.contains("role")));
}

function describeOperation(i) {
  const flags = ops.flags[i], ok = outcomeOf(i) === OK, observes = ok && flags & OBSERVES;
  const value = (n) => (n > 0 ? recorded.values[n - 1] : "");
  const writer = writerOf(i);
  const rows = [
    ["kind", recorded.kinds[ops.kind[i]]],
    ["key", keyName(ops.key[i])],
    ["value", value(ops.value[i])],
    ["condition", conditionText(i)],
    ["outcome", recorded.outcomes[outcomeOf(i)]],
    ["answer", flags & CONDITION_FAILED ? "the condition failed" : ok && !observes ? "acknowledged" : ""],
    ["observed", observes && !(flags & UNREPORTED) ? (flags & FOUND ? value(ops.met[i]) || "an existing value" : "absent") : ""],
    ["written by", writer >= 0 && writer !== i ? operationLink(writer) : ""],
    ["version", ops.version[i] > 0 ? exact("version", i) : ""],
    ["log index", ops.index[i] > 0 ? exact("index", i) : ""],
    ["client", String(recorded.clients[ops.client[i]])],
    ["node", ops.node[i] > 0 ? recorded.nodes[ops.node[i] - 1] : ""],
    ["stamps", stampText(ops.call[i]) + (ops.ret[i] > 0 ? " – " + stampText(ops.ret[i]) : " (never returned)")],
    ...timeRows(i),
    ["partition", annotations.places[ops.key[i]]],
  ];
  const more = [];
  if (ops.mark[i] > 0) {
    more.push(element("p", { class: "role" }, ops.mark[i] === CORE ? "★ Part of the contradiction" : "Context of the contradiction"));
  }
  const only = view.filter.key === ops.key[i];
  more.push(element("div", { class: "buttons" },
    element("button", { type: "button", click: () => { onlyKey(only ? -1 : ops.key[i]); showRow(i); } }, only ? "All keys" : "Only this key"),
    element("button", { type: "button", click: () => step(-1) }, "Previous"),
    element("button", { type: "button", click: () => step(1) }, "Next")));
  fill(requestText(i) + " → " + answerText(i), rows, ...more);
}

function timeRows(i) {
  if (!recorded.hasTimes) return [];
  const rows = [["called at", timeText(ops.callTime[i], 1e3)]];
  if (ops.ret[i] > 0) {
    rows.push(["returned at", timeText(ops.returnTime[i], 1e3)], ["duration", timeText(ops.returnTime[i] - ops.callTime[i])]);
  }
  return rows;
}

function operationLink(i) {
  return element("button", { type: "button", class: "link", click: () => goTo(i) }, clientName(ops.client[i]) + ", " + requestText(i) + " at stamp " + stampText(ops.call[i]));
}

function goTo(i) {
  select(i);
  if (axis.start[i] < view.from || axis.start[i] > view.to) {
    const half = (view.to - view.from) / 2;
    setView(axis.start[i] - half, axis.start[i] + half);
  }
  showRow(i);
}

// step selects the next operation, in call order, that passes the filter.
function step(direction) {
  let i = view.selected;
  if (i < 0) {
    i = 0;
    while (i < count && axis.end[i] < view.from) i++;
    i -= direction > 0 ? 1 : 0;
  }
  for (i += direction; i >= 0 && i < count; i += direction) {
    if (view.shown[i]) return goTo(i);
  }
}

const momentText = (t) => (recorded.hasTimes ? timeText(t, 1e3) : stampText(t));

function selectMarker(marker) {
  view.selected = -1;
  view.marker = marker;
  if (marker.band !== undefined) {
    const [kind, label, from, to] = annotations.bands[marker.band];
    fill(label || kind, [["kind", kind], ["from", momentText(from)], ["to", momentText(to)], ["duration", recorded.hasTimes && to > from ? timeText(to - from) : ""]]);
  } else {
    const [lane, state, partition, epoch, from, to, label] = annotations.spans[marker.span];
    fill(lanes[lane].name + ": " + state, [["partition", partition], ["epoch", epoch === "0" ? "" : epoch], ["from", momentText(from)], ["to", momentText(to)],
      ["duration", recorded.hasTimes && to > from ? timeText(to - from) : ""], ["note", label]]);
  }
  redraw();
}

// showTip shows one line about what is under the pointer.
function showTip(text, x, y) {
  const tip = byId("tip");
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.width - 8)) + "px";
  tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18) + "px";
}

function markerText(marker) {
  if (marker.band !== undefined) {
    const [kind, label] = annotations.bands[marker.band];
    return label ? kind + ": " + label : kind;
  }
  const [lane, state, partition, epoch, , , label] = annotations.spans[marker.span];
  return lanes[lane].name + ": " + state + (state === "primary" ? " of partition " + partition + ", epoch " + epoch : "") + (label ? " (" + label + ")" : "");
}
