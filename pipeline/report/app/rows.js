"use strict";
// Show a photo in a list: a row with all crops, or a cell with one picture.
(() => {
  S2.decidedChip = (uri) => {
    const decided = S2.review.of(uri);
    return decided ? S2.chip(S2.review.words(decided), "decided") : null;
  };
  function head(record, open) {
    return S2.el(
      "header",
      {},
      S2.el("h2", {}, open),
      S2.el("span", { className: "dim folder" }, S2.folder(record.uri)),
      record.kind && record.kind !== "photo" ? S2.chip(record.kind) : null,
      record.override ? S2.chip(S2.words("override"), "override") : null,
      S2.decidedChip(record.uri),
    );
  }

  // A photo's row: the whole photo, then every crop, cut from the preview.
  S2.photoRow = (record, place, state) => {
    const name = S2.fileName(record.uri);
    const target = S2.photoRoute(place, null, state);
    const open = S2.link(name, target, {
      className: "name",
      "data-place": place,
      "aria-label": `Open ${name}`,
      title: name,
    });
    const article = S2.el("article", {
      className: "row",
      "aria-label": name,
      "data-uri": record.uri,
    });
    if (!record.preview) {
      article.append(head(record, open), record.status === "ok" ? captions(record) : trouble(record));
      article.classList.add("bare");
    } else {
      const whole = S2.whole(record);
      const strip = S2.el(
        "div",
        { className: "strip", role: "group", "aria-label": `Crops of ${name}` },
        S2.link(whole, target, { className: "hero", tabIndex: -1 }),
        S2.bestCrops(record).map((crop) =>
          S2.el(
            "figure",
            {
              className: crop.verdict || "",
              onmouseenter: () => S2.showOnly(whole, record, crop),
              onmouseleave: () => S2.showOnly(whole, record, null),
            },
            S2.link(S2.tile(record, crop, S2.TALL), S2.photoRoute(place, crop, state), {
              tabIndex: -1,
            }),
            caption(crop),
          ),
        ),
      );
      S2.reachable(strip);
      article.append(head(record, open), record.status === "ok" ? "" : trouble(record), strip);
    }
    article.addEventListener("click", (event) => {
      if (!event.target.closest("a, button")) location.hash = target;
    });
    return article;
  };
  function caption(crop) {
    const sure =
      crop.confidence === undefined
        ? null
        : S2.el("span", { className: "dim", title: S2.CONFIDENCE_TITLE }, S2.percent(crop.confidence));
    return S2.el(
      "figcaption",
      {},
      S2.el("span", { className: "shape" }, crop.ratio),
      sure,
      S2.verdictChip(crop),
    );
  }
  // Of a photo without a picture.
  const captions = (record) =>
    S2.el(
      "div",
      { className: "strip" },
      S2.bestCrops(record).map((crop) => S2.el("figure", { className: crop.verdict || "" }, caption(crop))),
    );
  function trouble(record) {
    return S2.el(
      "p",
      { className: "trouble" },
      S2.statusChip(record.status),
      " ",
      S2.el("span", { className: "dim" }, record.error_message || ""),
    );
  }

  // A photo's cell: the crop of the shape selected in the filter, else the whole photo.
  S2.photoCell = (record, place, state) => {
    const best = S2.bestCrops(record);
    const crop = best.find((one) => one.ratio === state.ratio);
    const worst =
      best.find((one) => one.verdict === "review") || best.find((one) => one.verdict === "fallback");
    const picture = !record.preview
      ? S2.noPhoto(record)
      : crop
        ? S2.tile(record, crop)
        : S2.whole(record);
    const chip = (crop || worst) && S2.verdictChip(crop || worst);
    return S2.el(
      "a",
      {
        className: `cell ${(crop || worst || {}).verdict || ""}`,
        href: S2.photoRoute(place, null, state),
        "data-place": place,
        "data-uri": record.uri,
      },
      picture,
      S2.el("span", { className: "name", title: S2.fileName(record.uri) }, S2.fileName(record.uri)),
      chip || null,
      S2.decidedChip(record.uri),
    );
  };
})();
