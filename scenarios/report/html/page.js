"use strict";
// The page's hands: links that lead to marks and rows, the legend, the buttons, light and dark.
//
//   #invariant/NAME/N  #witness/NAME   a finding: it opens, its marks stand out, the time line shows them
//   #operation/PROCESS/INDEX           one operation
//   #message/ID                        one message

(async () => {
  const $ = (id) => document.getElementById(id);
  const { timeLine, messages } = Plots;

  // --- links -------------------------------------------------------------------------------------------------------

  function follow() {
    const hash = decodeURIComponent(location.hash.slice(1));
    const [kind] = hash.split("/", 1), name = hash.slice(kind.length + 1);
    const finding = hash ? $(hash) : null;
    if (kind === "operation") show([name], [], `operation ${name}`);
    else if (kind === "message") show([], [name], "a message");
    else if (finding?.matches(".evidence")) {
      finding.open = true;
      finding.closest(".more")?.setAttribute("open", "");
      show(JSON.parse(finding.dataset.marks), JSON.parse(finding.dataset.messages), `evidence of ${name.split("/")[0]}`);
    } else clear();
  }

  function show(marks, ids, words) {
    const moments = timeLine.point(marks);
    Plots.lookAt(moments, 0.15, 0.01);
    messages.point(ids);
    told(words);
    (moments.length ? $("timeline") : $("messages-section")).scrollIntoView({ block: "start", behavior: "instant" });
  }

  function clear() {
    timeLine.point([]);
    messages.point([]);
    told("");
  }

  function told(words) {
    $("unfind").hidden = !words;
    $("shown").textContent = words && `shown: ${words}`;
    pages();
  }

  function goTo(fragment) {
    history.replaceState(null, "", `#${fragment}`);
    follow();
  }

  for (const summary of document.querySelectorAll(".evidence > summary")) {
    const finding = summary.parentElement;
    // A click opens or closes it after this; opening leads to its evidence, closing lets all marks be alike again.
    summary.addEventListener("click", () => setTimeout(() => goTo(finding.open ? encodeURI(finding.id) : "")));
  }
  for (const link of document.querySelectorAll(".steps a")) {
    link.addEventListener("click", () => setTimeout(follow)); // also where one has been there already
  }
  addEventListener("hashchange", follow);

  // --- the time line's buttons -------------------------------------------------------------------------------------

  const SHAPES = { crash: "✕", fault: "×", killed: "■", ended: "▪", again: "▼", twice: "★", dead: "◆" };

  function legend() {
    for (const { entry, renderer } of timeLine.legend()) {
      const button = document.createElement("button"), chip = document.createElement("i");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      chip.textContent = SHAPES[entry.kind] ?? "";
      chip.className = SHAPES[entry.kind] ? "" : "chip";
      chip.style.setProperty("--of", `var(--${entry.colour})`);
      button.append(chip, `${entry.label} ${entry.count}`);
      button.onclick = () => {
        renderer.visible = !renderer.visible;
        button.setAttribute("aria-pressed", String(renderer.visible));
      };
      $("legend").append(button);
    }
  }

  function zoom(factor, move = 0) {
    const [from, to] = Plots.seen(), half = ((to - from) / 2) * factor, middle = (from + to) / 2 + move * (to - from);
    Plots.look(middle - half, middle + half);
  }
  $("whole").onclick = () => Plots.look();
  $("closer").onclick = () => zoom(0.5);
  $("farther").onclick = () => zoom(2);
  $("earlier").onclick = () => zoom(1, -0.5);
  $("later").onclick = () => zoom(1, 0.5);
  $("unfind").onclick = () => goTo("");

  // --- the messages' buttons ---------------------------------------------------------------------------------------

  function pages() {
    const { first, last, of } = messages.page();
    $("page").textContent = of ? `${first + 1} to ${last} of ${of}` : "";
    $("previous").disabled = first === 0;
    $("next").disabled = last >= of;
    document.querySelector("#messages-section .empty").hidden = of > 0;
  }
  const turn = (by) => { messages.turn(messages.page().first + by * messages.page().size); pages(); };
  $("previous").onclick = () => turn(-1);
  $("next").onclick = () => turn(1);
  $("fit").onclick = () => messages.fit();
  $("order").onchange = () => { messages.order($("order").value); pages(); };
  $("find").onchange = () => {
    const row = messages.named($("find").value.trim().replace(/^#?/, "#"));
    if (row) goTo(`message/${encodeURIComponent(row.id)}`);
  };

  // --- the page's buttons ------------------------------------------------------------------------------------------

  if ($("copy")) {
    $("copy").onclick = () => navigator.clipboard?.writeText($("command").textContent).then(() => { $("copy").textContent = "copied"; });
  }
  const system = matchMedia("(prefers-color-scheme: dark)");
  $("theme").onclick = () => {
    const dark = (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    Plots.paint();
  };
  system.addEventListener("change", Plots.paint);

  await Plots.draw();
  legend();
  requestAnimationFrame(() => requestAnimationFrame(() => {
    follow(); // only now has everything its place, to which a link may scroll
    document.documentElement.dataset.drawn = "yes";
  }));
})();
