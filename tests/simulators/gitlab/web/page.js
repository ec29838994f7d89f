// Asks for the page again while it is visible and puts in what is new, without a reload; sends
// what is written. Boxes with data-keep stay as they are, with the words that somebody types.
(() => {
  const main = document.getElementById("live");
  let digest = document.body.dataset.digest;
  const notes = () => new Set([...main.querySelectorAll("[data-note]")].map((n) => n.dataset.note));
  const boxes = () => [...main.querySelectorAll("[data-keep]")];
  const folds = () => [...main.querySelectorAll("details:not([data-keep])")];

  function localTimes() {
    for (const time of main.querySelectorAll("time")) {
      const moment = new Date(time.dateTime);
      time.textContent = moment.toLocaleTimeString();
      time.title = moment.toLocaleString();
    }
  }

  function replace(html) {
    const known = notes();
    const open = folds().map((d) => d.open);
    const kept = new Map(boxes().map((box) => [box.dataset.keep, box]));
    const focus = main.contains(document.activeElement) ? document.activeElement : null;
    const marked = focus && "selectionStart" in focus && [focus.selectionStart, focus.selectionEnd];
    main.innerHTML = html;
    for (const box of boxes()) box.replaceWith(kept.get(box.dataset.keep) ?? box);
    if (focus?.isConnected) {
      focus.focus({ preventScroll: true });
      if (marked) focus.setSelectionRange(...marked);
    }
    folds().forEach((d, i) => { d.open = open[i] ?? d.open; });
    for (const note of main.querySelectorAll("[data-note]")) {
      if (!known.has(note.dataset.note)) note.classList.add("arrived");
    }
    localTimes();
  }

  async function update() {
    const answer = await fetch(document.body.dataset.live, { cache: "no-store" });
    if (!answer.ok) return;
    const live = await answer.json();
    if (live.digest !== digest) { digest = live.digest; replace(live.html); }
  }

  async function refresh() {
    if (!document.hidden) {
      try { await update(); } catch { /* the simulator has stopped: keep what is shown */ }
    }
    setTimeout(refresh, 1500);
  }

  async function send(form) {
    const said = { body: form.elements.body.value };
    said.author = main.querySelector("select[name=author]").value;
    if (form.dataset.discussion) said.discussion_id = form.dataset.discussion;
    const answer = await fetch(`${location.pathname}/comments`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(said),
    });
    if (!answer.ok) throw new Error((await answer.json()).problem);
    form.elements.body.value = "";
    form.closest("details")?.removeAttribute("open");
    await update();
  }

  main.addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    const [button, problem] = [form.querySelector("button"), form.querySelector(".problem")];
    button.disabled = true;
    problem.textContent = "";
    try { await send(form); } catch (error) { problem.textContent = error.message; }
    button.disabled = false;
  });
  main.addEventListener("keydown", (event) => {
    const sends = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    if (sends) event.target.closest("form.say")?.requestSubmit();
  });

  localTimes();
  setTimeout(refresh, 1500);
})();
