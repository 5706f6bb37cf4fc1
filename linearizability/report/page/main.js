
// Input: pointer, wheel and keys.
function watchPointer() {
  const fingers = new Map();
  let dragged = 0, pinch = 0;
  const inside = (e) => {
    const box = canvas.getBoundingClientRect();
    return { x: e.clientX - box.left, y: e.clientY - box.top };
  };
  const apart = () => {
    const [a, b] = [...fingers.values()];
    return Math.max(10, Math.hypot(a.x - b.x, a.y - b.y));
  };
  canvas.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    canvas.setPointerCapture(e.pointerId);
    fingers.set(e.pointerId, inside(e));
    if (fingers.size === 1) dragged = 0;
    if (fingers.size === 2) pinch = apart();
  });
  canvas.addEventListener("pointermove", (e) => {
    const at = inside(e), before = fingers.get(e.pointerId);
    if (!before) return hover(at, e);
    fingers.set(e.pointerId, at);
    if (fingers.size === 2) {
      const [a, b] = [...fingers.values()];
      zoom(pinch / apart(), (a.x + b.x) / 2);
      pinch = apart();
      dragged = 100;
      return;
    }
    dragged += Math.abs(at.x - before.x) + Math.abs(at.y - before.y);
    if (dragged < 4) return;
    canvas.classList.add("dragging");
    showTip("");
    pan((before.x - at.x) / plotWidth());
    scrollRows(before.y - at.y);
  });
  const lift = (e) => {
    const was = fingers.delete(e.pointerId);
    canvas.classList.remove("dragging");
    if (was && fingers.size === 0 && dragged < 4 && e.type === "pointerup") click(inside(e));
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => showTip(""));
  canvas.addEventListener("dblclick", (e) => zoom(0.4, inside(e).x));
  canvas.addEventListener("wheel", (e) => {
    e.preventDefault();
    const unit = e.deltaMode === 1 ? 18 : 1;
    if (e.shiftKey) return scrollRows((e.deltaY || e.deltaX) * unit);
    if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) return pan((e.deltaX * unit) / plotWidth());
    zoom(Math.exp(Math.max(-1, Math.min(1, e.deltaY * unit * (e.ctrlKey ? 0.01 : 0.0022)))), inside(e).x);
  }, { passive: false });
}

function hover({ x, y }, e) {
  const i = operationAt(x, y), marker = i < 0 ? markerAt(x, y) : null;
  canvas.classList.toggle("over", i >= 0 || marker !== null);
  showTip(i >= 0 ? summaryOf(i) : marker ? markerText(marker) : "", e.clientX, e.clientY);
}

function click({ x, y }) {
  const i = operationAt(x, y);
  if (i >= 0) return select(i);
  const marker = markerAt(x, y);
  if (marker) selectMarker(marker);
  else select(-1);
}

function watchOverview() {
  const box = overview.parentElement;
  const move = (e) => {
    const rect = box.getBoundingClientRect();
    const middle = axis.from + ((e.clientX - rect.left) / rect.width) * (axis.to - axis.from), half = (view.to - view.from) / 2;
    setView(middle - half, middle + half);
  };
  box.addEventListener("pointerdown", (e) => { box.setPointerCapture(e.pointerId); move(e); });
  box.addEventListener("pointermove", (e) => { if (e.buttons & 1) move(e); });
}

function watchKeys() {
  const acts = {
    ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2),
    ArrowUp: () => scrollRows(-3 * ROW), ArrowDown: () => scrollRows(3 * ROW),
    PageUp: () => scrollRows(AXIS_HEIGHT - view.height), PageDown: () => scrollRows(view.height - AXIS_HEIGHT),
    Home: () => setView(axis.from, axis.from + view.to - view.from), End: () => setView(axis.to - view.to + view.from, axis.to),
    "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), 0: fit,
    n: () => step(1), p: () => step(-1), c: jump, Escape: () => select(-1),
  };
  canvas.addEventListener("keydown", (e) => {
    const act = acts[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!act || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    act();
  });
  byId("zoom-in").addEventListener("click", () => zoom(0.5));
  byId("zoom-out").addEventListener("click", () => zoom(2));
  byId("fit").addEventListener("click", fit);
}

function watchTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const repaint = () => {
    readColours();
    overviewGround = null;
    redraw();
  };
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement, now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    repaint();
  });
  dark.addEventListener("change", repaint);
}

function resize() {
  view.width = scroller.clientWidth;
  view.height = scroller.clientHeight;
  view.gutter = view.width < 620 ? 84 : 118;
  overviewGround = null;
  pin();
  clampScroll();
  redraw();
}

function begin() {
  fillHeader();
  readColours();
  setAxis(true);
  fillFilters();
  describeNothing();
  filterChanged();
  fillFailures();
  watchPointer();
  watchOverview();
  watchKeys();
  watchTheme();
  resize();
  fit();
  new ResizeObserver(resize).observe(scroller);
  scroller.addEventListener("scroll", () => { view.scroll = scroller.scrollTop; redraw(); });
  if (failure && failure.core.length > 0) {
    select(failure.core[failure.core.length - 1]);
    showRow(view.selected);
  }
  // The browser tests read this.
  globalThis.report = {
    view, axis, drawTimes, operations: count,
    placeOf: (i) => ({ x: xOf(axis.start[i]), y: pointOf(i).y, width: xOf(axis.end[i]) - xOf(axis.start[i]) }),
    marked: () => (failure ? failure.core : []),
  };
}

begin();
})();
