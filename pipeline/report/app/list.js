"use strict";
// The list of photos: filters, search, pages.
(() => {
  const NEEDS = { review: 1, low: 2, fallback: 4, close: 8, error: 16 };
  const MARKS = { overridden: 1, skipped: 2, borders: 4, damaged: 8 };
  const ROWS = 24,
    GRID = 60; // photos on a page
  let whole; // promise of the whole index
  let listed = null; // {key, found}: the filters of the list that is shown, and a promise of its places

  S2.loadIndex = () => {
    whole ||= readIndex().catch((error) => {
      whole = null; // so that the next filter tries again
      throw error;
    });
    return whole;
  };
  async function readIndex() {
    const index = { uris: [], status: [], kind: [], needs: [], marks: [], crops: [] };
    for (let n = 0; n < S2.run.index_files; n++) {
      const part = await S2.need(`index/${S2.pad(n, 3)}`);
      for (const uri of part.uris) index.uris.push(part.prefix + uri);
      for (const name of ["status", "kind", "needs", "marks", "crops"])
        for (const value of part[name]) index[name].push(value);
    }
    return index;
  }

  // The places of the photos that match the filters in a state, in the gallery's order. They stay the same while
  // their pages and photos are looked at: on page 2 of "not yet" decided, what was decided on page 1 still counts.
  S2.listed = (state) => {
    const key = S2.route("", { ...state, page: undefined, mode: undefined });
    if (!listed || listed.key !== key) {
      const found = matching(state);
      found.catch(S2.forgetList); // so that the next one tries again
      listed = { key, found };
    }
    return listed.found;
  };
  S2.forgetList = () => {
    listed = null;
  };
  // The index of a photo in a list, or of the photo after it if the list does not have it.
  S2.indexOf = (found, place) => {
    let n = 0;
    while (n < found.length && found.at(n) < place) n++;
    return n;
  };
  const sizeOf = (state) => (state.mode === "grid" ? GRID : ROWS);
  S2.pageWith = async (place, state) => {
    const found = await S2.listed(state);
    const page = 1 + Math.floor(S2.indexOf(found, place) / sizeOf(state));
    return page > 1 ? page : undefined;
  };
  async function matching(state) {
    const total = S2.run.overview.photos;
    if (
      !["q", "status", "kind", "ratio", "verdict", "reason", "need", "mark", "decided"].some(
        (name) => state[name],
      )
    ) {
      return { length: total, at: (n) => n };
    }
    const { uris, status, kind, needs, marks, crops } = await S2.loadIndex();
    const tests = [];
    if (state.q) {
      const words = S2.searchable(state.q);
      tests.push((n) => S2.searchable(uris[n]).includes(words));
    }
    if (state.status === "not ok") tests.push((n) => S2.failed(S2.run.statuses[status[n]]));
    else if (state.status) equal(tests, status, S2.run.statuses.indexOf(state.status));
    if (state.kind) equal(tests, kind, S2.run.kinds.indexOf(state.kind));
    if (state.need) tests.push((n) => needs[n] & NEEDS[state.need] || (state.need === "any" && needs[n]));
    if (state.mark) tests.push((n) => marks[n] & MARKS[state.mark]);
    if (state.ratio || state.verdict || state.reason) tests.push(cropTest(state, crops));
    if (state.decided) tests.push((n) => Boolean(S2.review.of(uris[n])) === (state.decided === "yes"));
    const found = [];
    for (let n = 0; n < uris.length; n++) if (tests.every((test) => test(n))) found.push(n);
    return { length: found.length, at: (n) => found[n] };
  }
  function equal(tests, column, code) {
    tests.push((n) => column[n] === code);
  }
  // Verdict, reason and shape must match the same crop.
  function cropTest(state, crops) {
    const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const allowed = new Set();
    S2.run.pairs.forEach(([verdict, reason], n) => {
      const judged = verdict || "unjudged";
      if ((!state.verdict || judged === state.verdict) && (!state.reason || reason === state.reason))
        allowed.add(letters[n]);
    });
    const shape = S2.run.shapes.indexOf(state.ratio);
    if (state.ratio) return (n) => allowed.has(crops[n][shape]);
    return (n) => [...crops[n]].some((letter) => allowed.has(letter));
  }

  S2.photosPage = (state) => {
    const results = S2.el("div", { className: "results" });
    const title = S2.el("h1", { className: "away" }, "Photos");
    const page = S2.el("section", { className: "page photos" }, title, filterBar(state), results);
    fill(results, state).catch((error) => results.replaceChildren(S2.note(error.message)));
    return page;
  };

  function filterBar(state) {
    const go = (change) => S2.go("photos", { ...state, page: undefined, ...change });
    // No field if all photos have the same value; one mark is enough, as not all photos have it.
    const select = (label, name, options) =>
      options.length < (name === "mark" ? 1 : 2) && !state[name]
        ? null
        : S2.select(label, name, options, state[name], (value) => go({ [name]: value }));
    const unique = (place) => [...new Set(S2.run.pairs.map((pair) => pair[place]))].filter(Boolean).sort();
    const isUnjudged = S2.anyJudged() && S2.run.pairs.some(([verdict]) => !verdict);
    const marks = S2.run.special.filter(({ kind }) => kind === "mark").map(({ reason }) => reason);
    return S2.el(
      "form",
      { className: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      S2.search(state.q, (q) => S2.go("photos", { ...state, page: undefined, q }, Boolean(state.q))),
      select("needs", "need", needOptions()),
      select("status", "status", [
        ...named(S2.run.statuses),
        ...(S2.run.statuses.some(S2.failed) ? [["not ok", "any error"]] : []),
      ]),
      select("kind", "kind", named(S2.run.kinds)),
      select(
        "shape",
        "ratio",
        S2.run.shapes.map((shape) => [shape, shape]),
      ),
      select("verdict", "verdict", named([...unique(0), ...(isUnjudged ? ["unjudged"] : [])])),
      select("reason", "reason", named(unique(1))),
      select("rule", "mark", named(marks)),
      select("decided", "decided", [
        ["no", "not yet"],
        ["yes", "by you"],
      ]),
      S2.safeAreasButton(),
      modeButtons(state, go),
    );
  }
  const named = (names) =>
    names.filter((name) => name !== null && name !== undefined).map((name) => [name, S2.words(name)]);
  function needOptions() {
    // The verdict `review` gives two needs: low confidence as the only reason, and all other reasons.
    const isLow = ({ kind, reason }) => kind === "review" && reason === "low_confidence";
    const needs = new Set(S2.run.groups.map((group) => (isLow(group) ? "low" : group.kind)));
    const there = [
      ["review", "a guard is broken"],
      ["low", "low confidence"],
      ["fallback", "fallback"],
      ["error", "error"],
      ["close", "least sure"],
    ].filter(([name]) => needs.has(name));
    return needs.size ? [["any", "any need"], ...there] : [];
  }
  function modeButtons(state, go) {
    return S2.el(
      "span",
      { className: "modes", role: "group", "aria-label": "Layout" },
      [
        ["", "Rows", "All crops of each photo"],
        ["grid", "Grid", "One picture for each photo"],
      ].map(([mode, words, title]) =>
        S2.button(words, () => go({ mode }), {
          "aria-pressed": String((state.mode || "") === mode),
          title,
        }),
      ),
    );
  }

  async function fill(results, state) {
    results.replaceChildren(S2.note("Loading…"));
    const found = await S2.listed(state);
    if (!results.isConnected) return; // another page is shown by now
    const isGrid = state.mode === "grid";
    const size = sizeOf(state);
    const at = S2.pageOf(state, found.length, size);
    const first = (at.page - 1) * size;
    const places = [];
    for (let n = first; n < Math.min(found.length, first + size); n++) places.push(found.at(n));
    const records = await Promise.all(places.map(S2.photo));
    if (!results.isConnected) return;
    const draw = isGrid ? S2.photoCell : S2.photoRow;
    const total = S2.run.overview.photos;
    const all = S2.plural(total, "photo");
    const counted = found.length === total ? all : `${S2.count(found.length)} of ${all}`;
    results.replaceChildren(
      S2.el("div", { className: "counted" }, S2.el("span", {}, counted), pager(at, state)),
      found.length
        ? S2.el(
            "div",
            { className: isGrid ? "grid" : "rows" },
            records.map((record, n) => draw(record, places[n], state)),
          )
        : S2.note("No photo matches. ", S2.link("Show all", "#/photos")),
      ...(at.pages > 1 ? [S2.el("div", { className: "counted" }, S2.el("span"), pager(at, state))] : []),
    );
    S2.pages = { ...at, state };
    S2.say(at.pages > 1 ? `${counted}, page ${at.page} of ${at.pages}` : counted);
    S2.drawn();
    S2.mark("list");
  }

  function pager(at, state) {
    const turn = (page) => S2.go("photos", { ...state, page });
    const field = S2.el("input", {
      type: "number",
      min: 1,
      max: at.pages,
      value: at.page,
      onchange: (event) => turn(event.target.value),
    });
    return S2.pager(
      at,
      turn,
      S2.el("label", {}, S2.el("span", { className: "away" }, "Page"), field),
      S2.el("span", { className: "dim" }, `of ${S2.count(at.pages)}`),
    );
  }
})();
