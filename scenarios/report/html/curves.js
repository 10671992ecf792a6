"use strict";
// The curves below the time line: what flows through the queue, what is in it, how old the oldest is, who runs.

Plots.curves = (() => {
  const { curves, consumers } = Plots.content;
  const HEIGHT = 92;

  function draw() {
    curve("flow", curves.times, [
      { words: "sent", values: curves.sent, colour: "send" },
      { words: "side effects", values: curves.done, colour: "perform" },
      { words: "out of the queue", values: curves.over, colour: "good", under: 0.2 },
    ]);
    curve("depth", curves.times, [
      { words: "in the queue", values: curves.waiting, colour: "accent" },
      { words: "in flight", values: curves.held, colour: "visibility", under: 0.2 },
    ]);
    curve("age", curves.times, [{ words: "s old", values: curves.age, colour: "again", under: 0.15 }], { steps: false });
    document.getElementById("consumers-part").hidden = !consumers;
    if (consumers) curve("consumers", consumers.times, [{ words: "consumers", values: consumers.running, colour: "complete", under: 0.2 }]);
  }

  function curve(id, times, lines, { steps = true } = {}) {
    const most = Math.max(1, ...lines.flatMap((line) => line.values));
    const plot = Plots.figure(id, HEIGHT, { y_range: new Bokeh.Range1d({ start: 0, end: most * 1.08 }) });
    plot.xaxis.visible = false;
    plot.yaxes[0].ticker.setv({ desired_num_ticks: 4, min_interval: steps ? 1 : 0 });
    const source = new Bokeh.ColumnDataSource({ data: {
      times, title: times.map(Plots.seconds), where: times.map(() => ""),
      said: times.map((_, at) => lines.map((line) => `${line.values[at]} ${line.words}`).join(" · ")),
      ...Object.fromEntries(lines.map((line, at) => [`line${at}`, line.values])),
    } });
    const x = { field: "times" };
    lines.forEach((line, at) => {
      const y = { field: `line${at}` }, fill_alpha = line.under ?? 0;
      const under = steps
        ? plot.varea_step({ x, y1: 0, y2: y, step_mode: "after", source, fill_alpha })
        : plot.varea({ x, y1: 0, y2: y, source, fill_alpha });
      const over = steps ? plot.step({ x, y, mode: "after", source, line_width: 2 }) : plot.line({ x, y, source, line_width: 2 });
      Plots.painter((colour) => {
        under.glyph.fill_color = colour(line.colour);
        over.glyph.line_color = colour(line.colour);
      });
    });
    Plots.hover(plot, [plot.scatter({ x, y: { field: "line0" }, source, size: 1, alpha: 0 })], { mode: "vline", limit: 1 });
  }

  return { draw };
})();
