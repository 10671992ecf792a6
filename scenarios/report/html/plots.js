"use strict";
// What all plots of a report have in common: one time, one crosshair, colours from page.css, and BokehJS that draws them.
//
//   timeline.js, curves.js, rows.js   each draws its part, when Plots.draw() asks it to
//   page.js                           links, legend and buttons; no plot knows of them

const Plots = (() => {
  const content = JSON.parse(document.getElementById("plots").textContent);
  const MARGIN = { min_border_left: 168, min_border_right: 16, min_border_top: 4, min_border_bottom: 9 };
  const LABEL = 24; // characters that the left margin has room for
  const SOME = 0.001; // seconds, so that no run is without any

  const end = Math.max(content.end, SOME), room = end * 0.015;
  const time = new Bokeh.Range1d({ start: -room, end: end + room, bounds: [-room, end + room], min_interval: end * 1e-5 });
  const crosshair = new Bokeh.Span({ dimension: "height", line_width: 1, line_dash: "dotted" });
  const figures = [], painters = [];
  let views = null;

  // Eight hues that colour-blind eyes tell apart (Okabe and Ito), for who holds a message.
  const HUES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c7ae6", "#999933"];
  const holders = [...new Set(content.rows.flatMap((row) => row.spans.map(([lane]) => lane)))].sort((one, other) => one - other);
  const hue = (lane) => HUES[Math.max(0, holders.indexOf(lane)) % HUES.length];

  /** Return a plot for the page's box of that id, over the time that all plots share. */
  function figure(id, height, options = {}) {
    const plot = Bokeh.Plotting.figure({
      name: id, frame_height: height, sizing_mode: "stretch_width", x_range: time, tools: [], toolbar_location: null,
      outline_line_color: null, background_fill_alpha: 0, border_fill_alpha: 0, ...MARGIN, ...options,
    });
    const drag = new Bokeh.BoxZoomTool({ dimensions: "width" });
    const wheel = new Bokeh.WheelZoomTool({ dimensions: "width", modifiers: { ctrl: true } });
    plot.add_tools(drag, wheel, new Bokeh.CrosshairTool({ dimensions: "height", overlay: crosshair }));
    plot.toolbar.setv({ active_drag: drag, active_scroll: wheel });
    plot.on_event("doubletap", () => look());
    plot.xaxis.formatter = new Bokeh.BasicTickFormatter({ use_scientific: false });
    plot.xaxes[0].ticker.desired_num_ticks = 9;
    const axes = [...plot.xaxes, ...plot.yaxes];
    for (const axis of axes) {
      axis.setv({
        major_label_text_font: "system-ui, sans-serif", major_label_text_font_size: "12px",
        axis_line_color: null, major_tick_line_color: null, minor_tick_line_color: null,
      });
    }
    painter((colour) => {
      for (const axis of axes) axis.major_label_text_color = colour("soft");
      plot.xgrid.grid_line_color = colour("grid");
      plot.ygrid.grid_line_color = colour("grid");
      drag.overlay.setv({ fill_color: colour("accent"), fill_alpha: 0.12, line_color: colour("accent"), line_dash: [] });
      crosshair.line_color = colour("soft");
    });
    figures.push(plot);
    return plot;
  }

  /** Name the lines of a plot, from 0, in the colour of text and not of numbers. */
  function nameLines(plot, names) {
    plot.yaxis.ticker = new Bokeh.FixedTicker({ ticks: names.map((_, at) => at) });
    plot.yaxis.major_label_overrides = new Map(names.map((name, at) => [at, label(name)]));
  }

  function label(text) {
    const short = text.length > LABEL ? `${text.slice(0, LABEL - 1)}…` : text;
    // Bokeh takes what stands between two pairs of dollars for TeX, and would fetch MathJax.
    return short.replaceAll("$$", "$ $");
  }

  /** Let the pointer over what renderers draw say the columns title, said and where. */
  function hover(plot, renderers, options = {}) {
    const tooltips = '<div style="max-width:420px;font:13px/1.45 system-ui,sans-serif;white-space:normal"><b>@title</b> @said'
      + '<div style="opacity:.72">@where</div></div>';
    plot.add_tools(new Bokeh.HoverTool({ renderers, tooltips, attachment: "vertical", limit: 3, ...options }));
  }

  /** Have a function called with the colours of page.css by name, now and whenever they change. */
  function painter(paints) { painters.push(paints); }

  function paint() {
    const style = getComputedStyle(document.documentElement);
    for (const paints of painters) paints((name) => style.getPropertyValue(`--${name}`).trim());
  }

  /** Return a field that takes its colour from what it says. */
  const coloured = (field, colours, otherwise = "gray") => ({
    field,
    transform: new Bokeh.CategoricalColorMapper({ factors: Object.keys(colours), palette: Object.values(colours), nan_color: otherwise }),
  });

  /** Show a part of the time, in seconds; all of it where none is given. */
  function look(from = -room, to = end + room) {
    time.setv({ start: Math.max(-room, from), end: Math.min(end + room, to) });
  }

  /** Show what lies between moments, with a part of it, and at least some of the run, before and after. */
  function lookAt(moments, part, least) {
    if (!moments.length) return;
    const from = Math.min(...moments), to = Math.min(end, Math.max(...moments)), about = Math.max((to - from) * part, end * least);
    look(from - about, to + about);
  }

  async function draw() {
    Plots.timeLine.draw();
    if (content.rows.length) {
      Plots.curves.draw();
      Plots.messages.draw();
    }
    paint();
    const drawn = new Bokeh.Document();
    for (const plot of figures) drawn.add_root(plot);
    const boxes = figures.map((plot) => document.getElementById(plot.name));
    views = await Bokeh.embed.add_document_standalone(drawn, document.body, boxes);
  }

  return {
    content, end, room, holders, hue, figure, nameLines, hover, painter, paint, coloured, look, lookAt, draw,
    seconds: (value) => (value < 1 ? `${+(value * 1000).toFixed(2)} ms` : `${+value.toFixed(3)} s`),
    seen: () => [time.start, time.end],
    views: () => views,
  };
})();
