"use strict";
// The list of photos: filters, search, pages; rows with all crops, or a grid of one picture each.
(() => {
  const NEEDS = { review: 1, low: 2, fallback: 4, close: 8, error: 16 };
  const ROWS = 24, GRID = 60; // photos on a page
  const TALL = 116; // CSS pixels of a crop
  const index = { prefix: [], uris: [], status: [], kind: [], needs: [], crops: [] };
  let whole; // promise of the whole index

  S2.wholeIndex = () => {
    whole ||= (async () => {
      for (let n = 0; n < S2.run.index_files; n++) {
        const part = await S2.need(`index/${S2.pad(n, 3)}`);
        for (const uri of part.uris) index.uris.push(part.prefix + uri);
        for (const name of ["status", "kind", "needs", "crops"]) for (const value of part[name]) index[name].push(value);
      }
      return index;
    })();
    return whole;
  };

  // The places of the photos that a state of the filters asks for, in the gallery's order.
  S2.matching = async (state) => {
    const total = S2.run.overview.photos;
    if (!["q", "status", "kind", "ratio", "verdict", "reason", "need", "decided"].some((name) => state[name])) {
      return { length: total, at: (n) => n };
    }
    const { uris, status, kind, needs, crops } = await S2.wholeIndex();
    const tests = [];
    if (state.q) {
      const words = state.q.toLowerCase();
      tests.push((n) => uris[n].toLowerCase().includes(words));
    }
    if (state.status === "not ok") tests.push((n) => S2.run.statuses[status[n]] !== "ok");
    else if (state.status) equal(tests, status, S2.run.statuses.indexOf(state.status));
    if (state.kind) equal(tests, kind, S2.run.kinds.indexOf(state.kind));
    if (state.need) tests.push((n) => needs[n] & NEEDS[state.need] || (state.need === "any" && needs[n]));
    if (state.ratio || state.verdict || state.reason) tests.push(cropTest(state, crops));
    if (state.decided) tests.push((n) => Boolean(S2.review.of(uris[n])) === (state.decided === "yes"));
    const found = [];
    for (let n = 0; n < uris.length; n++) if (tests.every((test) => test(n))) found.push(n);
    return { length: found.length, at: (n) => found[n] };
  };
  function equal(tests, column, code) {
    tests.push((n) => column[n] === code);
  }
  // Verdict, reason and shape have to hold of one and the same crop.
  function cropTest(state, crops) {
    const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const allowed = new Set();
    S2.run.pairs.forEach(([verdict, reason], n) => {
      if ((!state.verdict || verdict === state.verdict) && (!state.reason || reason === state.reason)) allowed.add(letters[n]);
    });
    const shape = S2.run.shapes.indexOf(state.ratio);
    if (state.ratio) return (n) => allowed.has(crops[n][shape]);
    return (n) => [...crops[n]].some((letter) => allowed.has(letter));
  }

  S2.photosPage = (state) => {
    const results = S2.el("div", { className: "results", "aria-live": "polite" });
    const page = S2.el("section", { className: "page photos" }, filterBar(state), results);
    fill(results, state);
    return page;
  };

  function filterBar(state) {
    const go = (change) => S2.go("photos", { ...state, page: undefined, ...change });
    const select = (label, name, options) => options.length < 2 && !state[name] ? null : S2.el("label", {}, label,
      S2.el("select", { name, onchange: (event) => go({ [name]: event.target.value }) },
        S2.el("option", { value: "" }, "any"),
        options.map(([value, words]) => S2.el("option", { value, selected: state[name] === value }, words))));
    const named = (names) => names.filter((name) => name !== null && name !== undefined).map((name) => [name, S2.words(name)]);
    const unique = (place) => [...new Set(S2.run.pairs.map((pair) => pair[place]))].filter(Boolean).sort();
    const needs = new Set(S2.run.groups.map((group) => group.kind));
    let typing;
    return S2.el("form", { className: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      S2.el("label", { className: "search" }, S2.el("span", { className: "away" }, "Search in addresses"),
        S2.el("input", {
          type: "search", id: "search", placeholder: "Search in addresses  ( / )", value: state.q || "",
          oninput: (event) => {
            clearTimeout(typing);
            typing = setTimeout(() => go({ q: event.target.value }), 250);
          },
        })),
      select("needs", "need", [...(needs.size ? [["any", "any need"]] : []),
        ...[["review", "a guard is broken"], ["low", "low confidence"], ["fallback", "fallback"], ["error", "error"], ["close", "least sure"]]
          .filter(([name]) => needs.has(name) || name === "low" && needs.has("review"))]),
      select("status", "status", [...named(S2.run.statuses), ...(S2.run.statuses.length > 1 ? [["not ok", "any error"]] : [])]),
      select("kind", "kind", named(S2.run.kinds)),
      select("shape", "ratio", S2.run.shapes.map((shape) => [shape, shape])),
      select("verdict", "verdict", named(unique(0))),
      select("reason", "reason", named(unique(1))),
      select("decided", "decided", [["no", "not yet"], ["yes", "by you"]]),
      S2.el("span", { className: "modes", role: "group", "aria-label": "Layout" },
        [["", "Rows"], ["grid", "Grid"]].map(([mode, words]) => S2.button(words, () => go({ mode }), {
          "aria-pressed": String((state.mode || "") === mode), title: mode ? "One picture of each photo" : "All crops of each photo",
        }))));
  }

  async function fill(results, state) {
    results.replaceChildren(S2.el("p", { className: "note" }, "Loading…"));
    const found = await S2.matching(state);
    const size = state.mode === "grid" ? GRID : ROWS;
    const pages = Math.max(1, Math.ceil(found.length / size));
    const page = Math.min(pages, Math.max(1, Number(state.page) || 1));
    const places = [];
    for (let n = (page - 1) * size; n < Math.min(found.length, page * size); n++) places.push(found.at(n));
    S2.shown = { found, state, first: (page - 1) * size };
    const records = await Promise.all(places.map(S2.photo));
    const draw = state.mode === "grid" ? cell : row;
    const list = S2.el("div", { className: state.mode === "grid" ? "grid" : "rows" },
      records.map((record, n) => draw(record, places[n], state)));
    const said = found.length === S2.run.overview.photos ? S2.plural(found.length, "photo")
      : `${S2.count(found.length)} of ${S2.plural(S2.run.overview.photos, "photo")}`;
    results.replaceChildren(
      S2.el("div", { className: "counted" }, S2.el("span", {}, said), pager(page, pages, state)),
      found.length ? list : S2.el("p", { className: "note" }, "No photo is like that. ", S2.link("Show all", "#/photos")),
      pages > 1 ? S2.el("div", { className: "counted" }, S2.el("span"), pager(page, pages, state)) : null);
    S2.pages = { page, pages, state };
    S2.mark("list");
  }

  function pager(page, pages, state) {
    if (pages === 1) return null;
    const to = (number) => () => S2.go("photos", { ...state, page: number });
    return S2.el("nav", { className: "pager", "aria-label": "Pages" },
      S2.button("‹", to(page - 1), { disabled: page === 1, "aria-label": "Previous page", title: "[" }),
      S2.el("label", {}, S2.el("span", { className: "away" }, "Page"), S2.el("input", {
        type: "number", min: 1, max: pages, value: page, onchange: (event) => to(event.target.value)(),
      })), S2.el("span", { className: "dim" }, `of ${S2.count(pages)}`),
      S2.button("›", to(page + 1), { disabled: page === pages, "aria-label": "Next page", title: "]" }));
  }

  const open = (place) => `#/photo/${place}`;
  function head(record) {
    const decided = S2.review.of(record.uri);
    return S2.el("header", {},
      S2.el("b", { className: "name" }, S2.fileName(record.uri)), S2.el("span", { className: "dim folder" }, S2.folder(record.uri)),
      record.kind && record.kind !== "photo" ? S2.chip(record.kind) : null,
      record.override ? S2.chip("override", "override") : null,
      decided ? S2.chip(S2.review.words(decided), "decided") : null);
  }

  // One photo: the whole of it, then every crop, cut from the preview.
  function row(record, place) {
    const name = `Open ${S2.fileName(record.uri)}`;
    const article = S2.el("article", { className: "row", tabIndex: 0, "data-place": place, "aria-label": name, "data-uri": record.uri });
    if (!record.preview) {
      article.append(head(record), trouble(record));
      article.classList.add("bare");
    } else {
      const whole = S2.whole(record);
      const strip = S2.el("div", { className: "strip" },
        S2.link(whole, open(place), { className: "hero", tabIndex: -1, "aria-label": name }),
        record.crops.filter((crop) => !crop.rank).map((crop) => S2.el("figure", {
          className: crop.verdict || "",
          onmouseenter: () => S2.showOnly(whole, record, crop), onmouseleave: () => S2.showOnly(whole, record, null),
        },
          S2.link(S2.tile(record, crop, TALL), `${open(place)}/${encodeURIComponent(crop.ratio)}`, { tabIndex: -1 }), caption(crop))));
      article.append(head(record), record.status === "ok" ? "" : trouble(record), strip);
    }
    article.addEventListener("click", (event) => {
      if (!event.target.closest("a, button")) location.hash = open(place);
    });
    return article;
  }
  function caption(crop) {
    const sure = crop.confidence === undefined ? null : S2.el("span", { className: "dim" }, S2.percent(crop.confidence));
    return S2.el("figcaption", {}, S2.el("span", { className: "shape" }, crop.ratio), sure, S2.verdictChip(crop));
  }
  function trouble(record) {
    return S2.el("p", { className: "trouble" }, S2.chip(S2.words(record.status), "error"), " ",
      S2.el("span", { className: "dim" }, record.error_message || ""));
  }

  // One picture: the crop of the shape that is filtered for, else the whole photo.
  function cell(record, place, state) {
    const crop = record.crops.find((one) => one.ratio === state.ratio);
    const worst = record.crops.find((one) => one.verdict === "review") || record.crops.find((one) => one.verdict === "fallback");
    const picture = !record.preview ? S2.el("span", { className: "nopicture" }, S2.words(record.status))
      : crop ? S2.tile(record, crop) : S2.whole(record);
    const said = (crop || worst) && S2.verdictChip(crop || worst);
    return S2.el("a", { className: `cell ${(crop || worst || {}).verdict || ""}`, href: open(place), "data-place": place, "data-uri": record.uri },
      picture, S2.el("span", { className: "name" }, S2.fileName(record.uri)), said || null);
  }

  // A group of photos that need eyes, on the landing page: for each the crop at fault.
  const sure = (crop) => crop.confidence ?? crop.margin ?? 9;
  S2.groupStrip = async (group) => {
    const records = await Promise.all(group.first.map(S2.photo));
    return S2.el("div", { className: "strip" }, records.map((record, n) => {
      const place = group.first[n];
      const faulty = record.crops.find((crop) => crop.verdict === group.kind && (crop.reason || "") === group.reason)
        || [...record.crops].sort((a, b) => sure(a) - sure(b))[0];
      const picture = record.preview && faulty ? S2.tile(record, faulty, TALL)
        : record.preview ? S2.whole(record) : S2.el("span", { className: "nopicture" }, S2.fileName(record.uri));
      const said = record.preview && faulty ? faulty.ratio : record.error_message || "";
      const target = faulty ? `${open(place)}/${encodeURIComponent(faulty.ratio)}` : open(place);
      return S2.el("figure", {}, S2.link(picture, target, { title: record.uri }),
        S2.el("figcaption", {}, S2.el("span", { className: "dim" }, said)));
    }));
  };
})();
