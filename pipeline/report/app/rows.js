"use strict";
// How the lists show a photo: a row with all crops, a cell with one picture, a strip of a group.
(() => {
  const TALL = 116; // CSS pixels of a crop

  const bestOf = (record) => record.crops.filter((crop) => !crop.rank);
  const open = (place) => `#/photo/${place}`;
  function head(record) {
    const decided = S2.review.of(record.uri);
    return S2.el(
      "header",
      {},
      S2.el("b", { className: "name" }, S2.fileName(record.uri)),
      S2.el("span", { className: "dim folder" }, S2.folder(record.uri)),
      record.kind && record.kind !== "photo" ? S2.chip(record.kind) : null,
      record.override ? S2.chip("override", "override") : null,
      decided ? S2.chip(S2.review.words(decided), "decided") : null,
    );
  }

  // One photo: the whole of it, then every crop, cut from the preview.
  S2.photoRow = (record, place) => {
    const name = `Open ${S2.fileName(record.uri)}`;
    const article = S2.el("article", {
      className: "row",
      tabIndex: 0,
      "data-place": place,
      "aria-label": name,
      "data-uri": record.uri,
    });
    if (!record.preview) {
      article.append(head(record), trouble(record));
      article.classList.add("bare");
    } else {
      const whole = S2.whole(record);
      const strip = S2.el(
        "div",
        { className: "strip" },
        S2.link(whole, open(place), { className: "hero", tabIndex: -1, "aria-label": name }),
        bestOf(record).map((crop) =>
          S2.el(
            "figure",
            {
              className: crop.verdict || "",
              onmouseenter: () => S2.showOnly(whole, record, crop),
              onmouseleave: () => S2.showOnly(whole, record, null),
            },
            S2.link(S2.tile(record, crop, TALL), `${open(place)}/${encodeURIComponent(crop.ratio)}`, {
              tabIndex: -1,
            }),
            caption(crop),
          ),
        ),
      );
      article.append(head(record), record.status === "ok" ? "" : trouble(record), strip);
    }
    article.addEventListener("click", (event) => {
      if (!event.target.closest("a, button")) location.hash = open(place);
    });
    return article;
  };
  function caption(crop) {
    const sure =
      crop.confidence === undefined
        ? null
        : S2.el("span", { className: "dim", title: S2.SURE }, S2.percent(crop.confidence));
    return S2.el(
      "figcaption",
      {},
      S2.el("span", { className: "shape" }, crop.ratio),
      sure,
      S2.verdictChip(crop),
    );
  }
  function trouble(record) {
    return S2.el(
      "p",
      { className: "trouble" },
      S2.chip(S2.words(record.status), "error"),
      " ",
      S2.el("span", { className: "dim" }, record.error_message || ""),
    );
  }

  // One picture: the crop of the shape that is filtered for, else the whole photo.
  S2.photoCell = (record, place, state) => {
    const best = bestOf(record);
    const crop = best.find((one) => one.ratio === state.ratio);
    const worst =
      best.find((one) => one.verdict === "review") || best.find((one) => one.verdict === "fallback");
    const picture = !record.preview
      ? S2.el("span", { className: "nopicture" }, S2.words(record.status))
      : crop
        ? S2.tile(record, crop)
        : S2.whole(record);
    const said = (crop || worst) && S2.verdictChip(crop || worst);
    return S2.el(
      "a",
      {
        className: `cell ${(crop || worst || {}).verdict || ""}`,
        href: open(place),
        "data-place": place,
        "data-uri": record.uri,
      },
      picture,
      S2.el("span", { className: "name" }, S2.fileName(record.uri)),
      said || null,
    );
  };

  function wholeFigure(record, place) {
    const picture = record.preview
      ? S2.whole(record)
      : S2.el("span", { className: "nopicture" }, S2.words(record.status));
    return S2.el(
      "figure",
      { className: "hero" },
      S2.link(picture, open(place), { title: record.uri }),
      S2.el("figcaption", {}, S2.el("span", { className: "dim" }, S2.fileName(record.uri))),
    );
  }

  // A group of photos that need eyes, on the landing page: for each the crop at fault.
  const sure = (crop) => crop.confidence ?? crop.margin ?? 9;
  S2.groupStrip = async (group) => {
    const records = await Promise.all(group.first.map(S2.photo));
    return S2.el(
      "div",
      { className: "strip" },
      records.map((record, n) => {
        const place = group.first[n];
        if (group.kind === "kind" || group.kind === "mark") return wholeFigure(record, place);
        const best = bestOf(record);
        const faulty =
          best.find((crop) => crop.verdict === group.kind && (crop.reason || "") === group.reason) ||
          best.sort((a, b) => sure(a) - sure(b))[0];
        const picture =
          record.preview && faulty
            ? S2.tile(record, faulty, TALL)
            : record.preview
              ? S2.whole(record)
              : S2.el("span", { className: "nopicture" }, S2.fileName(record.uri));
        const said = record.preview && faulty ? faulty.ratio : record.error_message || "";
        const target = faulty ? `${open(place)}/${encodeURIComponent(faulty.ratio)}` : open(place);
        return S2.el(
          "figure",
          {},
          S2.link(picture, target, { title: record.uri }),
          S2.el("figcaption", {}, S2.el("span", { className: "dim" }, said)),
        );
      }),
    );
  };
})();
