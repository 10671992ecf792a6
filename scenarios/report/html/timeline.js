"use strict";
// The time line: a lane for each process, a mark for each of its operations, a sign for what went wrong.

Plots.timeLine = (() => {
  const { lanes, marks, signs, legend } = Plots.content, { seconds } = Plots;
  const MARKERS = {
    crash: { marker: "x", size: 15, line_width: 3.5 }, fault: { marker: "x", size: 9, line_width: 2 },
    killed: { marker: "square", size: 8 }, ended: { marker: "square_pin", size: 8 },
    again: { marker: "inverted_triangle", size: 8 }, twice: { marker: "star", size: 15 }, dead: { marker: "diamond", size: 11 },
  };
  // More signs of a kind than this are drawn small, and without edges that would hide each other.
  const CROWD = 150;
  const STATUS = { ok: "", fail: " (failed)", unknown: " (outcome unknown)" };

  const labels = Object.fromEntries([...legend.marks, ...legend.signs].map(({ kind, label }) => [kind, label]));
  const drawnMarks = new Bokeh.ColumnDataSource({ data: {
    ...marks,
    right: marks.end.map((end, at) => end ?? marks.begin[at]),
    key: marks.lane.map((lane, at) => `${lanes[lane]}/${marks.index[at]}`),
    title: marks.kind.map((kind, at) => labels[kind] + STATUS[marks.status[at]]),
    where: marks.lane.map((lane, at) => `${lanes[lane]} · at ${seconds(marks.begin[at])} · ${lasted(at)}`),
  } });
  const drawnSigns = new Bokeh.ColumnDataSource({ data: {
    ...signs,
    title: signs.kind.map((kind) => labels[kind]),
    where: signs.lane.map((lane, at) => `${lanes[lane]} · at ${seconds(signs.time[at])}`),
  } });
  let entries = [];

  function lasted(at) {
    return marks.end[at] === null ? "never answered" : `took ${seconds(marks.end[at] - marks.begin[at])}`;
  }

  function draw() {
    document.querySelector("#timeline .empty").hidden = lanes.length > 0;
    if (!lanes.length) return;
    const height = lanes.length <= 10 ? 42 : lanes.length <= 20 ? 32 : 24;
    const plot = Plots.figure("lanes", lanes.length * height, {
      y_range: new Bokeh.Range1d({ start: lanes.length - 0.5, end: -0.5 }), x_axis_location: "above",
    });
    Plots.nameLines(plot, lanes);
    plot.ygrid.visible = false;
    drawEdges(plot);
    const below = renderers(legend.marks, (entry, view) => plot.hbar({
      y: { field: "y" }, height: 0.25, left: { field: "begin" }, right: { field: "right" }, source: drawnMarks, view,
      line_width: 1.6, line_join: "round", nonselection_fill_alpha: 0.1, nonselection_line_alpha: 0.1,
    }));
    const above = renderers(legend.signs, (entry, view) => plot.scatter({
      x: { field: "time" }, y: { field: "y" }, source: drawnSigns, view, nonselection_alpha: 0.12,
      ...MARKERS[entry.kind], ...(entry.count > CROWD ? { size: 6, alpha: 0.6 } : {}),
    }));
    entries = [...below, ...above];
    Plots.hover(plot, below.map(({ renderer }) => renderer), { point_policy: "follow_mouse" });
    Plots.hover(plot, above.map(({ renderer }) => renderer));
    Plots.painter((colour) => {
      plot.yaxis.major_label_text_color = colour("ink");
      for (const each of below) paintMarks(each, colour);
      for (const each of above) paintSigns(each, colour);
    });
  }

  /** A line between two lanes, and at a lane's beginning the hue that its process has among the messages below. */
  function drawEdges(plot) {
    const edges = lanes.slice(1).map((_, at) => new Bokeh.Span({ dimension: "width", location: at + 0.5, line_width: 1 }));
    const left = (offset) => new Bokeh.Node({ target: "frame", symbol: "left", offset });
    const chips = Plots.holders.map((lane) => new Bokeh.BoxAnnotation({
      left: left(0), right: left(5), top: lane - 0.42, bottom: lane + 0.42, fill_color: Plots.hue(lane), fill_alpha: 0.9, line_color: null,
    }));
    for (const each of [...edges, ...chips]) plot.add_layout(each);
    Plots.painter((colour) => { for (const edge of edges) edge.line_color = colour("line"); });
  }

  /** A renderer for each kind, so that the legend can hide it; all show the same source, which has one selection. */
  function renderers(kinds, drawn) {
    return kinds.map((entry) => {
      const filter = new Bokeh.GroupFilter({ column_name: "kind", group: entry.kind });
      const renderer = drawn(entry, new Bokeh.CDSView({ filter }));
      renderer.name = entry.kind;
      return { entry, renderer };
    });
  }

  const looks = ({ glyph, nonselection_glyph, selection_glyph }) =>
    [glyph, nonselection_glyph, selection_glyph].filter((each) => each instanceof Bokeh.Glyph);

  function paintMarks({ entry, renderer }, colour) {
    const own = colour(entry.colour), bad = colour("bad");
    const fill_color = Plots.coloured("status", { ok: own, fail: own, unknown: colour("raised") });
    const line_color = Plots.coloured("status", { ok: own, fail: bad, unknown: bad });
    for (const glyph of looks(renderer)) glyph.setv({ fill_color, line_color });
  }

  function paintSigns({ entry, renderer }, colour) {
    const bare = MARKERS[entry.kind].marker === "x" || entry.count > CROWD;
    for (const glyph of looks(renderer)) glyph.setv({ fill_color: colour(entry.colour), line_color: colour(bare ? entry.colour : "raised") });
  }

  /** Make marks and signs stand out by their keys; return the moments at which they begin and end. */
  function point(keys) {
    const wanted = new Set(keys);
    const chosen = (source) => source.data.key.flatMap((key, at) => (wanted.has(key) ? [at] : []));
    drawnMarks.selected.indices = chosen(drawnMarks);
    drawnSigns.selected.indices = chosen(drawnSigns);
    return [
      ...drawnMarks.selected.indices.flatMap((at) => [marks.begin[at], marks.end[at] ?? marks.begin[at]]),
      ...drawnSigns.selected.indices.map((at) => signs.time[at]),
    ];
  }

  return { draw, point, legend: () => entries, found: () => drawnMarks.selected.indices.map((at) => drawnMarks.data.key[at]) };
})();
