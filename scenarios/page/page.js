"use strict";
(() => {
  const C = JSON.parse(document.getElementById("content").textContent);
  const $ = (id) => document.getElementById(id);
  const NS = "http://www.w3.org/2000/svg";
  const LEFT = 150, RIGHT = 14, LANE = 30, ROW = 22, TOP = 26;
  const KINDS = {
    Send: ["send", "send"], Receive: ["receive", "receive"], Idle: ["receive, nothing came", "idle"],
    Claim: ["claim", "claim"], LookUpSideEffect: ["look up", "lookup"], PerformSideEffect: ["side effect", "perform"],
    Complete: ["complete", "complete"], Delete: ["delete", "delete"], ChangeVisibility: ["change visibility", "visibility"],
    Fault: ["fault", "fault"],
  };
  const SAME = { RenewClaim: "Claim", ReleaseClaim: "Claim" };
  const HIDDEN = new Set(["DescribeQueue", "CheckTables", "AppendToLog"]);
  // Eight hues that colour-blind eyes tell apart (Okabe and Ito), for who holds a message.
  const HUES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c7ae6", "#999933"];
  const holders = new Set(C.rows.flatMap((row) => row.spans.map((span) => span[0])));
  let from = 0, to = Math.max(C.end, 0.001), found = null;

  const el = (tag, attributes = {}, text) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const svg = (tag, attributes, parent, text) => {
    const made = document.createElementNS(NS, tag);
    for (const name in attributes) made.setAttribute(name, attributes[name]);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };
  const seconds = (value) => (value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`);

  // --- words -------------------------------------------------------------------------------------------------------

  function words() {
    $("verdict").textContent = C.verdict;
    $("verdict").classList.add(C.verdict);
    $("name").textContent = C.scenario;
    if (C.naive) {
      $("twin").hidden = false;
      $("twin").textContent = `naive twin: without ${C.without}`;
    }
    $("summary").textContent = C.summary;
    $("reason").textContent = C.reason;
    $("command").textContent = C.command || "a told history";
    $("copy").onclick = () => navigator.clipboard?.writeText(C.command).then(() => ($("copy").textContent = "copied"));
    for (const [name, value] of Object.entries(C.figures)) {
      const box = el("div");
      box.append(el("b", {}, value), el("span", {}, name));
      $("figures").append(box);
    }
    for (const [name, value] of Object.entries(C.facts)) {
      const row = el("tr");
      row.append(el("td", {}, name.replaceAll("_", " ")), el("td", {}, value));
      $("facts").append(row);
    }
    for (const part of C.story.split(/\n\n+/)) $("story").append(el(/^ {2}/.test(part) ? "pre" : "p", {}, part));
    for (const item of C.invariants) {
      const held = item.count === 0;
      check($("invariants"), held ? "ok" : "bad", held ? "✓" : "✗", item.name, item.promise,
        item.violations.map((each) => each.summary), item.count - item.violations.length,
        item.violations.flatMap((each) => each.records));
    }
    for (const item of C.witnesses) {
      const seen = item.evidence !== null;
      check($("witnesses"), seen ? "ok" : "open", seen ? "●" : item.required ? "?" : "–", item.name,
        seen ? item.evidence.summary : `not seen: ${item.question}`, [], 0, seen ? item.evidence.records : []);
    }
    if (C.marksLeftOut) note("marks-left-out", `${C.marksLeftOut} operations are left out; history.jsonl has them all.`);
    if (C.rowsLeftOut) note("rows-left-out", `${C.rowsLeftOut} messages are left out: those that least happened to.`);
  }

  function note(id, text) { $(id).hidden = false; $(id).textContent = text; }

  function check(list, state, mark, name, said, lines, more, records) {
    const item = el("li", { class: state });
    const button = el("button", { type: "button", "aria-pressed": "false" });
    button.disabled = records.length === 0;
    const text = el("span", {}, name);
    text.append(el("small", {}, said));
    for (const line of lines.slice(0, 4)) text.append(el("small", { class: "found" }, line));
    if (lines.length > 4 || more) text.append(el("small", { class: "found" }, `and ${lines.length + more - Math.min(4, lines.length)} more`));
    button.append(el("span", { class: "mark" }, mark), text);
    button.onclick = () => point(button, records);
    item.append(button);
    list.append(item);
  }

  function point(button, records) {
    const again = button.getAttribute("aria-pressed") === "true";
    document.querySelectorAll(".checks button").forEach((each) => each.setAttribute("aria-pressed", "false"));
    found = again ? null : new Set(records);
    from = 0; to = Math.max(C.end, 0.001);
    if (!again) {
      button.setAttribute("aria-pressed", "true");
      const times = C.marks.filter((mark) => found.has(mark[6])).flatMap((mark) => [mark[1], mark[2] ?? mark[1]]);
      if (times.length) {
        const least = Math.min(...times), most = Math.max(...times), room = Math.max(0.05, (most - least) * 0.08);
        from = least - room; to = most + room;
      }
      $("lanes").scrollIntoView({ block: "nearest" });
    }
    draw();
  }

  // --- plots -------------------------------------------------------------------------------------------------------

  const width = (box) => Math.max(320, box.clientWidth);
  const scale = (w) => (time) => LEFT + ((time - from) / (to - from)) * (w - LEFT - RIGHT);

  function frame(box, height) {
    const w = width(box);
    const root = svg("svg", { viewBox: `0 0 ${w} ${height}`, height, role: "img" });
    const x = scale(w);
    const step = nice((to - from) / Math.max(3, (w - LEFT) / 110));
    for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
      svg("line", { x1: x(time), x2: x(time), y1: TOP - 6, y2: height, class: "grid" }, root);
      svg("text", { x: x(time), y: 14, "text-anchor": "middle" }, root, `${+time.toFixed(4)} s`);
    }
    const clip = `clip-${box.id}`;
    svg("rect", { x: LEFT, y: 0, width: w - LEFT - RIGHT + 6, height }, svg("clipPath", { id: clip }, svg("defs", {}, root)));
    const body = svg("g", { "clip-path": `url(#${clip})` });
    return { root, body, x, w };
  }

  function nice(rough) {
    const power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  }

  const colour = (kind) => `var(--${KINDS[kind][1]})`;

  function lanes() {
    const box = $("lanes"), height = TOP + C.lanes.length * LANE + 6;
    const { root, body, x, w } = frame(box, height);
    C.lanes.forEach((lane, number) => {
      const y = TOP + number * LANE;
      svg("line", { x1: 0, x2: w, y1: y + LANE, y2: y + LANE, class: "axis" }, root);
      const label = svg("text", { x: 12, y: y + 20, class: "lane" }, root, lane.length > 20 ? lane.slice(0, 19) + "…" : lane);
      label.append(svg("title", {}, null, lane));
      if (holders.has(number)) svg("rect", { x: 0, y: y + 1, width: 5, height: LANE - 2, fill: HUES[number % HUES.length], "fill-opacity": 0.75 }, root);
    });
    const order = (mark) => (mark[3] === "Fault" ? 2 : mark[3] === "Exit" ? 3 : mark[3] === "Receive" ? 0 : 1);
    const drawn = C.marks.filter((mark) => !HIDDEN.has(mark[3]) && (mark[2] ?? C.end) >= from && mark[1] <= to);
    drawn.sort((one, other) => order(one) - order(other));
    for (const mark of drawn) {
      const [lane, begin, end, kind, status, , pointer] = mark;
      const y = TOP + lane * LANE, x1 = x(begin);
      let made;
      if (kind === "Fault") {
        made = svg("path", { d: cross(x1, y + 15, status === "crash" ? 8 : 5), stroke: "var(--fault)", "stroke-width": status === "crash" ? 3 : 2, fill: "none" });
      } else if (kind === "Exit") {
        made = svg("rect", { x: x1 - 2, y: y + 4, width: 4, height: LANE - 8, rx: 1, fill: status === "ok" ? "var(--soft)" : "var(--fault)" });
      } else {
        const idle = kind === "Receive" && mark[5].startsWith("nothing");
        const known = idle ? "Idle" : SAME[kind] ?? kind;
        const receive = kind === "Receive";
        const wide = Math.max(receive ? 2 : 3, x(end ?? begin) - x1);
        made = svg("rect", {
          x: x1, y: y + (receive ? 12 : 6), width: wide, height: receive ? 6 : LANE - 12, rx: 1.5, fill: KINDS[known] ? colour(known) : "var(--soft)",
          ...(status === "fail" || status === "unknown" ? { "fill-opacity": 0.35, stroke: "var(--fault)" } : {}),
        });
      }
      made.classList.add("op");
      if (found) made.classList.add(found.has(pointer) ? "found" : "dim");
      made.mark = mark;
      body.append(made);
    }
    root.append(body);
    box.replaceChildren(root);
    hands(root, w);
  }

  const cross = (x, y, r) => `M${x - r} ${y - r}L${x + r} ${y + r}M${x - r} ${y + r}L${x + r} ${y - r}`;

  function messages() {
    const box = $("messages"), height = TOP + C.rows.length * ROW + 6;
    const { root, body, x, w } = frame(box, height);
    C.rows.forEach((row, number) => {
      const y = TOP + number * ROW, middle = y + ROW / 2;
      const label = row.name + (row.group ? ` · ${row.group}` : "") + (row.poison ? " · poison" : "");
      svg("text", { x: 12, y: middle + 4, class: row.accused ? "accused" : "lane" }, root, label);
      if (row.sent !== null) {
        const end = row.settled ?? C.end;
        svg("line", { x1: x(row.sent), x2: x(end), y1: middle, y2: middle, stroke: "var(--line)", "stroke-width": 2 }, body);
      }
      for (const [lane, begin, end, count] of row.spans) {
        const made = svg("rect", { x: x(begin), y: y + 4, width: Math.max(2, x(end) - x(begin)), height: ROW - 8, rx: 3, fill: HUES[lane % HUES.length], "fill-opacity": 0.62, class: "op" }, body);
        made.mark = [lane, begin, end, "delivery", "", `${row.name}, receive ${count}`, ""];
      }
      for (const [lane, time, status] of row.effects) {
        const done = status === "ok";
        const made = done
          ? svg("circle", { cx: x(time), cy: middle, r: 5, fill: "var(--ink)", stroke: "var(--raised)", "stroke-width": 1.5, class: "op" }, body)
          : svg("path", { d: `M${x(time)} ${middle - 6}l6 6l-6 6l-6 -6z`, fill: "var(--raised)", stroke: "var(--ink)", "stroke-width": 1.6, class: "op" }, body);
        made.mark = [lane, time, time, "side effect", status, row.name, ""];
      }
      if (row.settled !== null) svg("text", { x: x(row.settled) + 3, y: middle + 5, style: `fill:var(--${row.dead ? "bad" : "good"});font-weight:700` }, body, row.dead ? "✝" : "✓");
    });
    root.append(body);
    box.replaceChildren(root);
  }

  function curve(id, values, unit) {
    const box = $(id), w = width(box), height = 150, left = 44, most = Math.max(1, ...values);
    const root = svg("svg", { viewBox: `0 0 ${w} ${height}`, height, role: "img" });
    const x = (time) => left + (time / Math.max(C.end, 0.001)) * (w - left - 12), y = (value) => height - 24 - (value / most) * (height - 42);
    const step = nice(most / 3);
    for (let value = 0; value <= most; value += step) {
      svg("line", { x1: left, x2: w - 12, y1: y(value), y2: y(value), class: "grid" }, root);
      svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, root, +value.toFixed(3));
    }
    for (const part of [0, 0.5, 1]) svg("text", { x: x(C.end * part), y: height - 6, "text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle" }, root, seconds(C.end * part));
    const line = C.curves.times.map((time, at) => `${at ? "L" : "M"}${x(time).toFixed(1)} ${y(values[at]).toFixed(1)}`).join("");
    svg("path", { d: `${line}L${x(C.end)} ${y(0)}L${x(0)} ${y(0)}Z`, fill: "var(--accent)", "fill-opacity": 0.13 }, root);
    svg("path", { d: line, fill: "none", stroke: "var(--accent)", "stroke-width": 2 }, root);
    box.replaceChildren(root);
    root.onpointermove = (event) => {
      const time = ((event.offsetX - left) / (w - left - 12)) * C.end;
      const at = Math.max(0, Math.min(values.length - 1, Math.round((time / Math.max(C.end, 0.001)) * (values.length - 1))));
      tip(event, `${values[at]} ${unit}`, `at ${seconds(C.curves.times[at])}`);
    };
    root.onpointerleave = untip;
  }

  function draw() {
    lanes();
    messages();
    curve("depth", C.curves.waiting, "messages");
    curve("age", C.curves.age, "s");
  }

  // --- hands -------------------------------------------------------------------------------------------------------

  function tip(event, title, text) {
    const box = $("tip");
    box.replaceChildren(el("b", {}, title), el("span", {}, text));
    box.hidden = false;
    box.style.left = `${Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8)}px`;
    box.style.top = `${Math.min(event.clientY + 14, innerHeight - box.offsetHeight - 8)}px`;
  }
  const untip = () => { $("tip").hidden = true; };

  function zoom(factor, at) {
    const most = Math.max(C.end, 0.001) * 1.2;
    const span = Math.min(most, Math.max(0.002, (to - from) * factor));
    const part = (at - from) / (to - from);
    from = at - part * span; to = from + span;
    lanes(); messages();
  }

  function hands(root, w) {
    const time = (event) => from + ((event.clientX - root.getBoundingClientRect().left - LEFT) / (w - LEFT - RIGHT)) * (to - from);
    root.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.25 : 0.8, time(event));
    }, { passive: false });
  }

  function listen() {
    const box = $("lanes");
    let held = null;
    box.addEventListener("pointerdown", (event) => { held = { x: event.clientX, from, to }; box.setPointerCapture(event.pointerId); });
    box.addEventListener("pointermove", (event) => {
      if (!held) return;
      const moved = ((event.clientX - held.x) / (width(box) - LEFT - RIGHT)) * (held.to - held.from);
      if (Math.abs(event.clientX - held.x) < 3) return;
      from = held.from - moved; to = held.to - moved;
      lanes(); messages();
    });
    for (const name of ["pointerup", "pointercancel"]) box.addEventListener(name, () => { held = null; });
    const all = () => { from = 0; to = Math.max(C.end, 0.001); draw(); };
    box.addEventListener("dblclick", all);
    $("whole").onclick = all;
    $("closer").onclick = () => zoom(0.6, (from + to) / 2);
    $("farther").onclick = () => zoom(1.6, (from + to) / 2);
    document.addEventListener("pointermove", (event) => {
      const mark = event.target.closest?.(".op")?.mark;
      if (!mark) { if (event.target.closest?.("#lanes, #messages")) untip(); return; }
      const [lane, begin, end, kind, status, said] = mark;
      const lasted = end === null ? "never answered" : end > begin ? `took ${seconds(end - begin)}` : "";
      tip(event, `${kind}${status && status !== "ok" && kind !== "Fault" && kind !== "Exit" ? ` (${status})` : ""}: ${said}`, `${C.lanes[lane]} · at ${seconds(begin)}${lasted ? " · " + lasted : ""}`);
    });
    $("theme").onclick = () => {
      const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      document.documentElement.dataset.theme = dark ? "light" : "dark";
    };
    let later;
    addEventListener("resize", () => { clearTimeout(later); later = setTimeout(draw, 60); });
  }

  for (const kind of Object.keys(KINDS)) {
    const item = el("span", {}, KINDS[kind][0]);
    item.prepend(el("i", { style: `background:${colour(kind)}` }));
    $("legend").append(item);
  }
  words();
  draw();
  listen();
})();
