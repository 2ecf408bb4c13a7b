"use strict";
// Load data files, photos and previews on demand.
(() => {
  const MOST_FILES = 80; // data files kept in memory
  const waiting = new Map(); // name -> {resolve, reject}
  const kept = new Map(); // name -> promise of the value, the least recently used first

  // Data files call this; see pipeline/report/scripts.py.
  S2.take = (name, value) => {
    const one = waiting.get(name);
    waiting.delete(name);
    if (one) one.resolve(value);
  };

  // A promise of the value in data/<name>.js. A page opened from a folder may load scripts, but not fetch JSON.
  S2.need = (name) => {
    let promise = kept.get(name);
    kept.delete(name);
    if (!promise) promise = load(name);
    kept.set(name, promise);
    for (const old of kept.keys()) {
      if (kept.size <= MOST_FILES) break;
      if (waiting.has(old)) continue; // a second request of the same file would take its answer
      kept.get(old).then(release, () => {});
      kept.delete(old);
    }
    return promise;
  };
  function load(name) {
    return new Promise((resolve, reject) => {
      const script = S2.el("script", { src: `data/${name}.js`, async: true });
      waiting.set(name, { resolve, reject });
      // A script that is cut off is loaded too, and then has not called `take`.
      script.onload = script.onerror = () => {
        script.remove();
        if (!waiting.delete(name)) return;
        kept.delete(name);
        reject(new Error(`data/${name}.js cannot be read: reload the page, or write the pages again`));
      };
      document.head.append(script);
    });
  }
  function release(value) {
    if (!Array.isArray(value)) return;
    for (const record of value) {
      if (record.url) URL.revokeObjectURL(record.url);
      record.url = null; // a page that still shows the photo makes another
    }
  }

  S2.pad = (number, digits) => String(number).padStart(digits, "0");
  S2.photo = async (place) => {
    if (S2.run.overview && !(Number.isInteger(place) && place >= 0 && place < S2.run.overview.photos))
      throw new Error("This gallery has no such photo: the link belongs to another or an older gallery");
    const file = Math.floor(place / S2.run.photos_a_file);
    const records = await S2.need(`photos/${S2.pad(file, 5)}`);
    return records[place % S2.run.photos_a_file];
  };

  // The preview's address. All pictures of a photo share one blob; a data URI would be decoded for each.
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

  // Performance marks for benchmarks: performance.getEntriesByType("mark").
  S2.mark = (name) => requestAnimationFrame(() => performance.mark(`s2cnet-${name}`));
})();
