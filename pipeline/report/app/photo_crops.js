"use strict";
// The crops on the page of one photo, as encoded, with measurements and buttons to copy or lock boxes.
(() => {
  S2.cropFigure = (record, crop) =>
    S2.el(
      "figure",
      { className: crop.verdict || "", "data-crop": nameOf(crop) },
      frame(record, crop),
      S2.el(
        "figcaption",
        {},
        S2.el(
          "div",
          {},
          S2.el("b", { className: "shape" }, S2.cropName(crop)),
          crop.confidence === undefined
            ? null
            : S2.el("span", { title: S2.CONFIDENCE_TITLE }, `${S2.percent(crop.confidence)} sure`),
          S2.verdictChip(crop),
          S2.isCut(crop) ? null : S2.chip(crop.fit),
        ),
        S2.el("div", { className: "dim numbers" }, measures(crop)),
        buttons(record, crop),
      ),
    );
  const nameOf = (crop) => `${crop.ratio}#${crop.rank}`;

  // The crop's picture; hovering over it shows only its box on the photo.
  function frame(record, crop) {
    const name = nameOf(crop);
    const toggle = () => {
      const view = S2.photoView();
      const pinned = view.pinned === name || view.pinned === crop.ratio;
      view.selected = null; // a tap also focuses: the second tap has to show all crops again
      S2.choose(pinned ? null : name);
    };
    return S2.button(picture(record, crop), toggle, {
      className: "frame",
      "aria-label": `${S2.cropLabel(record, crop)}: show only this box on the photo`,
      "aria-pressed": "false",
      onmouseenter: () => S2.choose(name, false),
      onmouseleave: () => S2.choose(null, false),
      onfocus: () => S2.choose(name, false),
      onblur: () => S2.choose(null, false),
    });
  }
  function picture(record, crop) {
    const whole = S2.wholeCrop(record, crop);
    if (whole) {
      const [width, height] = [crop.width, crop.height];
      const alt = S2.cropLabel(record, crop);
      return S2.underCovers(S2.el("img", { src: whole, width, height, alt, decoding: "async" }), crop);
    }
    return record.preview
      ? S2.tile(record, crop, Math.min(240, crop.height))
      : S2.noPicture(crop.ratio);
  }
  function buttons(record, crop) {
    const css = S2.css(record, crop);
    return S2.el(
      "div",
      { className: "buttons" },
      S2.button("Copy box", () => S2.copy(crop.box.join(", "), "Box copied: source pixels, x0 y0 x1 y1"), {
        "aria-label": `Copy box of ${S2.cropName(crop)}`,
      }),
      S2.button("Copy CSS", () => S2.copy(css, "CSS copied"), {
        "aria-label": `Copy CSS of ${S2.cropName(crop)}`,
        title: css,
      }),
      S2.isCut(crop)
        ? S2.button("Lock box", () => S2.lockBox(record, crop), {
            "aria-label": `Lock box of ${S2.cropName(crop)}`,
            "aria-pressed": String(S2.isLocked(record, crop)),
            "data-lock": S2.cropName(crop),
            title: "l",
          })
        : null,
    );
  }
  function measures(one) {
    const parts = [`${one.width} × ${one.height}`];
    const number = (name, words, digits = 3) => {
      if (one[name] !== undefined) parts.push(`${words} ${one[name].toFixed(digits)}`);
    };
    number("score", "score");
    number("choice", "choice");
    number("margin", "margin");
    number("subject_share", "subject", 2);
    for (const [name, words] of [
      ["heads_cut", "head"],
      ["faces_cut", "face"],
      ["text_cut", "text"],
      ["objects_cut", "object"],
    ]) {
      if (one[name]) parts.push(`${S2.plural(one[name], words)} cut`);
    }
    return parts.join(" · ");
  }
})();
