"use strict";
// The list of changed photos: filters, search, pages.
(() => {
  const ROWS = 24; // photos on a page

  S2.diffFilters = (state) => {
    const go = (change) => S2.go("", { ...state, page: undefined, ...change });
    const select = (label, name, options) =>
      S2.select(label, name, options, state[name], (value) => go({ [name]: value }));
    return S2.el(
      "form",
      { className: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      S2.search(state.q, (q) => S2.go("", { ...state, page: undefined, q }, Boolean(state.q))),
      select(
        "change",
        "change",
        Object.entries(S2.changeWords).filter(([name]) => name !== "same" && S2.run.changes[name]),
      ),
      select(
        "shape",
        "ratio",
        S2.run.shapes.map((shape) => [shape, shape]),
      ),
      select(
        "errors",
        "error",
        Object.entries(S2.errorWords).filter(([name]) => Object.keys(S2.run.errors[name]).length),
      ),
      S2.safeAreasButton(),
    );
  };

  // Fill an element with the list page that the state selects.
  S2.diffList = async (target, state) => {
    const found = matching(await S2.need("index"), state);
    const at = S2.pageOf(state, found.length, ROWS);
    const records = await Promise.all(found.slice((at.page - 1) * ROWS, at.page * ROWS).map(S2.photo));
    if (!target.isConnected) return; // another list is shown by now
    const more = S2.run.changed > S2.run.shown ? `, the most changed of ${S2.count(S2.run.changed)}` : "";
    const pager = () =>
      S2.pager(at, (page) => S2.go("", { ...state, page }), `${at.page} of ${at.pages}`);
    S2.pages = { ...at, state };
    target.replaceChildren(
      S2.el(
        "div",
        { className: "counted" },
        S2.el("span", {}, S2.plural(found.length, "changed photo") + more),
        pager(),
      ),
      ...records.map((record) => S2.pairRow(record, state.ratio)),
      records.length ? "" : S2.run.shown ? S2.note("No photo matches. ", S2.link("Show all", "#/")) : S2.note("No photo changed."),
      S2.el("div", { className: "counted" }, S2.el("span"), pager()),
    );
    S2.say(S2.plural(found.length, "changed photo") + (at.pages > 1 ? `, page ${at.page} of ${at.pages}` : ""));
    S2.mark("list");
  };
  // The places of the photos that match the filters.
  function matching(index, { q, change, ratio, error }) {
    const words = S2.searchable(q || "");
    const pairFits = ([shape, what]) =>
      (!ratio || shape === ratio) && (change ? what === change : what !== "same");
    return [...index.uri.keys()].filter(
      (n) =>
        (!words || S2.searchable(index.uri[n]).includes(words)) &&
        (!error || index.error[n] === error) &&
        (!(change || ratio) || index.shapes[n].some(pairFits)),
    );
  }
})();
