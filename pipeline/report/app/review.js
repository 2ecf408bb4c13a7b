"use strict";
// A person's decisions about photos, kept by the browser, and the overrides table made from them.
(() => {
  const COLUMNS = [
    "uri",
    "pattern",
    "focus_x",
    "focus_y",
    "ratio",
    "x0",
    "y0",
    "x1",
    "y1",
    "never_crop",
    "forget",
    "note",
  ];
  let decisions = new Map(); // uri -> {accept, wrong, focus: [x, y], boxes: {ratio: box}, never_crop, forget}
  let isStored = true; // whether the browser took the last change
  const listeners = new Set(); // called after every change

  const key = () => `s2cnet-review/${S2.run.run_id}`;
  // Read what is stored. Other tabs change it too, so this comes before each change.
  function load() {
    if (!isStored) return;
    try {
      decisions = new Map(JSON.parse(localStorage.getItem(key()) || "[]"));
    } catch {
      isStored = false;
    }
  }
  function save() {
    try {
      localStorage.setItem(key(), JSON.stringify([...decisions]));
      isStored = true;
    } catch {
      isStored = false;
      S2.notify("This browser stores nothing: download the table before you close the page");
    }
    // The browser then asks whether to leave.
    window.onbeforeunload = isStored || !decisions.size ? null : (event) => event.preventDefault();
    tell();
  }
  const tell = () => listeners.forEach((notify) => notify());
  window.addEventListener("storage", ({ key: changed }) => {
    if (!S2.run || (changed !== null && changed !== key())) return;
    load();
    tell();
  });

  S2.review = {
    load,
    onChange: (notify) => listeners.add(notify),
    of: (uri) => decisions.get(uri),
    size: () => decisions.size,
    all: () => [...decisions],
    clear() {
      decisions.clear();
      save();
    },
    undo: (uri) => S2.review.put(uri),
    // one: the decision to store; undefined removes it.
    put: (uri, one) => set(uri, () => one),
    // A locked box is a crop that is shown, so accepting the photo keeps it.
    accept: (uri) => set(uri, ({ boxes }) => ({ accept: true, ...(boxes && { boxes }) })),
    wrong: (uri) => set(uri, (one) => ({ ...without(one, "accept"), wrong: true })),
    focus: (uri, x, y) =>
      set(uri, (one) => ({ ...without(one, "accept", "never_crop", "forget"), wrong: true, focus: [x, y] })),
    neverCrop: (uri) => set(uri, () => ({ wrong: true, never_crop: true })),
    forget: (uri) => set(uri, () => ({ forget: true })),
    lock(uri, ratio, box) {
      set(uri, (one) => {
        const boxes = new Map(one.boxes || []);
        if (box) boxes.set(ratio, box);
        else boxes.delete(ratio);
        const others = without(one, "forget", "boxes");
        return boxes.size ? { ...others, boxes: [...boxes] } : others;
      });
    },
    words(one) {
      if (!one) return "";
      const parts = [];
      if (one.accept) parts.push("accepted");
      if (one.forget) parts.push("forget");
      if (one.never_crop) parts.push("never crop");
      if (one.focus) parts.push(`focus ${one.focus.map((share) => share.toFixed(2)).join(", ")}`);
      for (const [ratio] of one.boxes || []) parts.push(`${ratio} locked`);
      if (one.wrong && !one.focus && !one.never_crop && !(one.boxes || []).length)
        parts.push("wrong, no correction yet");
      return parts.join(" · ");
    },
    csv,
  };
  function set(uri, change) {
    load();
    const one = change(decisions.get(uri) || {});
    if (one && Object.keys(one).length) decisions.set(uri, one);
    else decisions.delete(uri);
    save();
  }
  function without(one, ...names) {
    return Object.fromEntries(Object.entries(one).filter(([name]) => !names.includes(name)));
  }

  // The table for `--overrides`, see docs/OVERRIDES.md. The empty column `pattern` means that every
  // uri is a literal address.
  function csv() {
    const rows = [];
    for (const [uri, one] of decisions) {
      if (one.forget) rows.push({ uri, forget: true });
      else {
        if (one.never_crop) rows.push({ uri, never_crop: true });
        if (one.focus) rows.push({ uri, focus_x: one.focus[0], focus_y: one.focus[1] });
        for (const [ratio, [x0, y0, x1, y1]] of one.boxes || []) rows.push({ uri, ratio, x0, y0, x1, y1 });
      }
    }
    const lines = rows.map((row) => COLUMNS.map((name) => cell(row[name])).join(","));
    return [COLUMNS.join(","), ...lines].join("\r\n") + "\r\n";
  }
  function cell(value) {
    const text = value === undefined || value === null ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  // The page of all decisions.
  S2.decisionsPage = () => {
    const page = S2.el("section", { className: "page decisions" });
    S2.redrawDecisions = () => page.replaceChildren(...decisionsParts());
    S2.redrawDecisions();
    return page;
  };
  function decisionsParts() {
    const all = S2.review.all();
    const lines = csv().trim().split("\r\n").length - 1;
    return [
      S2.el("h1", {}, "Decisions"),
      isStored
        ? S2.el("p", { className: "dim" }, "Stored in this browser for this run.")
        : S2.el("p", { className: "warning" }, "This browser stores nothing: download the table before you close the page."),
      S2.el(
        "p",
        { className: "dim" },
        `The table has ${S2.plural(lines, "row")}; photos that are only accepted, or wrong without a correction, have none. `,
        "Append it to an earlier one, if there is one, and pass it to the next run: ",
        S2.el("code", {}, "--overrides overrides.csv"),
        ".",
      ),
      S2.el(
        "p",
        { className: "buttons" },
        S2.button("Download overrides.csv", download, { className: "strong", disabled: !lines }),
        S2.button("Copy the table", () => S2.copy(csv(), "Table copied"), { disabled: !lines }),
        S2.button("Clear all", () => confirm("Clear all decisions for this run?") && S2.review.clear(), {
          disabled: !all.length,
        }),
      ),
      all.length
        ? S2.el("ul", { className: "plainlist" }, all.map(decisionLine))
        : S2.note("None yet. Keys on a photo: a accepts, w sets the focus, n never crops."),
    ];
  }
  function decisionLine([uri, one]) {
    return S2.el(
      "li",
      {},
      S2.el(
        "span",
        { className: "grow" },
        S2.link(S2.fileName(uri), S2.route("photos", { q: uri }), { className: "name" }),
        " ",
        S2.el("span", { className: "dim" }, S2.folder(uri)),
        S2.el("br"),
        S2.review.words(one),
      ),
      S2.button("Undo", () => S2.review.undo(uri), { "aria-label": `Undo ${S2.fileName(uri)}` }),
    );
  }
  function download() {
    // Without the byte order mark, Excel takes the names for text of a Windows code page.
    const url = URL.createObjectURL(new Blob(["\ufeff", csv()], { type: "text/csv;charset=utf-8" }));
    const anchor = S2.el("a", { href: url, download: "overrides.csv" });
    document.body.append(anchor);
    anchor.click();
    anchor.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
})();
