"use strict";
// The gallery: routes and keys.
(() => {
  const KEYS = [
    ["j k", "next, previous photo in the list"],
    ["Enter", "open the photo"],
    ["← →", "previous, next photo"],
    ["Esc", "back"],
    ["/", "search; Enter leaves the field"],
    ["[ ]", "previous, next page"],
    ["1 … 9", "show only one crop; 0: all"],
    ["g o c", "gaze, objects, candidates"],
    ["s", "safe areas: what covers the crops"],
    ["a", "accept"],
    ["w", "wrong: tap what crops should focus on, or go there by ← → ↑ ↓ and press Enter"],
    ["l", "lock the shown box"],
    ["n", "never crop"],
    ["x", "forget"],
    ["u", "undo the decision"],
    ["?", "show these keys"],
  ];
  const main = document.getElementById("main");
  let route = {}; // name, parts, place, state
  let waiting = null; // where the focus goes once the loaded data is drawn
  S2.skipLink(main);

  // The list that a photo's address names, at the page with the photo; the list reports what it cannot load.
  S2.back = async () => {
    const { place, state } = route;
    const page = await S2.pageWith(place, state).catch(() => undefined);
    S2.go("photos", { ...state, page });
  };
  // Show the next (by = 1) or the previous photo (-1) of the list.
  S2.step = async (by) => {
    const { place, state } = route;
    try {
      const found = await S2.listed(state);
      const n = S2.indexOf(found, place);
      const next = by > 0 && found.at(n) !== place ? n : n + by; // `place` may have left the list
      if (next >= 0 && next < found.length) location.hash = S2.photoRoute(found.at(next), null, state);
      else S2.notify(`This is the ${by > 0 ? "last" : "first"} photo of the list`);
    } catch (error) {
      S2.notify(error.message);
    }
  };

  function read() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    const [name, place, ratio] = path.split("/");
    return {
      name,
      place: /^\d+$/.test(place) ? Number(place) : NaN,
      ratio: decoded(ratio || ""),
      state: Object.fromEntries(new URLSearchParams(query || "")),
    };
  }
  // Links get cut and mistyped on their way: what is no percent-encoded text is taken as it is.
  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }
  function show() {
    const before = route;
    const held = S2.heldFocus(main);
    route = read();
    if (route.name !== "photos" && route.name !== "photo") S2.forgetList();
    const pages = new Map([
      ["", S2.homePage],
      ["photos", () => S2.photosPage(route.state)],
      ["photo", () => S2.photoPage(route.place, route.ratio)],
      ["decisions", S2.decisionsPage],
    ]);
    S2.title({ photos: "Photos", photo: "Photo", decisions: "Decisions" }[route.name] || "");
    main.replaceChildren((pages.get(route.name) || noPage)());
    bar();
    const isSame = before.name === route.name;
    waiting = isSame && !S2.holdFocus(main, held) ? held : null;
    if (before.name === "photo" && route.name === "photos") waiting = { row: before.place };
    if (before.name === undefined) return;
    if (document.activeElement === document.body) main.focus({ preventScroll: true });
    if (!isSame || document.activeElement.id !== "search") window.scrollTo(0, 0);
  }
  // In place of a page that cannot be shown.
  S2.missing = (title, why) => [
    S2.el("h1", {}, title),
    S2.note(why, " Go to the ", S2.link("overview", "#/"), " or to ", S2.link("all photos", "#/photos"), "."),
  ];
  const noPage = () =>
    S2.el("section", { className: "page" }, S2.missing("No such page", "This gallery has no page at this address."));
  // The title of the window, which histories and screen readers name pages by.
  S2.title = (page) => {
    document.title = `${page ? `${page} · ` : ""}Gallery of run ${S2.run.run_id.slice(0, 8)}`;
  };
  // A page calls this when its loaded data is drawn.
  S2.drawn = () => {
    const held = waiting;
    waiting = null;
    if (held && held.row === undefined) S2.holdFocus(main, held, true);
    else if (held) (main.querySelector(`[data-place="${held.row}"]`) || main).focus();
  };

  function bar() {
    const here = (name) =>
      (route.name || "") === name || (name === "photos" && route.name === "photo") ? "page" : undefined;
    const tab = (words, name) => S2.link(words, `#/${name}`, { "aria-current": here(name) });
    const parts = [
      S2.el(
        "span",
        { className: "brand", title: S2.run.run_id },
        "Run ",
        S2.el("b", {}, S2.run.run_id.slice(0, 8)),
      ),
      S2.el(
        "nav",
        { "aria-label": "Pages of the gallery" },
        tab("Overview", ""),
        tab("Photos", "photos"),
        tab(`Decisions ${S2.review.size() || ""}`.trim(), "decisions"),
      ),
      S2.button("?", help, { className: "quiet", "aria-label": "Keys", title: "Keys: ?" }),
    ];
    const top = document.getElementById("bar");
    S2.redraw(top, () => top.replaceChildren(...parts));
  }
  function help() {
    let dialog = document.getElementById("keys");
    if (!dialog) {
      dialog = S2.el(
        "dialog",
        { id: "keys", "aria-label": "Keys" },
        S2.el("h2", {}, "Keys"),
        S2.el(
          "table",
          {},
          S2.el(
            "tbody",
            {},
            KEYS.filter(([key]) => key !== "s" || S2.hasSafeAreas()).map(([key, does]) => S2.el("tr", {}, S2.el("th", {}, key), S2.el("td", {}, does))),
          ),
        ),
        S2.el("div", { className: "buttons" }, S2.keysButton(), S2.button("Close", () => dialog.close(), { autofocus: true })),
      );
      document.body.append(dialog);
    }
    dialog.showModal();
  }

  // Keys.
  const move = (by) => () => S2.moveFocus("[data-place]", by);
  function turn(by) {
    const { page, pages, state } = S2.pages || {};
    if (page && page + by >= 1 && page + by <= pages) S2.go("photos", { ...state, page: page + by });
  }
  function uri() {
    if (route.name === "photo") return S2.photoView().record && S2.photoView().record.uri;
    const row = document.activeElement.closest("[data-uri]");
    return row && row.dataset.uri;
  }
  const decide = (work) => () => {
    const one = uri();
    if (route.name === "photo") S2.stopAiming();
    if (one) work(one);
    else if (route.name === "photos") S2.notify("Choose a photo first: j or k");
  };
  const ANYWHERE = {
    "?": help,
    "/": () => {
      if (route.name !== "photos") S2.go("photos", route.name === "photo" ? route.state : {});
      setTimeout(() => document.getElementById("search").focus(), 50);
    },
    s: S2.toggleSafeAreas,
    a: decide((one) => S2.review.accept(one)),
    n: decide((one) => S2.review.neverCrop(one)),
    x: decide((one) => S2.review.forget(one)),
    u: decide((one) => S2.review.undo(one)),
  };
  const LIST = {
    j: move(1),
    k: move(-1),
    ArrowDown: move(1),
    ArrowUp: move(-1),
    "[": () => turn(-1),
    "]": () => turn(1),
  };
  const LEAVE = {
    ArrowLeft: () => S2.step(-1),
    ArrowRight: () => S2.step(1),
    k: () => S2.step(-1),
    j: () => S2.step(1),
    Escape: () => (S2.photoView().aiming ? S2.startAiming() : S2.back()),
  };
  const PHOTO = {
    ...LEAVE,
    w: S2.startAiming,
    l: S2.lockChosen,
    g: () => S2.layer("gaze"),
    o: () => S2.layer("objects"),
    c: () => S2.layer("candidates"),
    0: () => S2.choose(null),
  };
  document.addEventListener("keydown", (event) => {
    if (S2.ignoresKey(event) || document.querySelector("dialog[open]")) return;
    const photo = route.name === "photo" && S2.photoView().record; // none until it is loaded
    const key = S2.keyOf(event);
    const digit = photo && /^[1-9]$/.test(key) && S2.bestCrops(photo)[Number(key) - 1];
    const work = digit
      ? () => S2.choose(digit.ratio)
      : (photo ? { ...PHOTO, ...S2.aimKeys() } : { photos: LIST, photo: LEAVE }[route.name] || {})[key] || ANYWHERE[key];
    if (!work) return;
    event.preventDefault();
    work();
  });

  async function start() {
    S2.run = await S2.need("run");
    S2.review.load();
    S2.review.onChange(() => {
      bar();
      if (route.name === "decisions") S2.redraw(main, S2.redrawDecisions);
      if (route.name === "photo") S2.redrawPhoto();
      if (route.name === "photos")
        for (const shown of document.querySelectorAll("[data-uri]")) mark(shown);
    });
    window.addEventListener("hashchange", show);
    show();
    (window.requestIdleCallback || setTimeout)(() => S2.loadIndex().catch(() => {})); // filters report it
  }
  // Show the decision about a photo at its row or cell.
  function mark(shown) {
    const old = shown.querySelector(".chip.decided");
    const chip = S2.decidedChip(shown.dataset.uri);
    if (old) old.remove();
    if (chip) (shown.querySelector("header") || shown).append(chip);
  }
  start().catch((error) => main.replaceChildren(S2.note(error.message)));
})();
