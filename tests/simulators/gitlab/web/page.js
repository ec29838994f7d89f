// Asks for the page again while it is visible and puts in what is new, without a reload.
(() => {
  const main = document.getElementById("live");
  let digest = document.body.dataset.digest;
  const notes = () => new Set([...main.querySelectorAll("[data-note]")].map((n) => n.dataset.note));

  function localTimes() {
    for (const time of main.querySelectorAll("time")) {
      const moment = new Date(time.dateTime);
      time.textContent = moment.toLocaleTimeString();
      time.title = moment.toLocaleString();
    }
  }

  function replace(html) {
    const known = notes();
    const open = [...main.querySelectorAll("details")].map((d) => d.open);
    main.innerHTML = html;
    main.querySelectorAll("details").forEach((d, i) => { d.open = open[i] ?? d.open; });
    for (const note of main.querySelectorAll("[data-note]")) {
      if (!known.has(note.dataset.note)) note.classList.add("arrived");
    }
    localTimes();
  }

  async function refresh() {
    if (!document.hidden) {
      try {
        const answer = await fetch(document.body.dataset.live, { cache: "no-store" });
        if (answer.ok) {
          const live = await answer.json();
          if (live.digest !== digest) { digest = live.digest; replace(live.html); }
        }
      } catch { /* the simulator has stopped: keep what is shown */ }
    }
    setTimeout(refresh, 1500);
  }

  localTimes();
  setTimeout(refresh, 1500);
})();
