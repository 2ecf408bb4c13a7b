"use strict";
// The page of two runs: figures by slice, filters, the list.
(() => {
  const ROWS = 24;
  const main = document.getElementById("main");
  let state = {};
  S2.skipLink(main);

  const go = (change) => {
    const query = new URLSearchParams(Object.entries({ ...state, ...change }).filter(([, value]) => value));
    location.hash = `#/${query.size ? `?${query}` : ""}`;
  };

  function landing() {
    const { changes, overlap, confidence, errors, verdicts } = S2.run;
    const figure = (value, words, kind, filter) =>
      S2.el(
        filter && value ? "a" : "div",
        {
          className: `figure ${value ? kind || "" : ""}`,
          href: filter && value ? `#/?${new URLSearchParams(filter)}` : undefined,
        },
        S2.el("b", {}, typeof value === "number" ? S2.count(value) : value),
        S2.el("span", {}, words),
      );
    const some = (value, ...more) => (value ? figure(value, ...more) : null);
    const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);
    const review = verdicts.review || [0, 0];
    return [
      S2.el(
        "div",
        { className: "figures" },
        figure(changes.moved, "crops moved", "", { change: "moved" }),
        overlap.mean === null ? null : figure(overlap.mean.toFixed(3), "mean overlap (IoU)"),
        some(overlap.below["0.5"], "overlap below .5"),
        some(changes["re-encoded"], "re-encoded, same box", "", { change: "re-encoded" }),
        some(changes["changed photo"], "crops of changed photos", "", { change: "changed photo" }),
        some(changes["only old"] + changes["only new"], "in one run only"),
        Object.keys(verdicts).length
          ? figure(
              `${S2.count(review[0])} → ${S2.count(review[1])}`,
              "crops to review",
              review[1] > review[0] ? "review" : "",
            )
          : null,
        confidence.delta === null
          ? null
          : figure(
              signed(confidence.delta),
              `mean change of confidence, ${S2.plural(confidence.both, "crop")} with one in both`,
            ),
        some(total(errors.new), "photos fail since", "error", { error: "new" }),
        some(total(errors.gone), "fail no more", "", { error: "gone" }),
      ),
      S2.run.settings.length
        ? S2.el(
            "details",
            { className: "facts" },
            S2.el("summary", {}, S2.plural(S2.run.settings.length, "difference"), " between the runs"),
            S2.el(
              "ul",
              {},
              S2.run.settings.map((line) => S2.el("li", {}, line)),
            ),
          )
        : null,
      S2.el(
        "div",
        { className: "plots slices" },
        S2.el(
          "figure",
          { className: "plotcard" },
          S2.el(
            "figcaption",
            {},
            S2.el("b", {}, "Overlap of before and after"),
            S2.el("span", { className: "dim" }, "IoU, all crops of unchanged photos"),
          ),
          S2.histogram("Overlap of the crops", { low: 0, high: 1, parts: [["plain", overlap.histogram]] }, [
            "0",
            "1",
          ]),
          reasonTable(),
        ),
        sliceCard(),
      ),
    ];
  }
  const signed = (number) => (number > 0 ? "+" : "") + number.toFixed(3);

  function reasonTable() {
    const rows = Object.entries(S2.run.reasons);
    if (!rows.length) return null;
    return S2.el(
      "table",
      { className: "numbers" },
      S2.el("thead", {}, tr("th", ["reason", "before", "after"])),
      S2.el(
        "tbody",
        {},
        rows.map(([name, [was, now]]) => tr("td", [S2.words(name), S2.count(was), S2.count(now)])),
      ),
    );
  }
  const tr = (tag, cells) =>
    S2.el(
      "tr",
      {},
      cells.map((cell) => S2.el(tag, {}, cell)),
    );

  function sliceCard() {
    const names = Object.keys(S2.run.slices);
    const chosen = names.includes(state.slice) ? state.slice : "shape";
    const rows = S2.run.slices[chosen];
    const number = (value, digits = 3) => (value === null ? "" : value.toFixed(digits));
    return S2.el(
      "figure",
      { className: "plotcard slicecard" },
      S2.el(
        "figcaption",
        {},
        S2.el("b", {}, "By"),
        S2.el(
          "div",
          { className: "buttons" },
          names.map((name) =>
            S2.button(name, () => go({ slice: name }), { "aria-pressed": String(name === chosen) }),
          ),
        ),
      ),
      S2.el(
        "div",
        { className: "wide" },
        S2.el(
          "table",
          { className: "numbers" },
          S2.el("thead", {}, tr("th", [chosen, "crops", "moved", "mean overlap", "mean change of confidence", "to review"])),
          S2.el(
            "tbody",
            {},
            rows.map((row) =>
              tr("td", [
                row.name,
                S2.count(row.crops),
                S2.percent(row.moved / row.crops),
                number(row.overlap),
                row.confidence_delta === null ? "" : signed(row.confidence_delta),
                `${S2.count(row.review_old)} → ${S2.count(row.review_new)}`,
              ]),
            ),
          ),
        ),
      ),
    );
  }

  // The list.
  function filters() {
    const select = (label, name, options) =>
      S2.el(
        "label",
        {},
        label,
        S2.el(
          "select",
          { name, onchange: (event) => go({ [name]: event.target.value, page: "" }) },
          S2.el("option", { value: "" }, "any"),
          options.map(([value, words]) => S2.el("option", { value, selected: state[name] === value }, words)),
        ),
      );
    return S2.el(
      "form",
      { className: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      S2.search(state.q, (q) => go({ q, page: "" })),
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
    );
  }
  async function list(target) {
    const index = await S2.need("index");
    const words = (state.q || "").toLowerCase();
    const pairFits = ([ratio, change]) =>
      (!state.ratio || ratio === state.ratio) && (state.change ? change === state.change : change !== "same");
    const found = [];
    index.uri.forEach((uri, n) => {
      if (words && !uri.toLowerCase().includes(words)) return;
      if (state.error && index.error[n] !== state.error) return;
      if ((state.change || state.ratio) && !index.shapes[n].some(pairFits)) return;
      found.push(n);
    });
    const pages = Math.max(1, Math.ceil(found.length / ROWS)),
      page = Math.min(pages, Math.max(1, Number(state.page) || 1));
    const records = await Promise.all(found.slice((page - 1) * ROWS, page * ROWS).map(S2.photo));
    const more = S2.run.changed > S2.run.shown ? `, the most changed of ${S2.count(S2.run.changed)}` : "";
    const pager = () =>
      pages === 1
        ? null
        : S2.el(
            "nav",
            { className: "pager", "aria-label": "Pages" },
            S2.button("‹", () => go({ page: page - 1 }), {
              disabled: page === 1,
              "aria-label": "Previous page",
              title: "[",
            }),
            `${page} of ${pages}`,
            S2.button("›", () => go({ page: page + 1 }), {
              disabled: page === pages,
              "aria-label": "Next page",
              title: "]",
            }),
          );
    S2.pages = { page, pages };
    target.replaceChildren(
      S2.el(
        "div",
        { className: "counted" },
        S2.el("span", {}, S2.plural(found.length, "changed photo") + more),
        pager(),
      ),
      ...records.map((record) => S2.pairRow(record, state.ratio)),
      records.length ? "" : S2.el("p", { className: "note" }, "No photo is like that."),
      S2.el("div", { className: "counted" }, S2.el("span"), pager() || ""),
    );
    S2.mark("list");
  }

  function show() {
    const query = location.hash.split("?")[1];
    const held = S2.heldFocus(main);
    state = Object.fromEntries(new URLSearchParams(query || ""));
    const target = S2.el(
      "div",
      { className: "results", "aria-live": "polite" },
      S2.el("p", { className: "note" }, "Loading…"),
    );
    main.replaceChildren(
      S2.el(
        "section",
        { className: "page" },
        landing(),
        S2.el("h2", {}, "Before and after"),
        filters(),
        target,
      ),
    );
    const isHeld = S2.holdFocus(main, held);
    list(target)
      .then(() => isHeld || S2.holdFocus(main, held, true))
      .catch((error) => target.replaceChildren(error.message));
  }
  document.addEventListener("keydown", (event) => {
    if (
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)
    )
      return;
    const rows = [...document.querySelectorAll("article.row")],
      here = rows.indexOf(document.activeElement.closest("article"));
    const { page, pages } = S2.pages || {};
    const work = {
      j: () => rows[Math.min(rows.length - 1, here + 1)]?.focus(),
      k: () => rows[Math.max(0, here - 1)]?.focus(),
      "[": () => page > 1 && go({ page: page - 1 }),
      "]": () => page < pages && go({ page: page + 1 }),
      "/": () => document.getElementById("search").focus(),
    }[event.key];
    if (!work) return;
    event.preventDefault();
    work();
  });
  S2.need("diff")
    .then((about) => {
      S2.run = about;
      document.title = `${about.old.slice(0, 8)} → ${about.new.slice(0, 8)}`;
      document
        .getElementById("bar")
        .append(
          S2.el(
            "span",
            { className: "brand" },
            "Run ",
            S2.el("b", {}, about.old.slice(0, 8)),
            " → ",
            S2.el("b", {}, about.new.slice(0, 8)),
          ),
        );
      window.addEventListener("hashchange", show);
      show();
    })
    .catch((error) => main.replaceChildren(S2.el("p", { className: "note" }, error.message)));
})();
