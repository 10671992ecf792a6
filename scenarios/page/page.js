"use strict";
// The page's hands: links that lead to marks and rows, the legend, the buttons, light and dark.
//
//   #invariant/NAME/N  #witness/NAME   a finding: it opens, its marks stand out, the time line shows them
//   #operation/PROCESS/INDEX           one operation
//   #message/ID                        one message

(async () => {
  const $ = (id) => document.getElementById(id);

  const SHAPES = { crash: "✕", fault: "×", killed: "■", ended: "▪", again: "▼", twice: "★", dead: "◆" };

  function legend() {
    for (const { entry, renderer } of Plots.legend()) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      const chip = document.createElement("i");
      if (SHAPES[entry.kind]) chip.textContent = SHAPES[entry.kind];
      else chip.className = "chip";
      chip.style.setProperty("--of", `var(--${entry.colour})`);
      button.append(chip, `${entry.label} ${entry.count}`);
      button.onclick = () => {
        renderer.visible = !renderer.visible;
        button.setAttribute("aria-pressed", String(renderer.visible));
      };
      $("legend").append(button);
    }
  }

  // --- links -------------------------------------------------------------------------------------------------------

  function follow() {
    const hash = decodeURIComponent(location.hash.slice(1));
    const [kind] = hash.split("/", 1), name = hash.slice(kind.length + 1);
    if (kind === "operation") show([name], [], `operation ${name}`);
    else if (kind === "message") show([], [name], "a message");
    else if (hash && $(hash)?.matches(".evidence")) {
      const finding = $(hash);
      finding.open = true;
      finding.closest(".more")?.setAttribute("open", "");
      show(JSON.parse(finding.dataset.marks), JSON.parse(finding.dataset.messages), `evidence of ${name.split("/")[0]}`);
    } else clear();
  }

  function show(marks, messages, words) {
    const found = Plots.point(marks, messages);
    if (found.length) {
      const from = Math.min(...found.map((mark) => mark.begin)), to = Math.max(...found.map((mark) => mark.end));
      const about = Math.max((to - from) * 0.15, Plots.end * 0.01);
      Plots.look(from - about, to + about);
    }
    $("unfind").hidden = false;
    $("shown").textContent = `shown: ${words}`;
    pages();
    (found.length ? $("timeline") : $("messages-section")).scrollIntoView({ block: "start", behavior: "instant" });
  }

  function clear() {
    Plots.point(null, null);
    $("unfind").hidden = true;
    $("shown").textContent = "";
    pages();
  }

  for (const finding of document.querySelectorAll(".evidence > summary")) {
    finding.addEventListener("click", () => {
      const { parentElement: { id, open } } = finding;
      // The click opens or closes it only after this; opening leads to its evidence, closing to where one was.
      history.replaceState(null, "", open ? "#" : `#${encodeURI(id)}`);
      setTimeout(follow);
    });
  }
  for (const link of document.querySelectorAll(".steps a")) {
    link.addEventListener("click", () => setTimeout(follow)); // also where the hash stays as it is
  }
  addEventListener("hashchange", follow);

  // --- buttons -----------------------------------------------------------------------------------------------------

  function zoom(factor, move = 0) {
    const [from, to] = Plots.seen(), half = ((to - from) / 2) * factor, middle = (from + to) / 2 + move * (to - from);
    Plots.look(middle - half, middle + half);
  }
  $("whole").onclick = () => Plots.look();
  $("closer").onclick = () => zoom(0.5);
  $("farther").onclick = () => zoom(2);
  $("earlier").onclick = () => zoom(1, -0.5);
  $("later").onclick = () => zoom(1, 0.5);
  $("unfind").onclick = () => { history.replaceState(null, "", "#"); clear(); };

  function pages() {
    const { ordered, first, last } = Plots.rows();
    $("page").textContent = ordered.length ? `${first + 1} to ${last} of ${ordered.length}` : "";
    $("previous").disabled = first === 0;
    $("next").disabled = last >= ordered.length;
  }
  const turn = (to) => { Plots.turn(to); pages(); };
  $("previous").onclick = () => turn(Plots.rows().first - Plots.rows().size);
  $("next").onclick = () => turn(Plots.rows().first + Plots.rows().size);
  $("fit").onclick = () => Plots.fit();
  $("order").onchange = () => { Plots.order($("order").value); pages(); };
  $("find").onchange = () => {
    const wanted = $("find").value.trim().replace(/^#?/, "#");
    const row = Plots.rows().ordered.find((each) => each.name === wanted);
    if (row) location.hash = `message/${encodeURIComponent(row.id)}`;
  };
  if ($("copy")) $("copy").onclick = () => navigator.clipboard?.writeText($("command").textContent).then(() => { $("copy").textContent = "copied"; });

  const system = matchMedia("(prefers-color-scheme: dark)");
  $("theme").onclick = () => {
    const dark = (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    Plots.paint();
  };
  system.addEventListener("change", () => Plots.paint());

  await Plots.draw();
  legend();
  requestAnimationFrame(() => requestAnimationFrame(() => {
    follow(); // only now has everything its place, to which a link may scroll
    document.documentElement.dataset.drawn = "yes";
  }));
})();
