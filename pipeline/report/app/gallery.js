"use strict";
// The gallery: landing page, routes, keys.
(() => {
  const KEYS = [
    ["j k", "next, previous photo of the list"], ["Enter", "open it"], ["← →", "photo before, after"], ["Esc", "back"],
    ["/", "search"], ["[ ]", "page before, after"], ["1 … 9", "show only one crop; 0 all"], ["g o c", "gaze, objects, candidates"],
    ["a", "accept"], ["w", "wrong: tap where crops should look"], ["l", "lock the shown box"], ["n", "never crop"], ["x", "forget"],
    ["u", "undo the decision"], ["?", "these keys"],
  ];
  const main = document.getElementById("main");
  let route = {}; // name, parts, state

  S2.go = (name, state = {}) => {
    const query = new URLSearchParams(Object.entries(state).filter(([, value]) => value));
    location.hash = `#/${name}${query.size ? `?${query}` : ""}`;
  };
  S2.back = () => (S2.shown ? S2.go("photos", S2.shown.state) : S2.go(""));
  S2.step = (by) => {
    const found = S2.shown ? S2.shown.found : { length: S2.run.overview.photos, at: (n) => n };
    const here = route.place;
    let n = found.length;
    for (let one = 0; one < found.length; one++) if (found.at(one) === here) { n = one; break; }
    const place = n === found.length ? here + by : found.at(n + by);
    if (place !== undefined && place >= 0 && place < S2.run.overview.photos) location.hash = `#/photo/${place}`;
  };

  function read() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    const [name, ...parts] = path.split("/");
    return { name, parts, place: Number(parts[0]), state: Object.fromEntries(new URLSearchParams(query || "")) };
  }
  function show() {
    const before = route;
    route = read();
    const typing = document.activeElement && document.activeElement.id === "search";
    const caret = typing ? document.activeElement.selectionStart : 0;
    const pages = { photos: () => S2.photosPage(route.state), photo: () => S2.photoPage(route.place, route.parts[1] && decodeURIComponent(route.parts[1])), decisions: S2.decisionsPage };
    main.replaceChildren((pages[route.name] || home)());
    bar();
    if (typing && route.name === "photos") {
      const search = document.getElementById("search");
      search.focus();
      search.setSelectionRange(caret, caret);
    } else if (before.name !== undefined) {
      window.scrollTo(0, 0);
    }
  }

  function bar() {
    const here = (name) => (route.name || "") === name || (name === "photos" && route.name === "photo") ? "page" : undefined;
    const tab = (words, name) => S2.link(words, `#/${name}`, { "aria-current": here(name) });
    document.getElementById("bar").replaceChildren(
      S2.el("span", { className: "brand", title: S2.run.run_id }, "Run ", S2.el("b", {}, S2.run.run_id.slice(0, 8))),
      S2.el("nav", { "aria-label": "Pages of the gallery" }, tab("Overview", ""), tab("Photos", "photos"),
        tab(`Decisions ${S2.review.size() || ""}`.trim(), "decisions")),
      S2.button("?", help, { className: "quiet", "aria-label": "Keys", title: "Keys: ?" }));
  }
  function help() {
    let dialog = document.getElementById("keys");
    if (!dialog) {
      dialog = S2.el("dialog", { id: "keys", "aria-label": "Keys" }, S2.el("h2", {}, "Keys"),
        S2.el("table", {}, S2.el("tbody", {}, KEYS.map(([key, does]) => S2.el("tr", {}, S2.el("th", {}, key), S2.el("td", {}, does))))),
        S2.button("Close", () => dialog.close()));
      document.body.append(dialog);
    }
    dialog.showModal();
  }

  // The landing page: what needs eyes, then figures.
  function home() {
    const { overview, groups, facts } = S2.run;
    const page = S2.el("section", { className: "page home" });
    const verdicts = byVerdict(overview);
    page.append(
      figures(overview, verdicts),
      S2.run.untrained ? S2.el("p", { className: "warning" }, "Untrained network: these crops have the right shapes and mean nothing.") : "",
      S2.el("h2", {}, "Needs eyes"),
      groups.length ? S2.el("div", { className: "groups" }, groups.filter(({ kind }) => kind !== "error").map(groupCard), errorsCard(groups.filter(({ kind }) => kind === "error"))) : S2.el("p", { className: "note" }, "Nothing: no guard is broken, no photo failed."),
      S2.el("h2", {}, "Overview"),
      S2.el("div", { className: "plots" }, plots(overview, verdicts)),
      S2.el("details", { className: "facts" }, S2.el("summary", {}, "About this run"),
        S2.el("table", {}, S2.el("tbody", {}, facts.map(([name, value]) => S2.el("tr", {}, S2.el("th", { scope: "row" }, name), S2.el("td", {}, value)))))));
    return page;
  }
  function byVerdict(overview) {
    return S2.run.shapes.map((shape, n) => {
      const counts = {};
      S2.run.pairs.forEach(([verdict], p) => { counts[verdict || "plain"] = (counts[verdict || "plain"] || 0) + (overview.decisions[n][p] || 0); });
      return [shape, ["ok", "plain", "fallback", "review"].map((name) => [name, counts[name] || 0])];
    });
  }
  function figures(overview, verdicts) {
    const ok = (overview.statuses.find(([name]) => name === "ok") || [0, 0])[1];
    const count = (name) => verdicts.reduce((total, [, parts]) => total + parts.find(([kind]) => kind === name)[1], 0);
    const figure = (value, words, kind, href) => S2.el(href ? "a" : "div", { className: `figure ${value ? kind || "" : ""}`, href }, S2.el("b", {}, S2.count(value)), S2.el("span", {}, words));
    const errors = overview.photos - ok;
    const judged = count("plain") === 0 && overview.crops > 0;
    return S2.el("div", { className: "figures" },
      figure(overview.photos, "photos", "", "#/photos"), figure(overview.crops, "crops"),
      judged ? figure(count("review"), "crops to review", "review", "#/photos?verdict=review") : null,
      judged ? figure(count("fallback"), "fallbacks", "fallback", "#/photos?verdict=fallback") : null,
      figure(errors, "photos failed", "error", "#/photos?status=not+ok"));
  }
  function groupCard(group) {
    const { overview } = S2.run;
    const titles = { review: S2.words(group.reason || "review"), fallback: `fallback: ${S2.words(group.reason || "fallback")}`, close: "least sure" };
    const about = { close: overview.confidence ? "lowest confidence of all others" : "smallest leads of all others" };
    const filter = { review: { verdict: "review", reason: group.reason }, fallback: { verdict: "fallback", reason: group.reason }, close: { need: "close" } };
    const query = new URLSearchParams(Object.entries(filter[group.kind]).filter(([, value]) => value));
    const strip = S2.el("div", { className: "strip waiting" });
    S2.groupStrip(group).then((made) => { strip.replaceWith(made); S2.mark("picture"); });
    return S2.el("section", { className: `group ${group.kind}` },
      S2.el("header", {}, S2.el("h3", {}, titles[group.kind]), S2.el("span", { className: "dim" }, S2.plural(group.count, "photo"), about[group.kind] ? `, ${about[group.kind]}` : ""),
        S2.link("Show all", `#/photos?${query}`)), strip);
  }
  function errorsCard(groups) {
    if (!groups.length) return null;
    return S2.el("section", { className: "group error" }, S2.el("header", {}, S2.el("h3", {}, "errors by reason"),
      S2.link("Show all", "#/photos?status=not+ok")),
    S2.el("ul", { className: "plainlist" }, groups.map((group) => {
      const example = S2.el("span", { className: "dim grow" });
      S2.photo(group.first[0]).then((record) => { example.textContent = `${S2.fileName(record.uri)}: ${record.error_message || ""}`; });
      return S2.el("li", {}, S2.chip(S2.words(group.reason), "error"), S2.el("span", { className: "number" }, S2.count(group.count)), example,
        S2.link("Show", `#/photos?${new URLSearchParams({ status: group.reason })}`));
    })));
  }
  function plots(overview, verdicts) {
    const card = (title, note, ...body) => S2.el("figure", { className: "plotcard" }, S2.el("figcaption", {}, S2.el("b", {}, title), note ? S2.el("span", { className: "dim" }, note) : null), body);
    const href = (ratio) => `#/photos?ratio=${encodeURIComponent(ratio)}`;
    const cards = [card("Crops by shape", verdictWords(verdicts), S2.stackedBars("Crops by shape and verdict", verdicts.map(([shape, parts]) => [shape, parts, href(shape)])))];
    if (overview.confidence) {
      cards.push(card("Confidence", "probability that a person would accept the crop", S2.histogram("Confidence of the crops", overview.confidence, ["0", "1"])));
    } else if (overview.margin) {
      const { low, high, counts } = overview.margin;
      cards.push(card("Lead of the chosen crop", "small leads are close calls", S2.histogram("Lead of the crops", { low, high, parts: [["plain", counts]] }, [low.toFixed(2), high.toFixed(2)])));
    }
    if (overview.statuses.length > 1) {
      cards.push(card("Photos by status", "", S2.stackedBars("Photos by status", overview.statuses.map(([name, count]) => [S2.words(name), [[name === "ok" ? "plain" : "error", count]], `#/photos?status=${encodeURIComponent(name)}`]))));
    }
    if (overview.kinds.length > 1) {
      cards.push(card("Photos by kind", "", S2.stackedBars("Photos by kind", overview.kinds.map(([name, count]) => [name, [["plain", count]], `#/photos?kind=${encodeURIComponent(name)}`]))));
    }
    const { seconds, limits, cpu } = S2.run.work;
    if (seconds.length) {
      cards.push(card(cpu ? "CPU seconds by stage" : "Seconds of work by stage", limits || "all workers together",
        S2.stackedBars("Seconds by stage", seconds.map(([name, s]) => [name, [["plain", s]]]))));
    }
    cards.push(S2.el("figure", { className: "plotcard wide" },
      S2.el("figcaption", {}, S2.el("b", {}, "Where the crops lie"), S2.el("span", { className: "dim" }, "centres of the crops in the photo; the line is the median box")),
      S2.el("div", { className: "maps" }, S2.run.shapes.map((shape, n) => S2.el("a", { href: href(shape) },
        S2.heatMap(`Centres of the ${shape} crops`, overview.places[n], S2.shapeColour(shape)), S2.el("span", {}, shape))))));
    cards.push(S2.el("figure", { className: "plotcard wide" },
      S2.el("figcaption", {}, S2.el("b", {}, "How much of the photo a crop shows"), S2.el("span", { className: "dim" }, "share of the photo's area, by shape")),
      S2.el("div", { className: "maps" }, S2.run.shapes.map((shape, n) => S2.el("div", {},
        S2.histogram(`Area of the ${shape} crops`, { low: 0, high: 1, parts: [["plain", overview.places[n].area.counts]] }, ["0", "all"], 130), S2.el("span", {}, shape))))));
    return cards;
  }
  const verdictWords = (verdicts) => {
    const there = ["ok", "fallback", "review"].filter((name) => verdicts.some(([, parts]) => parts.some(([kind, count]) => kind === name && count)));
    return there.length ? there.map((name) => S2.el("span", { className: `key ${name}` }, S2.words(name))) : "";
  };

  // Keys.
  const rows = () => [...document.querySelectorAll("[data-place]")];
  function move(by) {
    const all = rows();
    const here = all.indexOf(document.activeElement.closest("[data-place]"));
    const next = all[Math.min(all.length - 1, Math.max(0, here + by))];
    if (next) next.focus();
  }
  function turn(by) {
    const { page, pages, state } = S2.pages || {};
    if (page && page + by >= 1 && page + by <= pages) S2.go("photos", { ...state, page: page + by });
  }
  function uri() {
    if (route.name === "photo") return S2.photoView().record && S2.photoView().record.uri;
    const row = document.activeElement.closest("[data-uri]");
    return row && row.dataset.uri;
  }
  const decide = (work) => () => { const one = uri(); if (one) work(one); };
  const ANYWHERE = {
    "?": help,
    "/": () => { if (route.name !== "photos") S2.go("photos"); setTimeout(() => document.getElementById("search").focus(), 50); },
    a: decide((one) => S2.review.accept(one)), n: decide((one) => S2.review.neverCrop(one)),
    x: decide((one) => S2.review.forget(one)), u: decide((one) => S2.review.undo(one)),
  };
  const LIST = {
    j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1), "[": () => turn(-1), "]": () => turn(1),
    Enter: () => { const row = document.activeElement.closest("article[data-place]"); if (row) location.hash = `#/photo/${row.dataset.place}`; },
  };
  const PHOTO = {
    ArrowLeft: () => S2.step(-1), ArrowRight: () => S2.step(1), k: () => S2.step(-1), j: () => S2.step(1), Escape: S2.back, w: S2.startAiming, l: S2.lockChosen,
    g: () => S2.layer("gaze"), o: () => S2.layer("objects"), c: () => S2.layer("candidates"), 0: () => S2.choose(null),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || document.querySelector("dialog[open]")) return;
    const photo = route.name === "photo" && S2.photoView() && S2.photoView().record;
    const digit = photo && /^[1-9]$/.test(event.key) && photo.crops.filter((crop) => !crop.rank)[Number(event.key) - 1];
    const work = digit ? () => S2.choose(digit.ratio) : (photo ? PHOTO : route.name === "photos" ? LIST : {})[event.key] || ANYWHERE[event.key];
    if (!work || (event.key === "Enter" && event.target.closest("a, button"))) return;
    event.preventDefault();
    work();
  });

  async function start() {
    S2.run = await S2.need("run");
    document.title = `Gallery of run ${S2.run.run_id.slice(0, 8)}`;
    S2.review.load();
    S2.review.onChange(() => {
      bar();
      if (route.name === "decisions") S2.redrawDecisions();
      if (route.name === "photo") S2.redrawPhoto();
      if (route.name === "photos") for (const row of document.querySelectorAll("article[data-uri]")) mark(row);
    });
    window.addEventListener("hashchange", show);
    show();
    (window.requestIdleCallback || setTimeout)(() => S2.wholeIndex());
  }
  function mark(row) {
    const old = row.querySelector(".chip.decided"), one = S2.review.of(row.dataset.uri);
    if (old) old.remove();
    if (one) row.querySelector("header").append(S2.chip(S2.review.words(one), "decided"));
  }
  start().catch((error) => main.replaceChildren(S2.el("p", { className: "note" }, error.message)));
})();
