"use strict";
// The messages, a page of rows at a time: for each its deliveries, side effects and end.

Plots.messages = (() => {
  const { rows, lanes } = Plots.content, { seconds } = Plots;
  const SIZE = 40, HEIGHT = 17, BAR = 0.62; // rows on a page, pixels of a row, the part of it that deliveries fill
  const source = () => new Bokeh.ColumnDataSource({ data: {} });
  const sources = { found: source(), lives: source(), spans: source(), effects: source(), ends: source() };
  let plot = null, ordered = rows, first = 0, found = new Set();

  function draw() {
    plot = Plots.figure("messages", HEIGHT, { x_axis_location: "above", y_range: new Bokeh.Range1d({ start: 0.5, end: -0.5 }) });
    plot.ygrid.visible = false;
    const y = { field: "y" }, x = { field: "x" }, left = { field: "begin" }, right = { field: "right" };
    const band = plot.hbar({
      y, height: 1, left: -Plots.room, right: Plots.end + Plots.room, source: sources.found, fill_alpha: 0.16, line_color: null,
    });
    const lives = plot.hbar({ y, height: 0.1, left, right, source: sources.lives, line_color: null });
    const hue = { field: "hue" };
    const spans = plot.hbar({
      y, height: { field: "height" }, left, right, source: sources.spans, fill_color: hue, line_color: hue, fill_alpha: 0.55, line_width: 1.5,
    });
    const effects = plot.scatter({ x, y, marker: { field: "marker" }, source: sources.effects, size: 9, line_width: 1.5 });
    const ends = plot.text({
      x, y, text: { field: "text" }, source: sources.ends,
      x_offset: 7, text_font_size: "12px", text_font_style: "bold", text_baseline: "middle",
    });
    Plots.hover(plot, [effects]);
    Plots.hover(plot, [spans], { point_policy: "follow_mouse" });
    Plots.painter((colour) => {
      const [ink, bad, raised] = ["ink", "bad", "raised"].map(colour);
      plot.yaxis.major_label_text_color = ink;
      band.glyph.fill_color = colour("accent");
      lives.glyph.fill_color = colour("life");
      effects.glyph.fill_color = Plots.coloured("kind", { once: ink, twice: bad, open: raised });
      effects.glyph.line_color = Plots.coloured("kind", { once: raised, twice: raised, open: ink });
      ends.glyph.text_color = Plots.coloured("text", { "✓": colour("good"), "✕": bad });
    });
    order("eventful");
  }

  /** Fill the page with its rows. */
  function fill() {
    if (!plot) return;
    const shown = ordered.slice(first, first + SIZE);
    Plots.nameLines(plot, shown.map(name));
    plot.y_range.setv({ start: shown.length - 0.5, end: -0.5 });
    plot.frame_height = shown.length * HEIGHT;
    put(sources.found, shown.flatMap((row, y) => (found.has(row.id) ? [{ y }] : [])), ["y"]);
    put(sources.lives, shown.flatMap((row, y) => (row.sent === null ? [] : [{ y, begin: row.sent, right: row.settled ?? Plots.end }])),
      ["y", "begin", "right"]);
    put(sources.spans, shown.flatMap((row, y) => row.spans.map((span) => ({ ...spanOf(row, span), ...trackOf(y, span) }))),
      ["y", "height", "begin", "right", "hue", "title", "said", "where"]);
    put(sources.effects, shown.flatMap((row, y) => row.effects.map((effect) => ({ ...effectOf(row, effect), y: placeOf(y, row, effect) }))),
      ["y", "x", "kind", "marker", "title", "said", "where"]);
    put(sources.ends, shown.flatMap((row, y) => (row.settled === null ? [] : [{ y, x: row.settled, text: row.dead ? "✕" : "✓" }])),
      ["y", "x", "text"]);
  }

  /** Give a source the columns of a list of objects. */
  function put(into, items, names) {
    into.data = Object.fromEntries(names.map((each) => [each, items.map((item) => item[each])]));
  }

  function spanOf(row, [lane, begin, right, count]) {
    const where = `at ${seconds(begin)} · kept from others for ${seconds(right - begin)}`;
    return { begin, right, hue: Plots.hue(lane), title: row.name, said: `receive ${count}, by ${lanes[lane]}`, where };
  }

  /** Where a delivery is in its row: it shares the height with those that overlap it. */
  function trackOf(y, [, , , , track, of]) {
    return { y: y + BAR * ((track + 0.5) / of - 0.5), height: BAR / of };
  }

  /** Where a side effect is: on the delivery that it is due to. */
  function placeOf(y, row, [lane, x]) {
    const due = row.spans.findLast(([by, begin, right]) => by === lane && begin <= x && x <= right);
    return due ? trackOf(y, due).y : y;
  }

  function effectOf(row, [lane, x, status, executions]) {
    const [kind, said] = status !== "ok" ? ["open", "failed, or nobody knows"]
      : executions > 1 ? ["twice", `done ${executions} times`] : ["once", "done"];
    const marker = kind === "open" ? "diamond" : "circle";
    return { x, kind, marker, said, title: `${row.name}: side effect`, where: `by ${lanes[lane]} · at ${seconds(x)}` };
  }

  function name(row) {
    return [row.accused ? "✗ " : "", row.name, row.group ? ` · ${row.group}` : "", row.poison ? " · poison" : ""].join("");
  }

  /** Order the rows "as sent", or "eventful": those first that most happened to. */
  function order(by) {
    ordered = by === "eventful" ? [...rows].sort((one, other) => events(other) - events(one)) : rows;
    turn(0);
  }

  function events(row) {
    const odd = row.effects.filter(([, , status, executions]) => status !== "ok" || executions > 1).length;
    return (row.accused ? 1e6 : 0) + (row.dead ? 1e4 : 0) + odd * 100 + row.spans.length;
  }

  /** Show the page that a row is on. */
  function turn(to) {
    if (to >= 0 && to < ordered.length) first = Math.floor(to / SIZE) * SIZE;
    fill();
  }

  /** Make messages stand out by their ids, and show the page of the first. */
  function point(ids) {
    found = new Set(ids);
    turn(ordered.findIndex((row) => found.has(row.id)));
  }

  /** Show the time of the messages on the page. */
  function fit() {
    const moments = ordered.slice(first, first + SIZE).flatMap((row) =>
      [row.sent, row.settled, ...row.spans.flatMap(([, begin, end]) => [begin, end])]);
    Plots.lookAt(moments.filter((each) => each !== null), 0.03, 0.0001);
  }

  return {
    draw, order, turn, point, fit,
    page: () => ({ first, last: Math.min(ordered.length, first + SIZE), size: SIZE, of: ordered.length }),
    named: (wanted) => ordered.find((row) => row.name === wanted),
    found: () => sources.found.data.y.length,
  };
})();
