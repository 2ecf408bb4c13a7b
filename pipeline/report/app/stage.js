"use strict";
// The picture on the page of one photo: the whole photo with boxes, gaze, objects and candidates.
(() => {
  const MOST_CANDIDATES = 40;
  const LABEL_MIN_SCORE = 0.25; // an object's label is shown from this score on

  // A crop as the run encoded it, if the gallery has it.
  S2.wholeCrop = (record, crop) => record.wholes && record.wholes.get(`${crop.ratio}#${crop.rank}`);

  // Draw the photo. If the gallery has the run's crops, they are drawn over the preview, sharper.
  S2.drawStage = (stage, view, chosen) => {
    const { record } = view;
    const [width, height] = [record.width_px, record.height_px];
    const root = S2.svg(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        class: view.aiming ? "aiming" : "",
        role: "img",
        "aria-label": chosen
          ? `${S2.cropLabel(record, chosen)}, on the whole photo`
          : `The whole photo ${S2.fileName(record.uri)}, with the boxes of its crops`,
      },
      S2.svg("image", { href: S2.preview(record), width, height, preserveAspectRatio: "none" }),
      encodedCrops(record),
      view.layers.gaze && record.gaze ? gazeLayer(record) : null,
      chosen
        ? S2.svg("path", { d: S2.outside(chosen, width, height), "fill-rule": "evenodd", class: "outside" })
        : null,
      record.content ? S2.rectangle(record.content, { class: "content" }) : null,
      view.layers.objects ? objectMarks(record) : null,
      view.layers.candidates ? candidateMarks(record, chosen) : null,
      chosen
        ? [S2.coveredPart(chosen), S2.outline(chosen)]
        : view.layers.objects || view.layers.candidates
          ? null
          : S2.bestCrops(record).map((one) => [thinCover(one), S2.outline(one, { class: "outline thin" })]),
      focusMark(view),
    );
    root.addEventListener("click", (event) => tap(event, root, view));
    stage.replaceChildren(root);
    for (const figure of document.querySelectorAll(".crops figure")) {
      const isChosen = Boolean(chosen) && figure.dataset.crop === `${chosen.ratio}#${chosen.rank}`;
      figure.classList.toggle("chosen", isChosen);
      figure.querySelector(".frame").setAttribute("aria-pressed", String(isChosen));
    }
    for (const chip of document.querySelectorAll(".shapes button")) {
      chip.setAttribute("aria-pressed", String(Boolean(chosen) && chip.dataset.ratio === chosen.ratio));
    }
  };
  // Among the boxes of all crops, the covered part of one is drawn in its colour.
  function thinCover(crop) {
    const covered = S2.coveredPart(crop, { class: "covered thin" });
    if (covered) covered.style.stroke = S2.shapeColour(crop.ratio);
    return covered;
  }
  function encodedCrops(record) {
    const placed = record.crops.filter(
      (one) => one.ratio !== "circle" && S2.isCut(one) && S2.wholeCrop(record, one),
    );
    const area = ({ box: [x0, y0, x1, y1] }) => (x1 - x0) * (y1 - y0);
    return placed
      .sort((a, b) => area(b) - area(a))
      .map((one) =>
        S2.svg("image", {
          href: S2.wholeCrop(record, one),
          x: one.box[0],
          y: one.box[1],
          width: one.box[2] - one.box[0],
          height: one.box[3] - one.box[1],
          preserveAspectRatio: "none",
        }),
      );
  }
  function gazeLayer(record) {
    const cells = S2.bytes(record.gaze),
      side = Math.sqrt(cells.length);
    const canvas = S2.el("canvas", { width: side, height: side });
    const context = canvas.getContext("2d"),
      image = context.createImageData(side, side);
    cells.forEach((value, n) => {
      image.data.set([255, 210 - value * 0.65, 40, Math.min(210, value * 0.95)], 4 * n);
    });
    context.putImageData(image, 0, 0);
    return S2.svg("image", {
      href: canvas.toDataURL(),
      width: record.width_px,
      height: record.height_px,
      preserveAspectRatio: "none",
      class: "gaze",
    });
  }
  // Labels stand at the upper left corners of the boxes; one that would cover an earlier one comes a line lower.
  function objectMarks(record) {
    const size = Math.max(record.width_px, record.height_px) / 46;
    const labels = []; // [left, right, base line]
    const free = (left, right, y) =>
      labels.some(([l, r, base]) => left < r && l < right && Math.abs(y - base) < size)
        ? free(left, right, y + size / 2)
        : y;
    return record.objects.map(([x0, y0, x1, y1, score, label]) => {
      const title = `${label || "object"} ${score.toFixed(2)}`;
      const mark = S2.svg(
        "g",
        { class: "object" },
        S2.rectangle([x0, y0, x1, y1], {}, S2.svg("title", {}, title)),
      );
      if (score < LABEL_MIN_SCORE) return mark;
      const x = x0 + size / 3;
      const right = x + 0.7 * size * title.length; // a letter is at most about that wide
      const y = free(x, right, y0 + size);
      labels.push([x, right, y]);
      mark.append(S2.svg("text", { x, y, "font-size": size }, title));
      return mark;
    });
  }
  function candidateMarks(record, chosen) {
    const ratio = (chosen || record.crops[0] || {}).ratio;
    const found = (record.candidates || []).find(([name]) => name === ratio);
    if (!found) return null;
    const { boxes, scores } = found[1];
    const [best, least] = [scores[0], scores[Math.min(scores.length, MOST_CANDIDATES) - 1]];
    return boxes
      .slice(0, MOST_CANDIDATES)
      .map((box, n) => {
        const mark = S2.rectangle(box, { class: "candidate" });
        mark.style.strokeOpacity = 0.15 + 0.85 * ((scores[n] - least) / Math.max(best - least, 1e-6));
        return mark;
      })
      .reverse();
  }
  // The focus of a photo, in shares of its sides: a person's, else the run's; null if there is none.
  S2.focusOf = ({ uri, focus_x, focus_y }) =>
    (S2.review.of(uri) || {}).focus || (focus_x === undefined ? null : [focus_x, focus_y]);
  S2.aimedShare = (value) => Math.min(1, Math.max(0, Math.round(value * 1000) / 1000));
  function focusMark({ record, aim }) {
    const focus = aim || S2.focusOf(record);
    if (!focus) return null;
    const [x, y] = focus;
    const isYours = aim || (S2.review.of(record.uri) || {}).focus;
    const radius = Math.max(record.width_px, record.height_px) / 70;
    return S2.svg(
      "g",
      {
        class: `focus ${isYours ? "yours" : ""}`,
        transform: `translate(${x * record.width_px} ${y * record.height_px})`,
      },
      S2.svg("circle", { r: radius }),
      S2.svg("circle", { r: radius / 4 }),
    );
  }
  function tap(event, root, { aiming, record }) {
    if (!aiming) return;
    // The drawing may be narrower than its element, so the matrix is needed to locate the photo.
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(
      root.getScreenCTM().inverse(),
    );
    S2.setFocus([S2.aimedShare(x / record.width_px), S2.aimedShare(y / record.height_px)]);
  }
})();
