"use strict";
// The page of one photo: the picture, its crops, what was measured, a person's decision.
(() => {
  let view = null; // {record, place, selected, layers, redraw}

  S2.photoPage = (place, ratio) => {
    const page = S2.el(
      "section",
      { className: "page onephoto" },
      S2.el("p", { className: "note" }, "Loading…"),
    );
    view = {
      place,
      selected: null,
      pinned: ratio || null,
      layers: { gaze: false, objects: false, candidates: false },
      aiming: false,
    };
    S2.photo(place).then(
      async (record) => {
        view.record = record;
        await loadCrops(record);
        page.replaceChildren(...parts(record));
        redraw();
        S2.drawn();
        S2.mark("photo");
      },
      (error) => page.replaceChildren(S2.el("p", { className: "note" }, error.message)),
    );
    return page;
  };
  S2.photoView = () => view;

  async function loadCrops(record) {
    if (record.crops_at === null || record.crops_at === undefined || record.wholes) return;
    try {
      const file = await S2.need(`crops/${S2.pad(record.crops_at, 5)}`);
      record.wholes = new Map(file[record.id].map(([ratio, rank, uri]) => [`${ratio}#${rank}`, uri]));
    } catch (error) {
      S2.say(error.message);
    }
  }
  function parts(record) {
    const stage = S2.el("div", { className: "stage" });
    const side = S2.el("div", { className: "side" });
    view.redraw = () => S2.drawStage(stage, view, crop());
    view.redrawBar = () => S2.redraw(side, () => side.replaceChildren(...sideParts(record)));
    side.append(...sideParts(record));
    return [
      S2.el(
        "div",
        { className: "titlebar" },
        S2.button("‹ All", S2.back, { title: "Escape", className: "quiet" }),
        S2.el("h2", {}, S2.fileName(record.uri), S2.el("small", { className: "dim" }, S2.folder(record.uri))),
        S2.el(
          "span",
          { className: "pager" },
          S2.button("←", () => S2.step(-1), { "aria-label": "Photo before", title: "←" }),
          S2.button("→", () => S2.step(1), { "aria-label": "Next photo", title: "→" }),
        ),
      ),
      S2.el(
        "div",
        { className: "columns" },
        S2.el("div", { className: "left" }, record.preview ? stage : noPicture(record), side, facts(record)),
        S2.el(
          "div",
          { className: "right" },
          record.crops.length
            ? S2.el(
                "div",
                { className: "crops" },
                record.crops.map((crop) => cropFigure(record, crop)),
              )
            : null,
          (record.skipped || []).length
            ? S2.el(
                "p",
                { className: "dim" },
                "No crop was written for ",
                record.skipped.map((one) => `${one.ratio} (${S2.words(one.reason)})`).join(", "),
                ".",
              )
            : null,
        ),
      ),
    ];
  }
  function noPicture(record) {
    return S2.el(
      "div",
      { className: "nophoto" },
      S2.chip(S2.words(record.status), "error"),
      S2.el("p", {}, record.error_message || "No picture of this photo was kept."),
    );
  }

  const firsts = (record) => record.crops.filter((one) => !one.rank);
  function crop() {
    const wanted = view.selected || view.pinned;
    if (!wanted) return null;
    const [ratio, rank] = wanted.split("#");
    return view.record.crops.find((one) => one.ratio === ratio && one.rank === Number(rank || 0));
  }
  const redraw = () => view && view.redraw && view.record.preview && view.redraw();
  S2.redrawPhoto = () => {
    if (!view || !view.redrawBar) return;
    view.redrawBar();
    const locked = lockedIn(view.record);
    for (const button of document.querySelectorAll("[data-lock]"))
      button.setAttribute("aria-pressed", String(locked.has(button.dataset.lock)));
    redraw();
  };
  S2.choose = (wanted, pinned = true) => {
    view[pinned ? "pinned" : "selected"] = wanted;
    redraw();
  };
  S2.layer = async (name) => {
    const { record, layers } = view;
    if (name === "candidates" && !layers.candidates && !record.told) {
      if (!record.crops.length) return S2.say("This photo has no crops, so no candidates");
      if (record.candidates_at === null) return S2.say("The run kept no candidates: --candidates does");
      const file = await S2.need(`candidates/${S2.pad(record.candidates_at, 5)}`);
      record.told = file[record.id];
    }
    layers[name] = !layers[name];
    S2.redrawPhoto();
  };
  // Aim, or stop it: then what was decided before holds again.
  S2.startAiming = () => {
    const { uri, preview } = view.record;
    if (!preview) return;
    view.aiming = !view.aiming;
    if (!view.aiming) return S2.review.put(uri, view.before);
    view.before = S2.review.of(uri);
    S2.review.wrong(uri);
  };
  S2.stopAiming = () => {
    view.aiming = false;
  };
  S2.lockChosen = () => {
    const chosen = crop();
    if (!chosen) return S2.say("Choose a shape first: 1 to 9");
    lock(view.record, chosen);
  };
  const isCrop = (one) => (one.fit || "crop") === "crop";
  const lockedIn = (record) => new Map((S2.review.of(record.uri) || {}).boxes || []);
  function lock(record, one) {
    if (!isCrop(one)) return S2.say("The photo is shown whole: there is no box to lock");
    S2.stopAiming();
    S2.review.lock(record.uri, one.ratio, lockedIn(record).has(one.ratio) ? null : one.box);
  }

  // Under the picture: which shape, which layers, what a person decides.
  function sideParts(record) {
    const decided = S2.review.of(record.uri),
      uri = record.uri;
    const toggle = (name, words, key, there) =>
      there
        ? S2.button(words, () => S2.layer(name), { "aria-pressed": String(view.layers[name]), title: key })
        : null;
    const act = (words, key, on, work) => {
      const decide = () => {
        S2.stopAiming();
        work(uri);
      };
      return S2.button(words, decide, { "aria-pressed": String(Boolean(on)), title: key });
    };
    const one = decided || {};
    return [
      firsts(record).length
        ? S2.el(
            "div",
            { className: "buttons shapes", role: "group", "aria-label": "Show only one crop" },
            firsts(record).map((shape, n) => {
              const button = S2.button(
                shape.ratio,
                () => S2.choose(view.pinned === shape.ratio ? null : shape.ratio),
                {
                  "data-ratio": shape.ratio,
                  title: n < 9 ? String(n + 1) : undefined,
                  "aria-pressed": String(view.pinned === shape.ratio),
                  className: shape.verdict || "",
                },
              );
              button.style.setProperty("--shape-colour", S2.shapeColour(shape.ratio));
              return button;
            }),
          )
        : null,
      record.preview
        ? S2.el(
            "div",
            { className: "buttons", role: "group", "aria-label": "Layers" },
            toggle("gaze", "Gaze", "g", record.gaze),
            toggle("objects", `Objects ${record.objects.length}`, "o", record.objects.length),
            toggle("candidates", "Candidates", "c", record.candidates_at !== null && record.crops.length),
          )
        : null,
      S2.el(
        "div",
        { className: "buttons review", role: "group", "aria-label": "Your decision" },
        act("Accept", "a", one.accept, S2.review.accept),
        record.preview
          ? S2.button(view.aiming ? "Tap the picture" : "Wrong: set focus", S2.startAiming, {
              "aria-pressed": String(Boolean(one.focus || view.aiming)),
              title: "w",
            })
          : null,
        act("Never crop", "n", one.never_crop, S2.review.neverCrop),
        act("Forget", "x", one.forget, S2.review.forget),
        decided ? act("Undo", "u", false, S2.review.undo) : null,
      ),
      decided ? S2.el("p", { className: "decided" }, S2.review.words(decided)) : null,
      record.pieced
        ? S2.el(
            "p",
            { className: "dim" },
            "This run kept no preview: the picture is put together from its crops.",
          )
        : null,
    ].filter(Boolean);
  }

  function cropFigure(record, one) {
    const whole = S2.wholeCrop(record, one),
      name = `${one.ratio}#${one.rank}`;
    const picture = whole
      ? S2.el("img", {
          src: whole,
          width: one.width,
          height: one.height,
          alt: `${one.ratio} crop`,
          decoding: "async",
        })
      : record.preview
        ? S2.tile(record, one, Math.min(240, one.height))
        : S2.el("span", { className: "nopicture" }, one.ratio);
    const frame = S2.button(
      picture,
      () => {
        const pinned = view.pinned === name || view.pinned === one.ratio;
        view.selected = null; // a tap focuses too: the second tap has to show all again
        S2.choose(pinned ? null : name);
      },
      {
        className: "frame",
        "aria-label": `Show only the ${one.ratio} crop on the photo`,
        onmouseenter: () => S2.choose(name, false),
        onmouseleave: () => S2.choose(null, false),
        onfocus: () => S2.choose(name, false),
        onblur: () => S2.choose(null, false),
      },
    );
    return S2.el(
      "figure",
      { className: one.verdict || "", "data-crop": name },
      frame,
      S2.el(
        "figcaption",
        {},
        S2.el(
          "div",
          {},
          S2.el("b", { className: "shape" }, one.ratio + (one.rank ? ` #${one.rank + 1}` : "")),
          one.confidence === undefined
            ? null
            : S2.el("span", { title: S2.SURE }, `${S2.percent(one.confidence)} sure`),
          S2.verdictChip(one),
          one.fit && one.fit !== "crop" ? S2.chip(one.fit) : null,
        ),
        S2.el("div", { className: "dim numbers" }, measures(one)),
        S2.el(
          "div",
          { className: "buttons" },
          S2.button("Copy box", () => S2.copy(one.box.join(", "), "Box copied: source pixels, x0 y0 x1 y1"), {
            "aria-label": `Copy box of ${one.ratio}`,
          }),
          S2.button("Copy CSS", () => S2.copy(css(record, one), "CSS copied"), {
            "aria-label": `Copy CSS of ${one.ratio}`,
            title: css(record, one),
          }),
          one.rank || !isCrop(one)
            ? null
            : S2.button("Lock box", () => lock(record, one), {
                "aria-label": `Lock box of ${one.ratio}`,
                "aria-pressed": String(lockedIn(record).has(one.ratio)),
                "data-lock": one.ratio,
                title: "l",
              }),
        ),
      ),
    );
  }
  function measures(one) {
    const said = [`${one.width} × ${one.height}`];
    const number = (name, words, digits = 3) => {
      if (one[name] !== undefined) said.push(`${words} ${one[name].toFixed(digits)}`);
    };
    number("score", "score");
    number("choice", "choice");
    number("margin", "lead");
    number("subject_share", "subject", 2);
    for (const [name, words] of [
      ["heads_cut", "head"],
      ["faces_cut", "face"],
      ["text_cut", "text"],
      ["objects_cut", "object"],
    ]) {
      if (one[name]) said.push(`${S2.plural(one[name], words)} cut`);
    }
    return said.join(" · ");
  }
  // Where `object-fit: cover` shows the crop's place, and `object-view-box`, which shows exactly it.
  function css(record, one) {
    const [x0, y0, x1, y1] = one.box;
    const position = (low, size, side) => (side - size < 0.5 ? 50 : (100 * low) / (side - size));
    const [width, height] = [record.width_px, record.height_px];
    const viewBox = ([left, top, right, bottom]) => {
      const inset = [top / height, 1 - right / width, 1 - bottom / height, left / width].map(
        (share) => `${(100 * share).toFixed(2)}%`,
      );
      return inset.every((side) => side === "0.00%") ? "" : `object-view-box: inset(${inset.join(" ")}); `;
    };
    if (!isCrop(one)) {
      // In a circle or beside a caption the frame is shown; what lies beside a part would show with it.
      const isPart = x0 > 0.5 || y0 > 0.5 || width - x1 > 0.5 || height - y1 > 0.5;
      const shown = viewBox(isPart || isContained(one) ? one.box : one.frame);
      return `object-fit: contain; ${shown}background-color: #${S2.run.ground};`;
    }
    return (
      `object-fit: cover; object-position: ${position(x0, x1 - x0, width).toFixed(1)}% ${position(y0, y1 - y0, height).toFixed(1)}%; ` +
      viewBox(one.box)
    ).trim();
  }
  // Whether a whole photo lies in its frame as `object-fit: contain` places it.
  function isContained({ box: [x0, y0, x1, y1], frame: [left, top, right, bottom] }) {
    const [beside, above] = [x0 - left, y0 - top];
    const isCentred = Math.abs(beside - (right - x1)) < 1 && Math.abs(above - (bottom - y1)) < 1;
    return isCentred && Math.min(beside, above) < 1;
  }

  function facts(record) {
    const rows = [["address", record.uri]];
    if (record.width_px)
      rows.push([
        "photo",
        `${record.width_px} × ${record.height_px} px, ${record.format || ""}, ${S2.count(record.bytes || 0)} bytes`,
      ]);
    if (record.complete < 1)
      rows.push(["damaged", `${S2.percent(record.complete)} of its rows could be decoded`]);
    for (const name of ["kind", "frames", "override", "focus_source", "error_stage", "error_kind"]) {
      if (record[name] !== undefined) rows.push([S2.words(name), String(record[name])]);
    }
    if (record.seconds.length)
      rows.push(["seconds", record.seconds.map(([stage, s]) => `${stage} ${s.toFixed(3)}`).join(" · ")]);
    const focus = record.focus_x === undefined ? null : `${record.focus_x}, ${record.focus_y}`;
    if (focus) rows.push(["focus", focus]);
    return S2.el(
      "div",
      { className: "facts" },
      S2.el(
        "table",
        {},
        S2.el(
          "tbody",
          {},
          [...rows, ...record.extra].map(([name, value]) =>
            S2.el("tr", {}, S2.el("th", { scope: "row" }, name), S2.el("td", {}, value)),
          ),
        ),
      ),
      S2.el(
        "div",
        { className: "buttons" },
        S2.button("Copy link", () => S2.copy(location.href, "Link copied")),
        S2.button("Copy address", () => S2.copy(record.uri, "Address copied")),
        focus
          ? S2.button("Copy focus", () => S2.copy(focus, "Focus copied: shares of width and height"))
          : null,
      ),
    );
  }
})();
