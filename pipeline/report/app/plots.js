"use strict";
// Plots as SVG. Each function takes figures from data/run.js and returns an element.
(() => {
  const WIDTH = 300;
  // A screen reader reads a group's texts and links; of a picture it has only the label.
  const plot = (height, label, children, width = WIDTH, role = "img") =>
    S2.svg(
      "svg",
      { class: "plot", viewBox: `0 0 ${width} ${height}`, role, "aria-label": label },
      children,
    );
  const text = (x, y, content, anchor = "start", cls = "") =>
    S2.svg("text", { x, y, "text-anchor": anchor, class: cls }, content);

  // rows: [label, [[kind, count], …], href]; kinds are classes of the fill.
  S2.stackedBars = (title, rows) => {
    const [right, step] = [56, 26];
    const left = 16 + 6.6 * Math.max(6, ...rows.map(([label]) => label.length));
    const most = Math.max(1, ...rows.map(([, parts]) => sum(parts)));
    const marks = rows.flatMap(([label, parts, href], n) => {
      const y = n * step + 4;
      let x = left;
      const bars = parts
        .filter(([, count]) => count)
        .map(([kind, count]) => {
          const width = Math.max(1, (count / most) * (WIDTH - left - right));
          const bar = S2.svg(
            "rect",
            { x, y, width: Math.max(0.5, width - 1), height: 15, rx: 2, class: `fill ${kind}` },
            S2.svg("title", {}, `${label}: ${counted(kind, count)}`),
          );
          x += width;
          return bar;
        });
      const name = text(left - 8, y + 12, label, "end", "label");
      const row = [name, ...bars, text(x + 6, y + 12, S2.count(sum(parts)), "start", "value")];
      return href ? [S2.svg("a", { href }, row)] : row;
    });
    return plot(rows.length * step + 4, title, marks, WIDTH, "group");
  };
  const counted = (kind, count) => (kind === "plain" ? S2.count(count) : `${S2.count(count)} ${S2.words(kind)}`);
  const sum = (parts) => parts.reduce((total, [, count]) => total + count, 0);

  // parts: [[kind, counts], …], stacked in equal bins from low to high.
  S2.histogram = (title, { low, high, parts }, labels, width = WIDTH) => {
    const height = width < WIDTH ? 92 : 150,
      base = height - 20;
    const bins = parts[0][1].length,
      wide = width / bins;
    const totals = parts[0][1].map((_, n) => parts.reduce((total, [, counts]) => total + counts[n], 0));
    const highest = Math.max(0, ...totals);
    const most = Math.max(1, highest);
    const note = highest ? `highest bar: ${S2.plural(highest, "crop")}` : "no crops";
    const filled = new Array(bins).fill(0);
    const edge = (n) => round(low + ((high - low) * n) / bins);
    const span = (n) => `${edge(n)} to ${edge(n + 1)}`;
    const peak = highest ? `, at ${span(totals.indexOf(highest))}` : "";
    const bars = parts.flatMap(([kind, counts]) =>
      counts.map((count, n) => {
        if (!count) return null;
        const tall = (count / most) * (base - 14);
        filled[n] += tall;
        return S2.svg(
          "rect",
          {
            x: n * wide + 0.5,
            y: base - filled[n],
            width: wide - 1,
            height: Math.max(tall, 0.5),
            class: `fill ${kind || "plain"}`,
          },
          S2.svg("title", {}, `${span(n)}: ${counted(kind || "plain", count)}`),
        );
      }),
    );
    return plot(
      height,
      `${title}, ${labels[0]} to ${labels[1]}; ${note}${peak}`,
      [
        bars,
        S2.svg("line", { x1: 0, x2: width, y1: base, y2: base, class: "axis" }),
        text(0, base + 16, labels[0]),
        text(width, base + 16, labels[1], "end"),
        width < WIDTH ? null : text(width, 10, note, "end"),
      ],
      width,
    );
  };
  const round = (number) => (Math.abs(number) < 10 ? number.toFixed(2) : number.toFixed(0));

  // Positions of one shape's crops: the photo as a square of cells, darker with more crop centres.
  S2.heatMap = (title, { centres, median }, colour) => {
    const side = 120,
      cells = centres.length,
      wide = side / cells;
    const most = Math.max(1, ...centres.flat());
    const marks = centres.flatMap((row, y) =>
      row.map((count, x) => {
        if (!count) return null;
        const cell = S2.svg(
          "rect",
          { x: x * wide, y: y * wide, width: wide, height: wide, class: "heat" },
          S2.svg("title", {}, S2.plural(count, "crop")),
        );
        cell.style.fill = colour;
        cell.style.fillOpacity = 0.12 + 0.88 * Math.sqrt(count / most);
        return cell;
      }),
    );
    const box =
      median &&
      S2.rectangle(
        median.map((edge) => edge * side),
        { class: "median" },
      );
    const [left, top, right, bottom] = (median || []).map(S2.percent);
    const label = median
      ? `${title}; the median box spans ${left} to ${right} of the width, ${top} to ${bottom} of the height`
      : title;
    return S2.svg(
      "svg",
      { class: "heatmap", viewBox: `-1 -1 ${side + 2} ${side + 2}`, role: "img", "aria-label": label },
      S2.svg("rect", { width: side, height: side, class: "frame" }),
      marks,
      box,
    );
  };

  // A plot with its title and an explanation: text, or elements.
  S2.plotCard = (title, note, body, className = "plotcard") =>
    S2.el(
      "figure",
      { className },
      S2.el(
        "figcaption",
        {},
        S2.el("b", {}, title),
        note ? S2.el("span", { className: "dim" }, note) : null,
      ),
      body,
    );
})();
