"use strict";
// Components and data loading that all pages share. Text goes into text nodes only.
const S2 = {};

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const MOST_FILES = 80; // data files kept in memory
  const waiting = new Map(); // name -> {resolve, reject}
  const kept = new Map(); // name -> promise of the value, the least recently used first

  // An element. props: properties, or attributes where they hold a dash; on…: listeners.
  S2.el = (tag, props = {}, ...children) => fill(document.createElement(tag), props, children);
  S2.svg = (tag, attributes = {}, ...children) => {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== null) node.setAttribute(name, value);
    }
    append(node, children);
    return node;
  };
  function fill(node, props, children) {
    for (const [name, value] of Object.entries(props)) {
      if (value === undefined || value === null) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "style") Object.assign(node.style, value);
      else if (name.includes("-") || name === "role") node.setAttribute(name, value);
      else node[name] = value;
    }
    append(node, children);
    return node;
  }
  function append(node, children) {
    node.append(
      ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
    );
  }

  // Data files call this; see pipeline/report/scripts.py.
  S2.take = (name, value) => {
    const one = waiting.get(name);
    waiting.delete(name);
    if (one) one.resolve(value);
  };

  // A promise of the value of data/<name>.js. A folder's page may load scripts, not fetch JSON.
  S2.need = (name) => {
    let promise = kept.get(name);
    kept.delete(name);
    if (!promise) promise = load(name);
    kept.set(name, promise);
    for (const old of kept.keys()) {
      if (kept.size <= MOST_FILES) break;
      kept.get(old).then(release, () => {});
      kept.delete(old);
    }
    return promise;
  };
  function load(name) {
    return new Promise((resolve, reject) => {
      const script = S2.el("script", { src: `data/${name}.js`, async: true });
      waiting.set(name, { resolve, reject });
      script.onload = () => script.remove();
      script.onerror = () => {
        script.remove();
        waiting.delete(name);
        kept.delete(name);
        reject(new Error(`data/${name}.js cannot be read`));
      };
      document.head.append(script);
    });
  }
  function release(value) {
    if (!Array.isArray(value)) return;
    for (const record of value) if (record && record.url) URL.revokeObjectURL(record.url);
  }

  S2.pad = (number, digits) => String(number).padStart(digits, "0");
  S2.photo = async (place) => {
    if (S2.run.overview && !(place >= 0 && place < S2.run.overview.photos))
      throw new Error("This gallery has no such photo: the link is of another one, or of an older one");
    const file = Math.floor(place / S2.run.photos_a_file);
    const records = await S2.need(`photos/${S2.pad(file, 5)}`);
    return records[place % S2.run.photos_a_file];
  };

  // The preview's address. One blob serves all pictures of the photo; a data URI would be decoded for each.
  S2.preview = (record) => {
    if (!record.preview) return null;
    if (!record.url) record.url = URL.createObjectURL(blobOf(record.preview));
    return record.url;
  };
  function blobOf(uri) {
    const comma = uri.indexOf(",");
    return new Blob([S2.bytes(uri.slice(comma + 1))], { type: uri.slice(5, uri.indexOf(";")) });
  }
  S2.bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

  // Numbers and words.
  S2.count = (number) => number.toLocaleString("en-US");
  S2.plural = (number, word) => `${S2.count(number)} ${word}${number === 1 ? "" : "s"}`;
  S2.SURE = "confidence: how likely a person is to accept the crop";
  S2.percent = (share) => `${Math.round(100 * share)} %`;
  const WORDS = {
    ok: "ok",
    review: "to review",
    fallback: "fallback",
    unjudged: "not judged",
    head_cut: "head cut",
    face_cut: "face cut",
    text_cut: "text cut",
    subject_cut: "subject cut",
    unsafe_area: "under a badge or corner",
    low_confidence: "low confidence",
    fallback_next: "next choice",
    fallback_largest: "largest crop",
    fallback_pad: "padded",
    fallback_blur: "blurred ground",
    fallback_skip: "left out",
    override: "by a person",
    override_outside: "a person's box is outside",
    overridden: "decided by a person",
    skipped: "a shape left out",
    borders: "borders left out",
    damaged: "damaged photos",
    screenshot: "screenshots",
    "text-heavy": "text-heavy pictures",
    long: "long photos",
    animated: "animated pictures",
  };
  S2.words = (name) => WORDS[name] || String(name ?? "").replaceAll("_", " ");
  S2.fileName = (uri) => uri.slice(uri.lastIndexOf("/") + 1) || uri;
  S2.folder = (uri) => uri.slice(0, uri.lastIndexOf("/") + 1);
  // A field that searches in addresses; `go` is given the text once typing has paused.
  S2.search = (text, go) => {
    let typing;
    return S2.el(
      "label",
      { className: "search" },
      S2.el("span", { className: "away" }, "Search in addresses"),
      S2.el("input", {
        type: "search",
        id: "search",
        placeholder: "Search in addresses  ( / )",
        value: text || "",
        oninput: (event) => {
          clearTimeout(typing);
          typing = setTimeout(() => go(event.target.value), 250);
        },
      }),
    );
  };
  S2.shapeColour = (ratio) => `var(--shape${S2.run.shapes.indexOf(ratio) % 8})`;

  // The part of the photo that a crop shows, cut from the preview. tall: CSS pixels; else the style's.
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
      "aria-label": label || `${crop.ratio} crop of ${S2.fileName(record.uri)}`,
    });
    if (crop.fit === "blur") tile.append(blurred(record, left, top, width, height));
    if (crop.ground) tile.style.background = crop.ground;
    // Only the box of a padded photo: beside it may be borders, which were left out.
    const frame = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    const box = `${x0} ${y0} ${x1 - x0} ${y1 - y0}`;
    tile.append(whole ? S2.svg("svg", { ...frame, viewBox: box }, picture()) : picture());
    tile.style.setProperty("--ratio", ratio);
    if (tall)
      Object.assign(tile.style, {
        height: `${tall}px`,
        width: `${Math.max(24, Math.round(tall * ratio))}px`,
      });
    return tile;
  };
  // As pipeline/photo/encoding/whole.py draws it, but larger by a third: a filter fades the edges, which lie outside.
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

  // The whole photo, small.
  S2.whole = (record) => {
    const [width, height] = [record.width_px, record.height_px];
    return S2.svg(
      "svg",
      {
        class: "whole",
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        "aria-label": S2.fileName(record.uri),
      },
      S2.svg("image", { href: S2.preview(record), width, height, preserveAspectRatio: "none" }),
    );
  };
  // Show on a whole photo only one crop's box, the rest darkened; null shows all of it again.
  S2.showOnly = (whole, record, crop) => {
    for (const old of whole.querySelectorAll(".only")) old.remove();
    if (!crop) return;
    whole.append(
      S2.svg("path", {
        d: S2.outside(crop, record.width_px, record.height_px),
        "fill-rule": "evenodd",
        class: "outside only",
      }),
      S2.outline(crop, { class: "outline only" }),
    );
  };
  S2.rectangle = ([x0, y0, x1, y1], more, ...children) =>
    S2.svg("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, ...more }, children);
  // A photo that is shown whole loses nothing to a circle: its corners touch it.
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

  // What is drawn anew loses the focus of the keyboard: where that was, and to what stands there now.
  const FOCUSABLE = "a[href], button, input, select, [tabindex='0']";
  const focusables = (root) => [...root.querySelectorAll(FOCUSABLE)];
  const nameOf = (node) =>
    node.id || node.name || node.getAttribute("aria-label") || node.title || node.textContent;
  S2.heldFocus = (root) => {
    const node = document.activeElement;
    if (node === root || !root.contains(node)) return null;
    const all = focusables(root);
    const name = nameOf(node);
    return {
      name,
      place: all.filter((one) => nameOf(one) === name).indexOf(node),
      index: all.indexOf(node),
      caret: node.type === "search" ? node.selectionStart : null,
    };
  };
  // near: where nothing of that name is left, what stands where it stood.
  S2.holdFocus = (root, held, near) => {
    if (!held) return true;
    const all = focusables(root).filter((node) => !node.disabled);
    const like = all.filter((node) => nameOf(node) === held.name);
    const node =
      like[Math.min(held.place, like.length - 1)] || (near && all[Math.min(held.index, all.length - 1)]);
    if (!node) return false;
    if (node !== document.activeElement) node.focus({ preventScroll: true });
    if (held.caret !== null) node.setSelectionRange(held.caret, held.caret);
    return true;
  };
  S2.redraw = (root, draw) => {
    const held = S2.heldFocus(root);
    draw();
    S2.holdFocus(root, held, true);
  };
  // The link's own target would be taken for a route.
  S2.skipLink = (main) =>
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault();
      main.focus();
    });

  // Moments for measuring: performance.getEntriesByType("mark").
  S2.mark = (name) => requestAnimationFrame(() => performance.mark(`s2cnet-${name}`));

  S2.chip = (text, kind = "", title) => S2.el("span", { className: `chip ${kind}`, title }, text);
  // Crops of a derived ratio have no verdict where others have; in runs without guards none has.
  S2.someJudged = () => (S2.run.pairs || []).some(([verdict]) => verdict);
  S2.verdictChip = (crop) => {
    if (!crop.verdict && S2.someJudged()) return S2.chip(S2.words("unjudged"));
    if (!crop.verdict || crop.verdict === "ok") return null;
    return S2.chip(S2.words(crop.reason || crop.verdict), crop.verdict);
  };
  S2.button = (text, onclick, more = {}) => S2.el("button", { type: "button", onclick, ...more }, text);
  S2.link = (text, href, more = {}) => S2.el("a", { href, ...more }, text);

  S2.copy = async (text, said) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = S2.el("textarea", { value: text, className: "away" });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    S2.say(said || "Copied");
  };
  let fading;
  S2.say = (text) => {
    let toast = document.getElementById("toast");
    if (!toast) document.body.append((toast = S2.el("div", { id: "toast", role: "status" })));
    toast.textContent = text;
    toast.className = "shown";
    clearTimeout(fading);
    fading = setTimeout(() => {
      toast.className = "";
    }, 1800);
  };
})();
