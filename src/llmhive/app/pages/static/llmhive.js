// What pages do better with JavaScript. The server makes every page whole; this only loads less of it anew.
"use strict";
(() => {
  const parse = (html) => new DOMParser().parseFromString(html, "text/html");
  const picked = new Set(); // models that are ticked for comparing, also those that a filter hides
  let loading = null;
  let last = location.pathname + location.search; // what the page shows: a jump within it is none to another

  const address = (form) => {
    let fields = [...new FormData(form)].filter(([, value]) => typeof value === "string" && value.trim() !== "");
    // what is so by itself need not be said
    form.querySelectorAll("[data-default]").forEach((group) => {
      const name = group.dataset.name;
      const chosen = fields.filter((it) => it[0] === name).map((it) => it[1]).join(" ");
      if (chosen === group.dataset.default) fields = fields.filter((it) => it[0] !== name);
    });
    const query = new URLSearchParams(fields).toString();
    return form.getAttribute("action") + (query ? `?${query}` : "");
  };

  // Replace what is marked data-swap by the same of another page.
  const swap = (html, url) => {
    const next = parse(html);
    const parts = [...document.querySelectorAll("[data-swap][id]")];
    const found = parts.map((part) => next.getElementById(part.id));
    if (!parts.length || found.every((part) => part === null)) {
      window.location.assign(url);
      return;
    }
    const focused = document.activeElement;
    const focus = focused && focused.closest("[data-swap]") && (focused.id || focused.getAttribute("href") || focused.textContent);
    parts.forEach((part, index) => {
      const tops = [...part.querySelectorAll(".scroll")].map((it) => [it.scrollTop, it.scrollLeft]);
      if (found[index] === null) part.replaceChildren();
      else part.replaceWith(found[index]);
      if (found[index]) [...found[index].querySelectorAll(".scroll")].forEach((it, n) => { if (tops[n]) it.scrollLeft = tops[n][1]; });
    });
    document.title = next.title;
    if (focus) {
      const again = [...document.querySelectorAll("[data-swap] a, [data-swap] button, [data-swap] input")]
        .find((it) => (it.id || it.getAttribute("href") || it.textContent) === focus);
      if (again) again.focus({ preventScroll: true });
    }
    const count = document.querySelector("[data-announce]");
    const announce = document.getElementById("announce");
    if (count && announce) announce.textContent = count.textContent;
    document.dispatchEvent(new CustomEvent("llmhive:swapped"));
  };

  const load = async (url, { history = "replace" } = {}) => {
    if (loading) loading.abort();
    const mine = loading = new AbortController();
    const parts = [...document.querySelectorAll("[data-swap]")];
    parts.forEach((part) => part.setAttribute("aria-busy", "true"));
    try {
      const answer = await fetch(url, { signal: mine.signal, headers: { Accept: "text/html" }, credentials: "same-origin" });
      const html = await answer.text();
      if (mine !== loading) return;
      if (!answer.ok) {
        const said = parse(html).querySelector("main .note");
        const note = document.createElement("p");
        note.className = "note bad";
        note.textContent = said ? said.textContent : `The service answered ${answer.status}.`;
        parts[0]?.replaceChildren(note);
      } else {
        swap(html, url);
      }
      if (history === "push") window.history.pushState(null, "", url);
      else if (history === "replace") window.history.replaceState(null, "", url);
      last = location.pathname + location.search;
    } catch (error) {
      if (error.name !== "AbortError") window.location.assign(url);
    } finally {
      document.querySelectorAll("[data-swap][aria-busy]").forEach((part) => part.removeAttribute("aria-busy"));
      if (mine === loading) loading = null;
    }
  };

  // Rows that no word of the search is in go at once; the server's answer follows.
  const narrow = (form) => {
    const table = document.querySelector(form.dataset.filter || "#none");
    const search = form.querySelector("[data-search]");
    if (!table || !search) return;
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.dataset.words || "";
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    const count = document.getElementById("count");
    if (count) count.textContent = shown.toLocaleString("en-US");
  };

  let timer = 0;
  const changed = (form, pause) => {
    clearTimeout(timer);
    timer = setTimeout(() => load(address(form)), pause);
  };

  document.addEventListener("input", (event) => {
    const form = event.target.form;
    if (!form || !form.matches("form[data-live]")) return;
    if (event.target.matches("[data-search]")) narrow(form);
    changed(form, event.target.matches("select, [type=checkbox], [type=radio]") ? 0 : 180);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("form[data-live]")) {
      event.preventDefault();
      clearTimeout(timer);
      load(address(form));
    } else if (form.id === "compare") {
      const shown = new Set([...document.querySelectorAll("input[name=model][form=compare]")].map((it) => it.value));
      form.querySelectorAll("input[type=hidden]").forEach((it) => it.remove());
      for (const id of picked) {
        if (shown.has(id)) continue;
        const field = document.createElement("input");
        Object.assign(field, { type: "hidden", name: "model", value: id });
        form.append(field);
      }
    } else if (form.method === "post") {
      // one click is one wish
      const button = event.submitter;
      if (button) setTimeout(() => { button.disabled = true; }, 0);
    }
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("form[method=post] button:disabled").forEach((it) => { it.disabled = false; }));

  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const from = document.querySelector(copy.dataset.copy);
      const label = copy.textContent;
      try {
        await navigator.clipboard.writeText(from.value ?? from.textContent);
        copy.textContent = "Copied";
      } catch {
        const range = document.createRange();
        range.selectNodeContents(from);
        window.getSelection().removeAllRanges();
        window.getSelection().addRange(range);
        copy.textContent = "Selected: copy it";
      }
      setTimeout(() => { copy.textContent = label; }, 2000);
      return;
    }
    const link = event.target.closest("[data-live] a[href]");
    const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || link.target || link.hasAttribute("download")) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || url.pathname !== location.pathname || url.hash) return;
    event.preventDefault();
    await load(url.pathname + url.search, { history: "push" });
    refill(url);
  });

  // The form shows what the address says, also after a link changed it.
  const refill = (url) => {
    const form = document.querySelector("form[data-live]");
    if (!form) return;
    for (const field of form.elements) {
      if (!field.name || field.type === "hidden") continue;
      const values = url.searchParams.getAll(field.name);
      if (field.type === "checkbox" || field.type === "radio") {
        const group = field.closest("[data-default]");
        if (group && !values.length) values.push(...group.dataset.default.split(" "));
        // an answer of nothing is the one that says so
        field.checked = values.includes(field.value) || (field.type === "radio" && !values.length && field.value === "");
      } else field.value = values[0] ?? "";
    }
    for (const name of ["sort", "reverse"]) {
      let field = form.elements[name];
      const value = url.searchParams.get(name);
      if (value !== null && !field) {
        field = Object.assign(document.createElement("input"), { type: "hidden", name });
        form.append(field);
      }
      if (field) field.value = value ?? "";
    }
  };
  window.addEventListener("popstate", async () => {
    const isSame = last === location.pathname + location.search;
    last = location.pathname + location.search;
    if (isSame || !document.querySelector("[data-swap]")) return;
    await load(location.pathname + location.search, { history: "none" });
    refill(new URL(location.href));
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("input[name=model][form=compare]")) {
      if (event.target.checked) picked.add(event.target.value);
      else picked.delete(event.target.value);
      ticks();
    }
  });
  const ticks = () => {
    document.querySelectorAll("input[name=model][form=compare]").forEach((it) => { it.checked = picked.has(it.value); });
    const button = document.querySelector("[data-compare]");
    if (!button) return;
    button.textContent = picked.size ? `Compare ${picked.size} ticked` : "Compare the ticked";
    button.disabled = picked.size < 2 || picked.size > 6;
    button.title = picked.size > 6 ? "Six at most" : picked.size < 2 ? "Tick two to six models" : "";
  };

  // Times that are told from now on.
  const sizes = [[31536000, "year"], [2592000, "month"], [86400, "day"], [3600, "hour"], [60, "minute"]];
  const ago = (date) => {
    const past = (Date.now() - date) / 1000;
    const found = sizes.find(([size]) => Math.abs(past) >= size);
    if (!found) return "just now";
    const number = Math.floor(Math.abs(past) / found[0]);
    const text = `${number} ${found[1]}${number === 1 ? "" : "s"}`;
    return past > 0 ? `${text} ago` : `in ${text}`;
  };
  const times = () => document.querySelectorAll("time[datetime]:not([data-fixed])").forEach((it) => {
    const date = Date.parse(it.dateTime);
    if (!Number.isNaN(date)) it.textContent = ago(date);
  });
  setInterval(times, 30000);

  // What goes on is looked at again until it has ended.
  const poll = () => {
    const marked = document.querySelector("[data-poll]");
    if (marked) setTimeout(async () => { await load(location.pathname + location.search, { history: "none" }); poll(); }, Number(marked.dataset.poll) || 1000);
  };

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, select, textarea");
    const search = document.querySelector("[data-search]");
    if (event.key === "/" && !isTyping && search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  });

  document.addEventListener("llmhive:swapped", ticks);
  document.querySelectorAll("input[name=model][form=compare]:checked").forEach((it) => picked.add(it.value));
  ticks();
  poll();
})();
