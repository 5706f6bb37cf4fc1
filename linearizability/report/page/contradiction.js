
// element creates an element with attributes and children.
function element(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") e.className = value;
    else if (name === "click") e.addEventListener("click", value);
    else e.setAttribute(name, value);
  }
  e.append(...children);
  return e;
}

let failure = null; // the failure on display

function fillHeader() {
  const [kind, sign] = content.verdict === "linearizable" ? ["good", "✓"] : content.verdict === "undecided" ? ["open", "?"] : ["bad", "✕"];
  byId("verdict").classList.add(kind);
  byId("verdict").append(element("span", { "aria-hidden": "true" }, sign), content.verdict);
  byId("title").textContent = content.title;
  byId("why").textContent = content.why;
  for (const { Name, Value } of content.facts) {
    byId("facts").append(element("div", {}, element("dt", {}, Name), element("dd", {}, Value)));
  }
  byId("commands").hidden = content.commands.length === 0;
  for (const { What, Line } of content.commands) {
    const copy = element("button", { type: "button", "aria-label": "Copy: " + What }, "Copy");
    copy.addEventListener("click", () => copyText(Line, copy));
    byId("commands").querySelector("ul").append(element("li", {}, element("span", {}, What), element("code", { tabindex: "0" }, Line), copy));
  }
}

function copyText(text, button) {
  const confirm = (word) => {
    button.textContent = word;
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  if (!navigator.clipboard) return confirm("Copy it by hand");
  navigator.clipboard.writeText(text).then(() => confirm("Copied"), () => confirm("Copy it by hand"));
}

function fillFailures() {
  if (content.failures.length === 0) return;
  byId("contradiction").hidden = false;
  const choice = byId("failure");
  content.failures.forEach((f, n) => choice.append(element("option", { value: n }, keyName(f.key) + (f.verdict === "undecided" ? " (undecided)" : ""))));
  byId("failure-choice").hidden = content.failures.length === 1;
  choice.addEventListener("change", () => {
    showFailure(content.failures[choice.value]);
    jump();
  });
  byId("jump").addEventListener("click", () => { jump(); canvas.focus(); });
  byId("only-key").addEventListener("click", () => { onlyKey(failure.key); jump(); });
  showFailure(content.failures[0]);
}

function showFailure(f) {
  failure = f;
  byId("contradiction-title").textContent = f.verdict === "undecided" ? "Undecided" : "The contradiction";
  const more = content.failedKeys - content.failures.length;
  byId("numbers").textContent = (keyName(f.key) ? "key " + quote(keyName(f.key)) + " · " : "") + f.numbers + (f.confirmed ? " · confirmed by Porcupine" : "") +
    (more > 0 ? " · " + more + " more failing " + (more === 1 ? "key is" : "keys are") + " not on this page" : "");
  const sentences = f.sentences.map((s) => element("p", { class: "sentence" }, element("b", {}, (s.class ? s.class + " · " : "") + s.words), s.text));
  byId("sentences").replaceChildren(...sentences);
  fillTimeline(f);
  const list = f.core.concat(f.context);
  byId("jump").disabled = list.length === 0;
  fillPorcupine(f.porcupine);
}

// fillTimeline shows which operations overlap. It is not to scale.
function fillTimeline(f) {
  const rows = f.core.concat(f.context).sort((a, b) => a - b);
  const stamps = [...new Set(rows.flatMap((i) => (ops.ret[i] > 0 ? [ops.call[i], ops.ret[i]] : [ops.call[i]])))].sort((a, b) => a - b);
  const percent = (stamp) => (stamps.indexOf(stamp) / Math.max(1, stamps.length - 1)) * 97;
  byId("timeline").replaceChildren(...rows.map((i) => {
    const core = ops.mark[i] === CORE && f.core.includes(i);
    const open = outcomeOf(i) === UNKNOWN;
    const left = percent(ops.call[i]), right = open ? 100 : percent(ops.ret[i]);
    const bar = element("span", { class: open ? "bar open" : "bar" });
    bar.style.left = left + "%";
    bar.style.width = Math.max(1.5, right - left) + "%";
    bar.style.color = "var(--" + kindWord(ops.kind[i]) + ")";
    const row = element("button", { type: "button", class: core ? "core" : "", "data-operation": i },
      element("span", { class: "star", title: core ? "cannot be explained together with the other marked operations" : "" }, core ? "★" : ""),
      element("span", {}, clientName(ops.client[i])), element("span", { class: "track" }, bar),
      element("span", { class: "what", title: requestText(i) + " → " + answerText(i) }, requestText(i) + " → " + answerText(i)));
    row.addEventListener("click", () => { select(i); show([i, ...rows]); showRow(i); });
    return row;
  }));
  byId("timeline-note").textContent = rows.length === 0 ? "" :
    "No order explains all operations marked ★. The axis is the order of calls and returns, not to scale. An operation with an open end may take effect at any later time." + (f.left > 0 ? " Not shown: " + f.left + " more." : "");
}

const kindWord = (kind) => (kindNames.includes(recorded.kinds[kind]) ? recorded.kinds[kind] : "other-" + (kind % 2));

function fillPorcupine(p) {
  const box = byId("porcupine"), frame = byId("porcupine-frame");
  box.hidden = !p;
  frame.replaceChildren();
  if (!p) return;
  byId("porcupine-note").textContent = p.note;
  const open = () => {
    if (!box.open || !p.html || frame.firstChild) return;
    const inner = element("iframe", { sandbox: "allow-scripts", title: "Porcupine's drawing of key " + keyName(failure.key) });
    inner.srcdoc = p.html;
    frame.append(inner);
  };
  box.ontoggle = open;
  open();
}

function jump() {
  if (!failure || failure.core.concat(failure.context).length === 0) return;
  if (!ops.key.length || (view.filter.key >= 0 && view.filter.key !== failure.key)) onlyKey(-1);
  const core = failure.core.length > 0 ? failure.core : failure.context;
  const last = core[core.length - 1];
  show(core);
  select(last);
  showRow(last);
}
