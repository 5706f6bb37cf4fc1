
function onlyKey(key) {
  view.filter.key = key;
  byId("search").value = key < 0 ? "" : keyName(key);
  if (key >= 0) showPartitionOf(key);
  filterChanged();
}

function showPartitionOf(key) {
  const partition = annotations.places[key];
  if (partition === undefined || !partitionNumber.has(partition) || view.partition === partition) return;
  view.partition = byId("partition").value = partition;
  layOut();
}

function filterChanged() {
  overviewGround = null;
  const left = applyFilter();
  byId("clear").disabled = !view.filtered;
  if (view.selected >= 0) describeOperation(view.selected);
  const missing = content.operations - count;
  byId("shown").textContent = (left === count ? count.toLocaleString("en") + " operations" : left.toLocaleString("en") + " of " + count.toLocaleString("en") + " operations") +
    (missing > 0 ? "; " + missing.toLocaleString("en") + " more, farther from the contradiction, are left out" : "") +
    (annotations.left > 0 ? "; " + annotations.left.toLocaleString("en") + " node states and bands are left out" : "");
}

function fillFilters() {
  const client = byId("client");
  client.append(element("option", { value: -1 }, "all"));
  recorded.clients.forEach((name, c) => client.append(element("option", { value: c }, String(name))));
  client.addEventListener("change", () => { view.filter.client = Number(client.value); filterChanged(); });
  byId("partition-choice").hidden = partitions.length < 2;
  byId("partition").append(element("option", { value: "" }, "all partitions"), ...partitions.map((p) => element("option", { value: p }, "partition " + p)));
  byId("partition").addEventListener("change", () => { view.partition = byId("partition").value; layOut(); clampScroll(); redraw(); });
  byId("axis-choice").hidden = !recorded.hasTimes;
  byId("axis").addEventListener("change", () => changeAxis(byId("axis").value === "time"));
  byId("clear").addEventListener("click", clearFilters);
  fillLegend();
  fillSearch();
}

// changeAxis keeps the selection in view.
function changeAxis(byTime) {
  setAxis(byTime);
  overviewGround = null;
  layOut();
  if (view.selected >= 0 && ops.mark[view.selected] === CORE) show(failure.core);
  else fit();
  if (view.selected >= 0) showRow(view.selected);
}

function clearFilters() {
  view.filter = { key: -1, client: -1, kinds: null, outcomes: null };
  byId("search").value = "";
  byId("client").value = -1;
  for (const button of byId("legend").querySelectorAll("button")) button.setAttribute("aria-pressed", "true");
  filterChanged();
}

// fillLegend makes the legend, whose buttons also filter by kind and by outcome.
function fillLegend() {
  const legend = byId("legend");
  const present = (column) => {
    const seen = new Set();
    for (let i = 0; i < count; i++) seen.add(column(i));
    return [...seen].sort();
  };
  const kinds = present((i) => ops.kind[i]), outcomes = present(outcomeOf);
  const chips = (numbers, name, filter, swatch) => {
    const left = new Set(numbers);
    return numbers.map((n) => {
      const button = element("button", { type: "button", "aria-pressed": "true", title: "Show or hide these operations" }, swatch(n), name(n));
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(on));
        if (view.filter[filter] === null) numbers.forEach((m) => left.add(m));
        if (on) left.add(n); else left.delete(n);
        view.filter[filter] = left.size === numbers.length ? null : left;
        filterChanged();
      });
      return button;
    });
  };
  legend.append(...chips(kinds, (k) => recorded.kinds[k], "kinds", (k) => {
    const swatch = element("span", { class: "swatch" });
    swatch.style.color = "var(--" + kindWord(k) + ")";
    return swatch;
  }));
  legend.append(element("span", { class: "rule" }));
  legend.append(...chips(outcomes, (o) => recorded.outcomes[o], "outcomes", (o) => element("span", { class: "swatch " + recorded.outcomes[o] })));
  const item = (kind, text, colour) => {
    const swatch = element("span", { class: "swatch " + kind });
    if (colour) swatch.style.color = colour;
    legend.append(element("span", { class: "item" }, swatch, text));
  };
  legend.append(element("span", { class: "rule" }));
  if (content.failures.some((f) => f.core.length > 0)) item("mark", "contradiction");
  for (const state of ["up", "down", "paused", "primary"]) {
    if (annotations.spans.some((s) => s[1] === state)) item(state, state === "primary" ? "primary, by epoch" : state);
  }
  for (const kind of bandKinds) {
    item("band", kind, kind === "fault" || kind === "zookeeper" ? "var(--" + kind + ")" : "var(--other)");
  }
}

// The search suggests keys that failed, then keys that begin with the text, then
// keys that contain it.
const maxSuggestions = 40;
const keyCounts = new Uint32Array(recorded.keys.length);
for (let i = 0; i < count; i++) keyCounts[ops.key[i]]++;
const failedKeys = new Set(content.failures.map((f) => f.key));
const lowerKeys = recorded.keys.map((key) => key.toLowerCase());

function suggest(text) {
  const begin = [], hold = [], wanted = text.trim().toLowerCase();
  for (const key of failedKeys) if (lowerKeys[key].includes(wanted)) begin.push(key);
  for (let key = 0; key < lowerKeys.length && begin.length < maxSuggestions; key++) {
    if (failedKeys.has(key)) continue;
    const at = lowerKeys[key].indexOf(wanted);
    if (at === 0) begin.push(key);
    else if (at > 0 && hold.length < maxSuggestions) hold.push(key);
  }
  const exactly = lowerKeys.indexOf(wanted);
  const list = begin.concat(hold).slice(0, maxSuggestions);
  return exactly < 0 ? list : [exactly, ...list.filter((key) => key !== exactly)];
}

function fillSearch() {
  const input = byId("search"), list = byId("suggestions");
  let keys = [], chosen = -1;
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const mark = () => {
    [...list.children].forEach((li, n) => li.setAttribute("aria-selected", String(n === chosen)));
    const li = list.children[chosen];
    if (!li) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", li.id);
    li.scrollIntoView({ block: "nearest" });
  };
  const take = (key) => { onlyKey(key); close(); };
  const open = () => {
    keys = suggest(input.value);
    chosen = input.value && keys.length > 0 ? 0 : -1;
    list.replaceChildren(...keys.map((key, n) => {
      const li = element("li", { role: "option", id: "suggestion-" + n }, element("span", { class: failedKeys.has(key) ? "failed" : "" }, keyName(key)),
        element("span", { class: "count" }, (failedKeys.has(key) ? "failed · " : "") + keyCounts[key].toLocaleString("en")));
      li.addEventListener("pointerdown", (e) => { e.preventDefault(); take(key); });
      return li;
    }));
    list.hidden = keys.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark();
  };
  input.addEventListener("input", () => {
    if (input.value === "" && view.filter.key >= 0) onlyKey(-1);
    open();
  });
  input.addEventListener("focus", open);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      if (list.hidden) open();
      chosen = Math.max(0, Math.min(keys.length - 1, chosen + (e.key === "ArrowDown" ? 1 : -1)));
      mark();
      e.preventDefault();
    } else if (e.key === "Enter" && chosen >= 0) take(keys[chosen]);
    else if (e.key === "Escape") close();
  });
}
