"use strict";
// The plots of a report, drawn by BokehJS. page.js tells them what to show; nothing here knows of links or buttons.
//
//   Plots.draw()                    draw everything into the page's boxes
//   Plots.point(marks, messages)    make these marks and messages stand out; null for none
//   Plots.look(from, to)            show a part of the time, in seconds; no arguments: all of it
//   Plots.order(by), Plots.turn(to) show the messages in another order, another page of them
//   Plots.fit()                     show the time of the messages on the page
//   Plots.paint()                   take the colours of page.css anew

const Plots = (() => {
  const C = JSON.parse(document.getElementById("plots").textContent);
  const LEFT = 168, RIGHT = 16, LABEL = 22;
  const ROWS = 40, ROW = 17;
  const SOME = 0.001;
  // Eight hues that colour-blind eyes tell apart (Okabe and Ito), for who holds a message.
  const HUES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c7ae6", "#999933"];
  const holders = [...new Set(C.rows.flatMap((row) => row.spans.map((span) => span[0])))].sort((one, other) => one - other);
  const hue = (lane) => HUES[Math.max(0, holders.indexOf(lane)) % HUES.length];

  const end = Math.max(C.end, SOME), room = end * 0.015;
  const time = new Bokeh.Range1d({ start: -room, end: end + room, bounds: [-room, end + room], min_interval: end * 1e-5 });
  const crosshair = new Bokeh.Span({ dimension: "height", line_width: 1, line_dash: "dotted" });
  const figures = [];
  let views = null; // the library's own, once all is drawn
  const painted = []; // what takes its colours from page.css: functions of colour(name)

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const seconds = (value) => (value < 1 ? `${+(value * 1000).toFixed(2)} ms` : `${+value.toFixed(3)} s`);
  const short = (text, most = LABEL) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  // Bokeh would take what stands between two pairs of dollars for TeX, and fetch MathJax.
  const plain = (text) => text.replaceAll("$$", "$ $");

  // --- what all plots have in common -------------------------------------------------------------------------------

  function figure(id, height, options = {}) {
    const made = Bokeh.Plotting.figure({
      name: id, frame_height: height, sizing_mode: "stretch_width", x_range: time, tools: [], toolbar_location: null,
      min_border_left: LEFT, min_border_right: RIGHT, min_border_top: 4, min_border_bottom: 9, outline_line_color: null,
      background_fill_alpha: 0, border_fill_alpha: 0, ...options,
    });
    const drag = new Bokeh.BoxZoomTool({ dimensions: "width" });
    const wheel = new Bokeh.WheelZoomTool({ dimensions: "width", modifiers: { ctrl: true } });
    made.add_tools(drag, wheel, new Bokeh.CrosshairTool({ dimensions: "height", overlay: crosshair }));
    made.toolbar.active_drag = drag;
    made.toolbar.active_scroll = wheel;
    made.on_event("doubletap", () => look());
    made.xaxis.formatter = new Bokeh.BasicTickFormatter({ use_scientific: false });
    made.xaxes[0].ticker.desired_num_ticks = 9;
    const text = { major_label_text_font: "system-ui, sans-serif", major_label_text_font_size: "12px" };
    for (const axis of [...made.xaxes, ...made.yaxes]) axis.setv({ ...text, axis_line_color: null, minor_tick_line_color: null, major_tick_line_color: null });
    painted.push((of) => {
      for (const axis of [...made.xaxes, ...made.yaxes]) axis.major_label_text_color = of("soft");
      made.xgrid.grid_line_color = of("grid");
      made.ygrid.grid_line_color = of("grid");
      drag.overlay.setv({ fill_color: of("accent"), fill_alpha: 0.12, line_color: of("accent"), line_dash: [] });
    });
    figures.push({ id, made });
    return made;
  }

  function hover(plot, renderers, more = {}) {
    const words = '<div style="max-width:420px;font:13px/1.45 system-ui,sans-serif;white-space:normal"><b>@title</b> @said'
      + '<div style="opacity:.72">@where</div></div>';
    plot.add_tools(new Bokeh.HoverTool({ renderers, tooltips: words, attachment: "vertical", limit: 3, ...more }));
  }

  function kinds(plot, entries, named) {
    // A renderer for each kind, so that the legend can hide it; all look at the same source, so one selection is enough.
    return entries.map((entry) => {
      const view = new Bokeh.CDSView({ filter: new Bokeh.GroupFilter({ column_name: "kind", group: entry.kind }) });
      const renderer = named(entry, view);
      renderer.name = entry.kind;
      return { entry, renderer };
    });
  }

  // --- the time line -----------------------------------------------------------------------------------------------

  const marks = C.marks;
  const source = new Bokeh.ColumnDataSource({ data: {
    ...marks,
    right: marks.end.map((value, at) => value ?? marks.begin[at]),
    key: marks.lane.map((lane, at) => `${C.lanes[lane]}/${marks.index[at]}`),
    title: marks.kind.map((kind, at) => label(kind) + (marks.status[at] === "ok" ? "" : marks.status[at] === "fail" ? " (failed)" : " (outcome unknown)")),
    where: marks.lane.map((lane, at) => `${C.lanes[lane]} · at ${seconds(marks.begin[at])} · ${lasted(at)}`),
  } });
  const signs = new Bokeh.ColumnDataSource({ data: {
    ...C.signs,
    title: C.signs.kind.map((kind) => C.legend.signs.find((entry) => entry.kind === kind).label),
    where: C.signs.lane.map((lane, at) => `${C.lanes[lane]} · at ${seconds(C.signs.time[at])}`),
  } });

  function label(kind) { return C.legend.marks.find((entry) => entry.kind === kind).label; }
  function lasted(at) { return marks.end[at] === null ? "never answered" : `took ${seconds(marks.end[at] - marks.begin[at])}`; }

  const MARKERS = {
    crash: { marker: "x", size: 15, line_width: 3.5 }, fault: { marker: "x", size: 9, line_width: 2 },
    killed: { marker: "square", size: 9 }, ended: { marker: "square_pin", size: 8 },
    again: { marker: "inverted_triangle", size: 8 }, twice: { marker: "star", size: 15 }, dead: { marker: "diamond", size: 11 },
  };
  const CROWD = 150; // more signs than this of one kind are drawn smaller, and without edges that would hide each other
  let legend = [];

  function lanes() {
    const count = C.lanes.length, height = count <= 10 ? 42 : count <= 20 ? 32 : 24;
    const plot = figure("lanes", Math.max(1, count) * height, {
      y_range: new Bokeh.Range1d({ start: count - 0.5, end: -0.5 }), x_axis_location: "above", output_backend: "canvas",
    });
    plot.yaxis.ticker = new Bokeh.FixedTicker({ ticks: C.lanes.map((_, at) => at) });
    plot.yaxis.major_label_overrides = new Map(C.lanes.map((name, at) => [at, plain(short(name))]));
    plot.ygrid.visible = false;
    const edges = C.lanes.slice(1).map((_, at) => new Bokeh.Span({ dimension: "width", location: at + 0.5, line_width: 1 }));
    const chips = holders.map((lane) => new Bokeh.BoxAnnotation({
      left: new Bokeh.Node({ target: "frame", symbol: "left" }), right: new Bokeh.Node({ target: "frame", symbol: "left", offset: 5 }),
      top: lane - 0.42, bottom: lane + 0.42, fill_color: hue(lane), fill_alpha: 0.9, line_color: null,
    }));
    for (const each of [...edges, ...chips]) plot.add_layout(each);
    const drawn = kinds(plot, C.legend.marks, (entry, view) => plot.hbar({
      y: { field: "y" }, height: 0.25, left: { field: "begin" }, right: { field: "right" }, source, view, line_width: 1.6, line_join: "round", nonselection_fill_alpha: 0.1, nonselection_line_alpha: 0.1,
    }));
    const flags = kinds(plot, C.legend.signs, (entry, view) => plot.scatter({
      x: { field: "time" }, y: { field: "y" }, source: signs, view, nonselection_alpha: 0.12,
      ...MARKERS[entry.kind], ...(entry.count > CROWD ? { size: 6, alpha: 0.6 } : {}),
    }));
    legend = [...drawn, ...flags];
    hover(plot, drawn.map((each) => each.renderer), { point_policy: "follow_mouse" });
    hover(plot, flags.map((each) => each.renderer));
    painted.push((of) => {
      for (const edge of edges) edge.line_color = of("line");
      crosshair.line_color = of("soft");
      plot.yaxis.major_label_text_color = of("ink");
      const status = new Bokeh.CategoricalColorMapper({ factors: ["fail", "unknown"], palette: [of("bad"), of("bad")] });
      for (const { entry, renderer } of drawn) {
        const own = new Bokeh.CategoricalColorMapper({ factors: ["ok", "fail", "unknown"], palette: [of(entry.colour), of(entry.colour), of("raised")] });
        const edge = new Bokeh.CategoricalColorMapper({ factors: status.factors, palette: status.palette, nan_color: of(entry.colour) });
        renderer.glyph.setv({ fill_color: { field: "status", transform: own }, line_color: { field: "status", transform: edge } });
        for (const glyph of [renderer.nonselection_glyph, renderer.selection_glyph]) {
          glyph?.setv?.({ fill_color: { field: "status", transform: own }, line_color: { field: "status", transform: edge } });
        }
      }
      for (const { entry, renderer } of flags) {
        const bare = MARKERS[entry.kind].marker === "x" || entry.count > CROWD;
        for (const glyph of [renderer.glyph, renderer.nonselection_glyph, renderer.selection_glyph]) {
          glyph?.setv?.({ line_color: of(bare ? entry.colour : "raised"), fill_color: of(entry.colour) });
        }
      }
    });
  }

  // --- the curves --------------------------------------------------------------------------------------------------

  function curve(id, lines) {
    const most = Math.max(1, ...lines.flatMap((line) => line.values));
    const plot = figure(id, 92, { y_range: new Bokeh.Range1d({ start: 0, end: most * 1.08 }) });
    plot.xaxis.visible = false;
    plot.yaxes[0].ticker.setv({ desired_num_ticks: 4, min_interval: lines[0].smooth ? 0 : 1 });
    const times = lines[0].times ?? C.curves.times;
    const data = new Bokeh.ColumnDataSource({ data: {
      times, title: times.map(seconds), where: times.map(() => ""),
      said: times.map((_, at) => lines.map((line) => `${line.values[at]} ${line.words}`).join(" · ")),
      ...Object.fromEntries(lines.map((line, at) => [`line${at}`, line.values])),
    } });
    const drawn = lines.map((line, at) => {
      const field = { field: `line${at}` };
      const under = plot.varea_step({ x: { field: "times" }, y1: 0, y2: field, source: data, step_mode: "after", fill_alpha: line.under ?? 0 });
      const over = line.smooth
        ? plot.line({ x: { field: "times" }, y: field, source: data, line_width: 2 })
        : plot.step({ x: { field: "times" }, y: field, source: data, mode: "after", line_width: 2, line_dash: line.dash ?? [] });
      painted.push((of) => { under.glyph.fill_color = of(line.colour); over.glyph.line_color = of(line.colour); });
      return over;
    });
    const touched = plot.scatter({ x: { field: "times" }, y: { field: "line0" }, source: data, size: 1, alpha: 0 });
    hover(plot, [touched], { mode: "vline", limit: 1 });
    return drawn;
  }

  function curves() {
    const of = C.curves;
    curve("flow", [
      { words: "sent", values: of.sent, colour: "send" },
      { words: "side effects", values: of.done, colour: "perform" },
      { words: "out of the queue", values: of.over, colour: "good", under: 0.2 },
    ]);
    curve("depth", [
      { words: "in the queue", values: of.waiting, colour: "accent" },
      { words: "in flight", values: of.held, colour: "visibility", under: 0.2 },
    ]);
    curve("age", [{ words: "s old", values: of.age, colour: "again", under: 0.15, smooth: true }]);
    if (!C.consumers) return;
    document.getElementById("consumers-part").hidden = false;
    curve("consumers", [{ words: "consumers", times: C.consumers.times, values: C.consumers.running, colour: "complete", under: 0.2 }]);
  }

  // --- messages ----------------------------------------------------------------------------------------------------

  const empty = () => new Bokeh.ColumnDataSource({ data: {} });
  const sources = { found: empty(), lives: empty(), spans: empty(), effects: empty(), ends: empty() };
  let ordered = [], first = 0, foundMessages = new Set(), rowsPlot = null;

  function eventful(row) {
    const failed = row.effects.filter((effect) => effect[2] !== "ok" || effect[3] > 1).length;
    return (row.accused ? 1e6 : 0) + (row.dead ? 1e4 : 0) + failed * 100 + row.spans.length;
  }

  function order(by) {
    ordered = [...C.rows];
    if (by === "eventful") ordered.sort((one, other) => eventful(other) - eventful(one));
    first = 0;
    rows();
  }

  function rows() {
    const shown = ordered.slice(first, first + ROWS);
    const each = (list) => shown.flatMap((row, at) => list(row).map((item) => [at, row, item]));
    const spans = each((row) => row.spans), effects = each((row) => row.effects);
    const lives = shown.map((row, at) => [at, row]).filter(([, row]) => row.sent !== null);
    const ends = shown.map((row, at) => [at, row]).filter(([, row]) => row.settled !== null);
    sources.found.data = { y: shown.map((row, at) => [at, row]).filter(([, row]) => foundMessages.has(row.id)).map(([at]) => at) };
    sources.lives.data = { y: lives.map(([at]) => at), begin: lives.map(([, row]) => row.sent), right: lives.map(([, row]) => row.settled ?? end) };
    sources.spans.data = {
      y: spans.map(([at]) => at), begin: spans.map(([, , span]) => span[1]), right: spans.map(([, , span]) => span[2]),
      colour: spans.map(([, , span]) => hue(span[0])), title: spans.map(([, row]) => row.name),
      said: spans.map(([, , span]) => `receive ${span[3]}, by ${C.lanes[span[0]]}`),
      where: spans.map(([, , span]) => `at ${seconds(span[1])} · kept from others for ${seconds(span[2] - span[1])}`),
    };
    sources.effects.data = {
      y: effects.map(([at]) => at), x: effects.map(([, , effect]) => effect[1]),
      kind: effects.map(([, , effect]) => (effect[2] !== "ok" ? "open" : effect[3] > 1 ? "twice" : "once")),
      marker: effects.map(([, , effect]) => (effect[2] === "ok" ? "circle" : "diamond")),
      title: effects.map(([, row]) => `${row.name}: side effect`),
      said: effects.map(([, , effect]) => (effect[2] !== "ok" ? "failed, or nobody knows" : effect[3] > 1 ? `done ${effect[3]} times` : "done")),
      where: effects.map(([, , effect]) => `by ${C.lanes[effect[0]]} · at ${seconds(effect[1])}`),
    };
    sources.ends.data = {
      y: ends.map(([at]) => at), x: ends.map(([, row]) => row.settled), kind: ends.map(([, row]) => (row.dead ? "dead" : "gone")),
      text: ends.map(([, row]) => (row.dead ? "✕" : "✓")),
    };
    rowsPlot.yaxis.ticker = new Bokeh.FixedTicker({ ticks: shown.map((_, at) => at) });
    rowsPlot.yaxis.major_label_overrides = new Map(shown.map((row, at) => [at, name(row)]));
    rowsPlot.y_range.setv({ start: Math.max(1, shown.length) - 0.5, end: -0.5 });
    rowsPlot.frame_height = Math.max(1, shown.length) * ROW;
  }

  function fit() {
    const shown = ordered.slice(first, first + ROWS);
    const times = shown.flatMap((row) => [row.sent, row.settled, ...row.spans.flatMap((span) => [span[1], span[2]])]).filter((each) => each !== null);
    if (!times.length) return;
    const from = Math.min(...times), to = Math.min(end, Math.max(...times)), about = Math.max((to - from) * 0.03, SOME);
    look(from - about, to + about);
  }

  function name(row) {
    return plain(short([row.accused ? "✗ " : "", row.name, row.group ? ` · ${row.group}` : "", row.poison ? " · poison" : ""].join(""), 24));
  }

  function messages() {
    const plot = figure("messages", ROW, { x_axis_location: "above", y_range: new Bokeh.Range1d({ start: 0.5, end: -0.5 }) });
    rowsPlot = plot;
    plot.ygrid.visible = false;
    const found = plot.hbar({ y: { field: "y" }, height: 1, left: -room, right: end + room, source: sources.found, fill_alpha: 0.16, line_color: null });
    const lives = plot.hbar({
      y: { field: "y" }, height: 0.1, left: { field: "begin" }, right: { field: "right" }, source: sources.lives, line_color: null,
    });
    const spans = plot.hbar({
      y: { field: "y" }, height: 0.62, left: { field: "begin" }, right: { field: "right" }, source: sources.spans, fill_color: { field: "colour" }, line_color: { field: "colour" }, fill_alpha: 0.55, line_width: 1.5,
    });
    const effects = plot.scatter({
      x: { field: "x" }, y: { field: "y" }, marker: { field: "marker" }, source: sources.effects, size: 9, line_width: 1.5,
    });
    const ends = plot.text({
      x: { field: "x" }, y: { field: "y" }, text: { field: "text" }, source: sources.ends, x_offset: 7, text_font_size: "12px", text_font_style: "bold", text_baseline: "middle",
    });
    hover(plot, [effects]);
    hover(plot, [spans], { point_policy: "follow_mouse" });
    painted.push((of) => {
      found.glyph.fill_color = of("accent");
      lives.glyph.fill_color = of("life");
      plot.yaxis.major_label_text_color = of("ink");
      const fill = new Bokeh.CategoricalColorMapper({ factors: ["once", "twice", "open"], palette: [of("ink"), of("bad"), of("raised")] });
      const line = new Bokeh.CategoricalColorMapper({ factors: ["once", "twice", "open"], palette: [of("raised"), of("raised"), of("ink")] });
      effects.glyph.setv({ fill_color: { field: "kind", transform: fill }, line_color: { field: "kind", transform: line } });
      ends.glyph.text_color = { field: "kind", transform: new Bokeh.CategoricalColorMapper({ factors: ["gone", "dead"], palette: [of("good"), of("bad")] }) };
    });
    order("eventful");
  }

  // --- what page.js asks for ---------------------------------------------------------------------------------------

  async function draw() {
    if (C.lanes.length) lanes();
    else document.querySelector("#timeline .empty").hidden = false;
    if (C.rows.length) { curves(); messages(); }
    else document.querySelector("#messages-section .empty").hidden = false;
    paint();
    const drawn = new Bokeh.Document();
    for (const { made } of figures) drawn.add_root(made);
    views = await Bokeh.embed.add_document_standalone(drawn, document.body, figures.map(({ id }) => document.getElementById(id)));
  }

  function paint() {
    for (const each of painted) each(colour);
  }

  function point(names, ids) {
    const wanted = new Set(names ?? []);
    const chosen = (data) => data.key.flatMap((key, at) => (wanted.has(key) ? [at] : []));
    const indices = wanted.size ? chosen(source.data) : [];
    source.selected.indices = indices;
    signs.selected.indices = wanted.size ? chosen(signs.data) : [];
    foundMessages = new Set(ids ?? []);
    if (rowsPlot) {
      const at = ordered.findIndex((row) => foundMessages.has(row.id));
      if (at >= 0) first = Math.floor(at / ROWS) * ROWS;
      rows();
    }
    return indices.map((at) => ({ begin: marks.begin[at], end: marks.end[at] ?? marks.begin[at] }));
  }

  function look(from = -room, to = end + room) {
    time.setv({ start: Math.max(-room, from), end: Math.min(end + room, to) });
  }

  function turn(to) {
    if (to >= 0 && to < ordered.length) first = Math.floor(to / ROWS) * ROWS;
    rows();
  }

  return {
    draw, paint, point, look, order, turn, fit, end,
    seen: () => [time.start, time.end],
    found: () => source.selected.indices.map((at) => source.data.key[at]),
    foundRows: () => sources.found.data.y.length,
    legend: () => legend,
    views: () => views,
    rows: () => ({ ordered, first, last: Math.min(ordered.length, first + ROWS), size: ROWS }),
  };
})();
