(() => {
"use strict";

// The content of the page, as page.go writes it.
const content = JSON.parse(document.getElementById("content").textContent);
const recorded = content.history;
const annotations = content.scene; // "scene" is their name in the format
const count = recorded.count;

const byId = (id) => document.getElementById(id);

// A column holds one varint for each operation, seven bits to a byte.
function decodeColumn(name, use) {
  const text = atob(recorded.columns[name] || "");
  let at = 0;
  for (let i = 0; i < count; i++) {
    let value = 0, unit = 1, byte;
    do {
      byte = text.charCodeAt(at++);
      value += (byte & 127) * unit;
      unit *= 128;
    } while (byte > 127);
    use(i, value);
  }
}

const unsigned = (n) => (n % 2 === 0 ? n / 2 : -(n + 1) / 2);

function numbers(name, Type) {
  const column = new Type(count);
  decodeColumn(name, (i, n) => { column[i] = n; });
  return column;
}

// A sparse column holds 0 for no number, else the difference from the previous one.
function sparse(name) {
  const column = new Float64Array(count);
  let last = 0;
  decodeColumn(name, (i, n) => {
    if (n > 0) column[i] = last += unsigned(n - 1);
  });
  return column;
}

// The operations in call order. Stamps and times are relative to their base.
const ops = {
  call: new Float64Array(count),
  ret: new Float64Array(count), // 0: never returned
  callTime: new Float64Array(count),
  returnTime: new Float64Array(count),
  client: numbers("client", Uint32Array),
  key: numbers("key", Uint32Array),
  node: numbers("node", Uint32Array), // 0: no node; else its number plus one
  kind: numbers("kind", Uint8Array),
  flags: numbers("flags", Uint8Array),
  value: numbers("value", Uint32Array),
  met: numbers("met", Uint32Array),
  ifValue: numbers("ifValue", Uint32Array),
  version: sparse("version"),
  index: sparse("index"),
  ifMatch: sparse("ifMatch"),
  mark: new Uint8Array(count), // part of a contradiction: CORE or CONTEXT
};

const UNKNOWN = 0, OK = 1, REFUSED = 2;
const FOUND = 4, CONDITION_FAILED = 8, IF_ABSENT = 16, OBSERVES = 32, UNREPORTED = 64;
const CONTEXT = 1, CORE = 2;
const PUT = recorded.kinds.indexOf("put");

const outcomeOf = (i) => ops.flags[i] & 3;

// A call is encoded as its distance from the previous call, a return as its distance from its call.
(() => {
  let stamp = 0;
  decodeColumn("call", (i, n) => { ops.call[i] = stamp += n; });
  decodeColumn("return", (i, n) => { ops.ret[i] = n > 0 ? ops.call[i] + n : 0; });
  if (!recorded.hasTimes) return;
  let time = 0;
  decodeColumn("callTime", (i, n) => { ops.callTime[i] = time += unsigned(n); });
  decodeColumn("took", (i, n) => { ops.returnTime[i] = ops.callTime[i] + unsigned(n); });
})();
for (const failure of content.failures) {
  for (const i of failure.context) ops.mark[i] = CONTEXT;
}
for (const failure of content.failures) {
  for (const i of failure.core) ops.mark[i] = CORE;
}

// writers finds the put that wrote the value in an answer.
const writers = new Map();
const writerKey = (key, value) => key * 2 ** 24 + value; // a page holds fewer values
for (let i = 0; i < count; i++) {
  if (ops.value[i] > 0 && ops.kind[i] === PUT) writers.set(writerKey(ops.key[i], ops.value[i]), i);
}
const writerOf = (i) => {
  if (ops.met[i] === 0) return -1;
  const writer = writers.get(writerKey(ops.key[i], ops.met[i]));
  return writer === undefined ? -1 : writer;
};

// exact returns a number in full: those that a JavaScript number cannot hold are
// stored beside the columns.
const exact = (column, i) => recorded.exact[column + ":" + i] || String(ops[column][i]);
const stampText = (stamp) => (BigInt(recorded.stampBase) + BigInt(stamp)).toString();

const clientName = (c) => "client " + recorded.clients[c];
const keyName = (k) => recorded.keys[k];
const quote = (text) => (text.startsWith('"') ? text : '"' + text + '"');

// timeText formats nanoseconds; step is the smallest difference that must show.
function timeText(ns, step) {
  const size = Math.abs(ns), fine = step || size / 1e4 || 1;
  const units = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const [unit, name] = units.find(([u]) => Math.max(size, fine) >= u) || units[3];
  const digits = Math.max(0, Math.min(9, Math.ceil(-Math.log10(fine / unit) - 1e-9)));
  return (ns / unit).toFixed(digits) + " " + name;
}

// short abbreviates a text.
const short = (text) => (text.length > 24 ? text.slice(0, 20) + "…" : text);

// requestText says what an operation asked for, answerText what it was answered.
function requestText(i) {
  let text = recorded.kinds[ops.kind[i]];
  if (ops.value[i] > 0) text += " " + quote(short(recorded.values[ops.value[i] - 1]));
  const condition = conditionText(i);
  return condition ? text + " " + condition : text;
}

function conditionText(i) {
  if (ops.ifMatch[i] > 0) return "if version " + exact("ifMatch", i);
  if (ops.ifValue[i] > 0) return "if " + quote(short(recorded.values[ops.ifValue[i] - 1]));
  return ops.flags[i] & IF_ABSENT ? "if absent" : "";
}

function answerText(i) {
  const flags = ops.flags[i];
  if (outcomeOf(i) !== OK) return recorded.outcomes[outcomeOf(i)];
  const version = ops.version[i] > 0 ? " v" + exact("version", i) : "";
  if (!(flags & OBSERVES)) return "ok" + version;
  const failed = flags & CONDITION_FAILED ? "condition failed, " : "";
  if (flags & UNREPORTED) return "condition failed";
  if (!(flags & FOUND)) return failed + "absent";
  const value = ops.met[i] > 0 ? quote(short(recorded.values[ops.met[i] - 1])) : "existed";
  return failed + value + version;
}

const summaryOf = (i) => clientName(ops.client[i]) + ": " + requestText(i) + " → " + answerText(i);
