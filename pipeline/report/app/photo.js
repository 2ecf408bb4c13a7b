"use strict";
// The page of one photo: its parts, and how they are redrawn.
(() => {
  let view = null; // {record, place, selected, pinned, layers, aiming, aim, before, redraw, redrawSide}

  S2.photoPage = (place, ratio) => {
    const page = S2.el("section", { className: "page onephoto" }, S2.note("Loading…"));
    view = {
      place,
      selected: null,
      pinned: ratio || null,
      layers: { gaze: false, objects: false, candidates: false },
      aiming: false,
      aim: null, // where the keys have moved the focus to, [x, y]
    };
    S2.photo(place).then(
      async (record) => {
        if (!page.isConnected) return; // another page is shown by now, and `view` is of that one
        view.record = record;
        S2.title(S2.fileName(record.uri));
        await loadCrops(record);
        if (!page.isConnected) return;
        if (view.pinned && !S2.chosenCrop()) S2.notify(`This photo has no crop ${view.pinned}`);
        page.replaceChildren(titlebar(record), columns(record));
        S2.redrawStage();
        S2.drawn();
        S2.mark("photo");
      },
      (error) => page.replaceChildren(...S2.missing("This photo cannot be shown", `${error.message}.`)),
    );
    return page;
  };
  S2.photoView = () => view;
  // The crop that is shown alone, if any.
  S2.chosenCrop = () => {
    const wanted = view.selected || view.pinned;
    if (!wanted) return null;
    const [ratio, rank] = wanted.split("#");
    return view.record.crops.find((one) => one.ratio === ratio && one.rank === Number(rank || 0));
  };
  S2.redrawStage = () => view && view.redraw && view.record.preview && view.redraw();
  S2.redrawPhoto = () => {
    if (!view || !view.redrawSide) return;
    view.redrawSide();
    for (const button of document.querySelectorAll("[data-lock]")) {
      const crop = view.record.crops.find((one) => S2.cropName(one) === button.dataset.lock);
      button.setAttribute("aria-pressed", String(S2.isLocked(view.record, crop)));
    }
    S2.redrawStage();
  };

  async function loadCrops(record) {
    if (record.crops_at === null || record.crops_at === undefined || record.wholes) return;
    try {
      const file = await S2.need(`crops/${S2.pad(record.crops_at, 5)}`);
      record.wholes = new Map(file[record.id].map(([ratio, rank, uri]) => [`${ratio}#${rank}`, uri]));
    } catch (error) {
      S2.notify(error.message);
    }
  }
  function titlebar(record) {
    return S2.el(
      "div",
      { className: "titlebar" },
      S2.button("‹ All", S2.back, { title: "Escape", className: "quiet" }),
      S2.el("h1", {}, S2.fileName(record.uri), S2.el("small", { className: "dim" }, S2.folder(record.uri))),
      S2.el(
        "span",
        { className: "pager" },
        S2.button("←", () => S2.step(-1), { "aria-label": "Previous photo", title: "←" }),
        S2.button("→", () => S2.step(1), { "aria-label": "Next photo", title: "→" }),
      ),
    );
  }
  function columns(record) {
    const stage = S2.el("div", { className: "stage" });
    const side = S2.el("div", { className: "side" }, S2.sideParts(record));
    view.redraw = () => S2.drawStage(stage, view, S2.chosenCrop());
    view.redrawSide = () => S2.redraw(side, () => side.replaceChildren(...S2.sideParts(record)));
    return S2.el(
      "div",
      { className: "columns" },
      S2.el(
        "div",
        { className: "left" },
        record.preview ? stage : failure(record),
        side,
        S2.photoFacts(record),
      ),
      S2.el(
        "div",
        { className: "right" },
        record.crops.length
          ? [
              S2.el("h2", { className: "away" }, "Crops"),
              S2.el(
                "div",
                { className: "crops" },
                record.crops.map((crop) => S2.cropFigure(record, crop)),
              ),
            ]
          : null,
        (record.skipped || []).length ? leftOut(record.skipped) : null,
      ),
    );
  }
  function failure(record) {
    return S2.el(
      "div",
      { className: "nophoto" },
      record.status === "ok" ? null : S2.statusChip(record.status),
      S2.el("p", {}, record.error_message || "No picture of this photo was kept."),
    );
  }
  function leftOut(skipped) {
    return S2.el(
      "p",
      { className: "dim" },
      "No crop was written for ",
      skipped.map((one) => `${one.ratio} (${S2.words(one.reason)})`).join(", "),
      ".",
    );
  }
})();
