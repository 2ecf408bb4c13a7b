"use strict";
// Show a changed photo: every changed crop before and after.
(() => {
  S2.changeWords = {
    same: "same",
    "re-encoded": "re-encoded",
    moved: "moved",
    "changed photo": "photo changed",
    "only old": "only before",
    "only new": "only after",
  };
  const OVERLAP_TITLE = "the two boxes' common area as a share of the area that either covers (IoU)";
  S2.errorWords = { new: "now fails", gone: "no longer fails", other: "fails for another reason" };

  S2.pairRow = (record, ratio) => {
    const changed = record.crops.filter((pair) => pair.change !== "same");
    const pairs = changed.filter((pair) => !ratio || pair.ratio === ratio);
    pairs.sort((a, b) => (a.iou ?? 2) - (b.iou ?? 2));
    return S2.el(
      "article",
      { className: "row still", tabIndex: 0, "aria-label": S2.fileName(record.uri) },
      head(record, record.crops.length - changed.length),
      record.error ? trouble(record) : null,
      record.preview && pairs.length ? strip(record, pairs) : null,
    );
  };
  function head(record, same) {
    return S2.el(
      "header",
      {},
      S2.el("h3", { className: "name", title: S2.fileName(record.uri) }, S2.fileName(record.uri)),
      S2.el("span", { className: "dim folder" }, S2.folder(record.uri)),
      record.error ? S2.chip(S2.errorWords[record.error], "error") : null,
      record.content_changed ? S2.chip("photo changed", "fallback") : null,
      same ? S2.el("span", { className: "dim" }, S2.plural(same, "crop"), " the same") : null,
    );
  }
  function trouble(record) {
    return S2.el(
      "p",
      { className: "trouble" },
      S2.statusChip(record.old.status),
      " → ",
      S2.statusChip(record.new.status),
      " ",
      S2.el("span", { className: "dim" }, record.new.error_message || record.old.error_message || ""),
    );
  }
  function strip(record, pairs) {
    const { uri, preview, preview_old } = record;
    const after = {
      uri,
      preview,
      width_px: record.new.width_px || record.old.width_px,
      height_px: record.new.height_px || record.old.height_px,
    };
    const { width_px, height_px } = record.old;
    const before = preview_old ? { uri, preview: preview_old, width_px, height_px } : after;
    const whole = S2.whole(after);
    return S2.el(
      "div",
      { className: "strip" },
      S2.el("div", { className: "hero" }, preview_old ? S2.whole(before) : null, whole),
      pairs.map((pair) => pairFigure(pair, before, after, whole)),
    );
  }

  // One crop before and after; hovering over it shows both boxes on the whole photo.
  function pairFigure(pair, before, after, whole) {
    const { ratio, rank } = pair;
    const tile = (record, crop, words) =>
      crop
        ? S2.tile(record, crop, S2.TALL, `${S2.cropLabel(record, { ...crop, ratio, rank })}, ${words}`)
        : S2.noPicture(`none ${words}`);
    const show = () => {
      S2.showOnly(whole, after, pair.new || pair.old);
      if (pair.old && pair.new) whole.append(S2.outline(pair.old, { class: "outline only was" }));
    };
    const hide = () => S2.showOnly(whole, after, null);
    return S2.el(
      "figure",
      {
        className: "pair",
        tabIndex: 0,
        onmouseenter: show,
        onmouseleave: hide,
        onfocus: show,
        onblur: hide,
      },
      S2.el(
        "div",
        { className: "both" },
        tile(before, pair.old, "before"),
        S2.el("span", { className: "arrow", "aria-hidden": "true" }, "→"),
        tile(after, pair.new, "after"),
      ),
      caption(pair),
    );
  }
  function caption(pair) {
    const [was, now] = [pair.old, pair.new].map((crop) => crop && S2.verdictChip(crop));
    const [before, after] = [pair.old, pair.new].map((crop) => crop && crop.confidence);
    const isSure = pair.old && pair.new && before !== undefined && after !== undefined;
    return S2.el(
      "figcaption",
      {},
      S2.el("span", { className: "shape" }, S2.cropName(pair)),
      pair.iou === undefined || pair.change !== "moved"
        ? S2.chip(S2.changeWords[pair.change])
        : S2.el("span", { title: OVERLAP_TITLE }, `overlap ${pair.iou.toFixed(2)}`),
      isSure ? S2.el("span", { className: "dim" }, `${S2.percent(before)} → ${S2.percent(after)}`) : null,
      was,
      pair.old && pair.new && (was || now) ? "→" : null,
      now || (pair.new && was ? S2.chip(S2.words(pair.new.verdict || "unjudged")) : null),
    );
  }
})();
