"use strict";
// The actions of keys and buttons on the page of one photo, and the buttons under its picture.
(() => {
  const AIM_STEP = 0.02; // share of a side

  // Show only one crop, "ratio" or "ratio#rank", permanently or while the pointer is on it; null: all.
  S2.choose = (wanted, pinned = true) => {
    S2.photoView()[pinned ? "pinned" : "selected"] = wanted;
    S2.redrawStage();
  };
  S2.layer = async (name) => {
    const { record, layers } = S2.photoView();
    if (name === "candidates" && !layers.candidates && !record.candidates) {
      if (!record.crops.length) return S2.notify("This photo has no crops, so it has no candidates");
      if (record.candidates_at === null)
        return S2.notify("The run kept no candidates; run it with --candidates");
      try {
        const file = await S2.need(`candidates/${S2.pad(record.candidates_at, 5)}`);
        record.candidates = file[record.id];
      } catch (error) {
        return S2.notify(error.message);
      }
    }
    layers[name] = !layers[name];
    S2.redrawPhoto();
  };

  // Start aiming, or cancel it and restore the previous decision.
  S2.startAiming = () => {
    const view = S2.photoView();
    const { uri, preview } = view.record;
    if (!preview) return;
    view.aiming = !view.aiming;
    view.aim = null;
    if (!view.aiming) return S2.review.put(uri, view.before);
    view.before = S2.review.of(uri);
    S2.review.wrong(uri);
  };
  S2.stopAiming = () => {
    Object.assign(S2.photoView(), { aiming: false, aim: null });
  };
  // Set the focus that is aimed at, in shares of the photo's sides, and stop aiming.
  S2.setFocus = ([x, y]) => {
    S2.stopAiming();
    S2.review.focus(S2.photoView().record.uri, x, y);
  };
  // The keys that aim without a pointer, none unless a focus is to be set.
  S2.aimKeys = () => {
    const { aiming, aim } = S2.photoView();
    if (!aiming) return {};
    const moves = {
      ArrowLeft: () => moveAim(-1, 0),
      ArrowRight: () => moveAim(1, 0),
      ArrowUp: () => moveAim(0, -1),
      ArrowDown: () => moveAim(0, 1),
    };
    return aim ? { ...moves, Enter: () => S2.setFocus(aim) } : moves;
  };
  // Move the mark from where it is, first from the photo's focus or its middle.
  function moveAim(right, down) {
    const view = S2.photoView();
    const [x, y] = view.aim || S2.focusOf(view.record) || [0.5, 0.5];
    view.aim = [S2.aimedShare(x + right * AIM_STEP), S2.aimedShare(y + down * AIM_STEP)];
    S2.redrawStage();
    const [across, below] = view.aim.map(S2.percent);
    S2.say(`Focus at ${across} of the width, ${below} of the height: Enter sets it`);
  }

  // Whether a person locked the box of a crop; another crop of its shape may be the locked one.
  S2.isLocked = (record, { ratio, box }) => {
    const locked = new Map((S2.review.of(record.uri) || {}).boxes || []);
    return String(locked.get(ratio)) === String(box);
  };
  S2.lockChosen = () => {
    const chosen = S2.chosenCrop();
    if (!chosen) return S2.notify("Choose a shape first: 1 to 9");
    S2.lockBox(S2.photoView().record, chosen);
  };
  // Lock a crop's box for its shape, or unlock it.
  S2.lockBox = (record, crop) => {
    if (!S2.isCut(crop)) return S2.notify("The photo is shown whole: there is no box to lock");
    S2.stopAiming();
    S2.review.lock(record.uri, crop.ratio, S2.isLocked(record, crop) ? null : crop.box);
  };

  // Buttons for the shape, the layers and a person's decision.
  S2.sideParts = (record) => {
    const decided = S2.review.of(record.uri);
    return [
      record.crops.length ? shapeButtons(S2.bestCrops(record)) : null,
      record.preview || S2.hasSafeAreas() ? layerButtons(record) : null,
      decisionButtons(record, decided),
      decided ? S2.el("p", { className: "decided" }, S2.review.words(decided)) : null,
      record.pieced
        ? S2.el(
            "p",
            { className: "dim" },
            "This run kept no preview: the picture is composed of its crops.",
          )
        : null,
    ].filter(Boolean);
  };
  function shapeButtons(crops) {
    const { pinned } = S2.photoView();
    return S2.el(
      "div",
      { className: "buttons shapes", role: "group", "aria-label": "Show only one crop" },
      crops.map(({ ratio, verdict }, n) => {
        const choose = () => S2.choose(S2.photoView().pinned === ratio ? null : ratio);
        const button = S2.button(ratio, choose, {
          "data-ratio": ratio,
          title: n < 9 ? String(n + 1) : undefined,
          "aria-pressed": String(pinned === ratio),
          className: verdict || "",
        });
        button.style.setProperty("--shape-colour", S2.shapeColour(ratio));
        return button;
      }),
    );
  }
  function layerButtons(record) {
    const { layers } = S2.photoView();
    const toggle = (name, words, key, there) =>
      record.preview && there
        ? S2.button(words, () => S2.layer(name), { "aria-pressed": String(layers[name]), title: key })
        : null;
    return S2.el(
      "div",
      { className: "buttons", role: "group", "aria-label": "Layers" },
      toggle("gaze", "Gaze", "g", record.gaze),
      toggle("objects", `Objects ${record.objects.length}`, "o", record.objects.length),
      toggle("candidates", "Candidates", "c", record.candidates_at !== null && record.crops.length),
      record.crops.length ? S2.safeAreasButton() : null,
    );
  }
  function decisionButtons(record, decided) {
    const { aiming } = S2.photoView();
    const one = decided || {};
    const act = (words, key, on, work) => {
      const decide = () => {
        S2.stopAiming();
        work(record.uri);
      };
      return S2.button(words, decide, { "aria-pressed": String(Boolean(on)), title: key });
    };
    return S2.el(
      "div",
      { className: "buttons review", role: "group", "aria-label": "Your decision" },
      act("Accept", "a", one.accept, S2.review.accept),
      record.preview
        ? S2.button(aiming ? "Tap, or arrows and Enter" : "Wrong: set focus", S2.startAiming, {
            "aria-pressed": String(Boolean(one.focus || aiming)),
            title: "w",
          })
        : null,
      act("Never crop", "n", one.never_crop, S2.review.neverCrop),
      act("Forget", "x", one.forget, S2.review.forget),
      decided ? act("Undo", "u", false, S2.review.undo) : null,
    );
  }
})();
