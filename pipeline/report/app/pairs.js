"use strict";
// How a changed photo is shown: every changed crop before and after.
(() => {
  S2.changeWords = {
    same: "same",
    "re-encoded": "re-encoded",
    moved: "moved",
    "changed photo": "photo changed",
    "only old": "only before",
    "only new": "only after",
  };
  S2.errorWords = { new: "fails since", gone: "fails no more", other: "fails for another reason" };

  S2.pairRow = (record, ratio) => {
    const sides = {
      uri: record.uri,
      preview: record.preview,
      width_px: record.new.width_px || record.old.width_px,
      height_px: record.new.height_px || record.old.height_px,
    };
    const before = record.preview_old
      ? {
          ...sides,
          preview: record.preview_old,
          width_px: record.old.width_px,
          height_px: record.old.height_px,
        }
      : sides;
    const whole = record.preview ? S2.whole(sides) : null;
    const pairs = record.crops.filter((pair) => pair.change !== "same" && (!ratio || pair.ratio === ratio));
    pairs.sort((a, b) => (a.iou ?? 2) - (b.iou ?? 2));
    const same = record.crops.length - record.crops.filter((pair) => pair.change !== "same").length;
    return S2.el(
      "article",
      { className: "row still", tabIndex: 0, "aria-label": S2.fileName(record.uri) },
      S2.el(
        "header",
        {},
        S2.el("b", { className: "name" }, S2.fileName(record.uri)),
        S2.el("span", { className: "dim folder" }, S2.folder(record.uri)),
        record.error ? S2.chip(S2.errorWords[record.error], "error") : null,
        record.content_changed ? S2.chip("photo changed", "fallback") : null,
        same ? S2.el("span", { className: "dim" }, S2.plural(same, "crop"), " the same") : null,
      ),
      record.error
        ? S2.el(
            "p",
            { className: "trouble" },
            S2.chip(S2.words(record.old.status), "error"),
            " → ",
            S2.chip(S2.words(record.new.status), "error"),
            " ",
            S2.el("span", { className: "dim" }, record.new.error_message || record.old.error_message || ""),
          )
        : null,
      record.preview && pairs.length
        ? S2.el(
            "div",
            { className: "strip" },
            S2.el("div", { className: "hero" }, record.preview_old ? S2.whole(before) : null, whole),
            pairs.map((pair) => pairFigure(pair, before, sides, whole)),
          )
        : null,
    );
  };
  function pairFigure(pair, before, after, whole) {
    const tile = (record, crop, words) =>
      crop
        ? S2.tile(record, crop, S2.TALL, `${pair.ratio} ${words}`)
        : S2.noPicture(`none ${words}`);
    const show = (on) => {
      S2.showOnly(whole, after, on ? pair.new || pair.old : null);
      if (on && pair.old && pair.new) whole.append(S2.outline(pair.old, { class: "outline only was" }));
    };
    const sure =
      pair.old && pair.new && pair.old.confidence !== undefined && pair.new.confidence !== undefined
        ? `${S2.percent(pair.old.confidence)} → ${S2.percent(pair.new.confidence)}`
        : null;
    return S2.el(
      "figure",
      {
        className: "pair",
        tabIndex: 0,
        onmouseenter: () => show(true),
        onmouseleave: () => show(false),
        onfocus: () => show(true),
        onblur: () => show(false),
      },
      S2.el(
        "div",
        { className: "both" },
        tile(before, pair.old, "before"),
        S2.el("span", { className: "arrow", "aria-hidden": "true" }, "→"),
        tile(after, pair.new, "after"),
      ),
      S2.el(
        "figcaption",
        {},
        S2.el("span", { className: "shape" }, pair.ratio),
        pair.iou === undefined || pair.change !== "moved"
          ? S2.chip(S2.changeWords[pair.change])
          : S2.el("span", { title: "intersection over union" }, `IoU ${pair.iou.toFixed(2)}`),
        sure ? S2.el("span", { className: "dim" }, sure) : null,
        pair.old ? S2.verdictChip(pair.old) : null,
        pair.old && pair.new && (S2.verdictChip(pair.old) || S2.verdictChip(pair.new)) ? "→" : null,
        pair.new
          ? S2.verdictChip(pair.new) || (pair.old && S2.verdictChip(pair.old) ? S2.chip("ok") : null)
          : null,
      ),
    );
  }
})();
