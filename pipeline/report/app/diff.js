"use strict";
// The page that compares two runs: routes and keys.
(() => {
  const main = document.getElementById("main");
  S2.skipLink(main);

  function show() {
    const held = S2.heldFocus(main);
    const state = Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] || ""));
    const target = S2.el("div", { className: "results" }, S2.note("Loading…"));
    main.replaceChildren(
      S2.el(
        "section",
        { className: "page" },
        S2.el("h1", { className: "away" }, "Comparison of two runs"),
        S2.diffFigures(state),
        S2.el("h2", {}, "Before and after"),
        S2.diffFilters(state),
        target,
      ),
    );
    const isHeld = S2.holdFocus(main, held);
    S2.diffList(target, state)
      .then(() => isHeld || S2.holdFocus(main, held, true))
      .catch((error) => target.replaceChildren(S2.note(error.message)));
  }

  function turn(by) {
    const { page, pages, state } = S2.pages || {};
    if (page + by >= 1 && page + by <= pages) S2.go("", { ...state, page: page + by });
  }
  const KEYS = {
    j: () => S2.moveFocus("article.row", 1),
    k: () => S2.moveFocus("article.row", -1),
    "[": () => turn(-1),
    "]": () => turn(1),
    "/": () => document.getElementById("search").focus(),
    s: S2.toggleSafeAreas,
  };
  document.addEventListener("keydown", (event) => {
    const work = !S2.ignoresKey(event) && KEYS[S2.keyOf(event)];
    if (!work) return;
    event.preventDefault();
    work();
  });

  async function start() {
    S2.run = await S2.need("diff");
    const [before, after] = [S2.run.old.slice(0, 8), S2.run.new.slice(0, 8)];
    document.title = `${before} → ${after}`;
    document
      .getElementById("bar")
      .append(
        S2.el(
          "span",
          { className: "brand" },
          "Run ",
          S2.el("b", {}, before),
          " → ",
          S2.el("b", {}, after),
        ),
      );
    window.addEventListener("hashchange", show);
    show();
  }
  start().catch((error) => main.replaceChildren(S2.note(error.message)));
})();
