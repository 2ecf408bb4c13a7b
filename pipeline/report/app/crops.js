"use strict";
// Draw a photo and its crops from the preview.
(() => {
  S2.TALL = 116; // height of a crop in a list, CSS pixels; --tall in style.css
  // Only the best crop of each shape, for runs with several crops a shape.
  S2.bestCrops = (record) => record.crops.filter((crop) => !crop.rank);
  // Whether a crop is cut from the photo, rather than the whole photo in a frame.
  S2.isCut = (crop) => (crop.fit || "crop") === "crop";

  // Crops of a derived ratio have no verdict although others have one; without guards none has.
  S2.anyJudged = () => (S2.run.pairs || []).some(([verdict]) => verdict);
  S2.verdictChip = (crop) => {
    if (!crop.verdict && S2.anyJudged()) return S2.chip(S2.words("unjudged"));
    if (crop.override && crop.verdict === "ok") return S2.chip(S2.words("override"));
    if (!crop.verdict || crop.verdict === "ok") return null;
    return S2.chip(S2.words(crop.reason || crop.verdict), crop.verdict);
  };

  // What a crop's picture shows, in words: shape, photo and verdict.
  S2.cropLabel = (record, crop) => {
    const { verdict } = crop;
    const reason = crop.reason || (crop.override && "override");
    const judged = verdict ? S2.words(verdict) : S2.anyJudged() ? S2.words("unjudged") : "";
    const why = reason ? `${judged}: ${S2.words(reason)}` : judged;
    return `${S2.cropName(crop)} crop of ${S2.fileName(record.uri)}${why && `, ${why}`}`;
  };

  S2.shapeColour = (ratio) => `var(--shape${S2.run.shapes.indexOf(ratio) % 8})`;

  // The part of the photo that a crop shows, cut from the preview. tall: height in CSS pixels; default: --tall.
  S2.tile = (record, crop, tall, label) => {
    const ratio = crop.width / crop.height;
    const [x0, y0, x1, y1] = crop.box;
    const whole = crop.frame; // around a photo that is shown whole
    const [left, top, right, bottom] = whole || crop.box;
    const [width, height] = [right - left, bottom - top];
    const picture = (extra) =>
      S2.svg("image", {
        href: S2.preview(record) || "",
        x: 0,
        y: 0,
        width: record.width_px,
        height: record.height_px,
        preserveAspectRatio: "none",
        ...extra,
      });
    const tile = S2.svg("svg", {
      class: `tile${crop.ratio === "circle" ? " round" : ""}`,
      viewBox: `${left} ${top} ${width} ${height}`,
      preserveAspectRatio: whole ? "xMidYMid meet" : "none",
      role: "img",
      "aria-label": label || S2.cropLabel(record, crop),
    });
    if (crop.fit === "blur") tile.append(blurred(record, left, top, width, height));
    if (crop.ground) tile.style.background = crop.ground;
    // Only the box of a padded photo: around it may be borders, which were left out.
    const frame = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    const box = `${x0} ${y0} ${x1 - x0} ${y1 - y0}`;
    tile.append(whole ? S2.svg("svg", { ...frame, viewBox: box }, picture()) : picture());
    tile.append(S2.coveredPart(crop) || "");
    tile.style.setProperty("--ratio", ratio);
    if (tall)
      Object.assign(tile.style, {
        height: `${tall}px`,
        width: `${Math.max(24, Math.round(tall * ratio))}px`,
      });
    return tile;
  };
  // As pipeline/photo/encoding/whole.py draws it, but a third larger: the filter's faded edges are then outside.
  function blurred(record, left, top, width, height) {
    const scale = Math.max(width / record.width_px, height / record.height_px) * 1.33;
    const [wide, tall] = [record.width_px * scale, record.height_px * scale];
    const ground = S2.svg("image", {
      class: "blurred",
      href: S2.preview(record) || "",
      x: left + (width - wide) / 2,
      y: top + (height - tall) / 2,
      width: wide,
      height: tall,
      preserveAspectRatio: "none",
    });
    ground.style.setProperty("--blur", `${Math.max(width, height) / 12}px`); // source pixels
    return ground;
  }

  S2.noPicture = (words, kind = "") => S2.el("span", { className: `nopicture ${kind}` }, words);
  // In place of a photo that failed, or of which the run kept no picture.
  S2.noPhoto = ({ status }) =>
    status === "ok" ? S2.noPicture("no picture") : S2.noPicture(S2.words(status), S2.failed(status) ? "error" : "");
  // A small picture of the whole photo.
  S2.whole = (record) => {
    const [width, height] = [record.width_px, record.height_px];
    return S2.svg(
      "svg",
      {
        class: "whole",
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        "aria-label": `The whole photo ${S2.fileName(record.uri)}`,
      },
      S2.svg("image", { href: S2.preview(record), width, height, preserveAspectRatio: "none" }),
    );
  };
  // Show only one crop's box on a whole photo and darken the rest; null removes the darkening.
  S2.showOnly = (whole, record, crop) => {
    for (const old of whole.querySelectorAll(".only")) old.remove();
    if (!crop) return;
    whole.append(
      S2.svg("path", {
        d: S2.outside(crop, record.width_px, record.height_px),
        "fill-rule": "evenodd",
        class: "outside only",
      }),
      S2.coveredPart(crop, { class: "covered only" }) || "",
      S2.outline(crop, { class: "outline only" }),
    );
  };
  S2.rectangle = ([x0, y0, x1, y1], more, ...children) =>
    S2.svg("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, ...more }, children);
  // A photo that is shown whole fits into the circle, so nothing of it is cut off.
  const isRound = (crop) => crop.ratio === "circle" && !crop.frame;
  S2.outline = (crop, more = {}) => {
    const [x0, y0, x1, y1] = crop.box;
    const shape = isRound(crop)
      ? S2.svg("ellipse", {
          cx: (x0 + x1) / 2,
          cy: (y0 + y1) / 2,
          rx: (x1 - x0) / 2,
          ry: (y1 - y0) / 2,
          class: "outline",
          ...more,
        })
      : S2.rectangle(crop.box, { class: "outline", ...more });
    shape.style.stroke = S2.shapeColour(crop.ratio);
    return shape;
  };
  // Everything outside a crop, as the d of a path with fill-rule evenodd.
  S2.outside = (crop, width, height) => {
    const [x0, y0, x1, y1] = crop.box;
    const frame = `M0 0H${width}V${height}H0Z`;
    if (!isRound(crop)) return `${frame}M${x0} ${y0}H${x1}V${y1}H${x0}Z`;
    const rx = (x1 - x0) / 2,
      ry = (y1 - y0) / 2,
      y = (y0 + y1) / 2;
    return `${frame}M${x0} ${y}A${rx} ${ry} 0 1 0 ${x1} ${y}A${rx} ${ry} 0 1 0 ${x0} ${y}Z`;
  };
})();
