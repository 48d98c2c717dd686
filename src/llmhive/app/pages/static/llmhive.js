// What pages do better with JavaScript. The server makes every page whole; this only loads less of it anew.
"use strict";
(() => {
  const parse = (html) => new DOMParser().parseFromString(html, "text/html");
  const picked = new Set(); // models that are ticked for comparing, also those that a filter hides
  let loading = null; // what is asked for now: how to stop it, and when it is done
  let last = location.pathname + location.search; // what the page shows: a jump within it is none to another
  let edits = 0; // fields that were changed so far
  const edited = new WeakMap(); // a field of a form, and the number of its last edit
  const isNewer = (field, since) => (edited.get(field) ?? 0) > since;

  const address = (form) => {
    let fields = [...new FormData(form)].filter(([, value]) => typeof value === "string" && value.trim() !== "");
    // what is so by itself need not be said
    form.querySelectorAll("[data-default]").forEach((group) => {
      const name = group.dataset.name;
      const chosen = fields.filter((it) => it[0] === name).map((it) => it[1]).join(" ");
      if (chosen === group.dataset.default) fields = fields.filter((it) => it[0] !== name);
    });
    const query = new URLSearchParams(fields).toString();
    // where the answer is matters to who has no script
    const [path] = form.getAttribute("action").split("#");
    return path + (query ? `?${query}` : "");
  };

  // Replace what is marked data-swap by the same of another page, but for what was changed after `since`; tells whether it did.
  const swap = (html, since) => {
    const next = parse(html);
    const parts = [...document.querySelectorAll("[data-swap][id]")];
    const found = parts.map((part) => next.getElementById(part.id));
    if (!parts.length || found.every((part) => part === null)) return false;
    const focused = document.activeElement;
    const called = (it) => it.id || it.getAttribute("href") || it.textContent;
    const focus = focused && focused.closest("[data-swap]") && called(focused);
    parts.forEach((part, index) => {
      if ([part, ...part.querySelectorAll("input, select")].some((it) => isNewer(it, since))) return;
      const tops = [...part.querySelectorAll(".scroll")].map((it) => [it.scrollTop, it.scrollLeft]);
      if (found[index] === null) part.replaceChildren();
      else part.replaceWith(found[index]);
      if (found[index]) [...found[index].querySelectorAll(".scroll")].forEach((it, n) => { if (tops[n]) it.scrollLeft = tops[n][1]; });
    });
    document.title = next.title;
    if (focus && !focused.isConnected) {
      const again = [...document.querySelectorAll("[data-swap] :is(a, button, input, select), select[data-swap]")]
        .find((it) => called(it) === focus) ?? document.getElementById("results");
      if (again) again.focus({ preventScroll: true });
    }
    const count = document.querySelector("[data-announce]");
    const announce = document.getElementById("announce");
    if (count && announce) announce.textContent = count.textContent;
    document.dispatchEvent(new CustomEvent("llmhive:swapped"));
    return true;
  };

  // What is asked for shows in this page, whichever way: a `link` (or a step back), a `form` that was sent, one that is
  // being filled in (`typed`), or what is looked at again (`poll`). Only where somebody means to go does the tab leave.
  const load = (url, how, since = edits) => {
    if (loading) loading.stop.abort();
    const mine = loading = { stop: new AbortController(), how, since };
    mine.done = fill(mine, url);
    return mine.done;
  };

  const fill = async (mine, url) => {
    const { how, since } = mine;
    document.querySelectorAll("[data-swap]").forEach((part) => part.setAttribute("aria-busy", "true"));
    try {
      const answer = await fetch(url, { signal: mine.stop.signal, headers: { Accept: "text/html" }, credentials: "same-origin" });
      const html = await answer.text();
      if (mine !== loading) return false;
      if (!answer.ok) {
        if (how === "poll") return false;
        const said = parse(html).querySelector("main .note");
        complain(said ? said.textContent : `The service answered ${answer.status}.`);
      } else if (!swap(html, since)) {
        if (how !== "poll") window.location.assign(url);
        return false;
      }
      if (how === "link") window.history.pushState(null, "", url);
      else if (how === "form" || how === "typed") window.history.replaceState(null, "", url);
      last = location.pathname + location.search;
      if (answer.ok && (how === "link" || how === "back")) refill(new URL(url, location.href), since);
      return answer.ok;
    } catch (error) {
      if (error.name === "AbortError" || how === "poll") return false;
      if (how === "typed") complain("The service does not answer. What is typed next asks again.");
      else window.location.assign(url);
      return false;
    } finally {
      // a newer one is busy still
      if (mine === loading) {
        document.querySelectorAll("[data-swap][aria-busy]").forEach((part) => part.removeAttribute("aria-busy"));
        loading = null;
      }
    }
  };

  const complain = (text) => {
    const note = document.createElement("p");
    note.className = "note bad";
    note.textContent = text;
    // the address of the form says where its answer is
    const place = document.getElementById(document.querySelector("form[data-live]")?.getAttribute("action").split("#")[1]);
    const part = place?.matches("[data-swap]") ? place : (place ?? document).querySelector(":is(section, div)[data-swap]");
    part?.replaceChildren(note);
  };

  // Rows that no word of the search is in go at once; the server's answer follows.
  const narrow = (form) => {
    const table = document.querySelector(form.dataset.filter || "#none");
    const search = form.querySelector("[data-search]");
    if (!table || !search) return;
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.querySelectorAll("tbody tr")) {
      const text = row.dataset.words || "";
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    const count = document.getElementById("count");
    if (count) count.textContent = shown.toLocaleString("en-US");
  };

  let timer = 0;
  let filled = null; // a form that is asked for after a pause
  const ask = async (form, how = "typed") => {
    clearTimeout(timer);
    filled = null;
    // what a link sets comes first: the form holds it then
    while (loading && (loading.how === "link" || loading.how === "back")) await loading.done;
    await load(address(form), how);
  };
  const changed = (form) => {
    clearTimeout(timer);
    filled = form;
    timer = setTimeout(() => ask(form), 180);
  };

  document.addEventListener("input", (event) => {
    const form = event.target.form;
    if (!form || !form.matches("form[data-live]")) return;
    edited.set(event.target, ++edits);
    if (event.target.matches("[data-search]")) narrow(form);
    if (event.target.matches("select, [type=checkbox], [type=radio]")) ask(form);
    else changed(form);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("form[data-live]")) {
      event.preventDefault();
      ask(form, "form");
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
    let url = new URL(link.href);
    if (url.origin !== location.origin || url.pathname !== location.pathname || url.hash) return;
    event.preventDefault();
    const since = edits;
    // what was asked for before comes first: then the same link keeps it
    if (filled) await ask(filled);
    while (loading) await loading.done;
    url = new URL((document.getElementById(link.id) || link).href);
    load(url.pathname + url.search, "link", since);
  });

  // The form shows what the address says, also after a link changed it; what was changed after `since` stays.
  const refill = (url, since) => {
    const form = document.querySelector("form[data-live]");
    if (!form) return;
    for (const field of form.elements) {
      // what is marked data-swap came with the page
      if (!field.name || field.type === "hidden" || field.closest("[data-swap]") || isNewer(field, since)) continue;
      const values = url.searchParams.getAll(field.name);
      if (field.type === "checkbox" || field.type === "radio") {
        const group = field.closest("[data-default]");
        if (group && !values.length) values.push(...group.dataset.default.split(" "));
        // an answer of nothing is the one that says so
        field.checked = values.includes(field.value) || (field.type === "radio" && !values.length && field.value === "");
        continue;
      }
      const boxes = [...form.elements].filter((it) => it.type === "checkbox" && it.name === field.name).map((it) => it.value);
      const usual = values.length ? "" : field.closest("[data-default]")?.dataset.default ?? "";
      const value = values.filter((it) => !boxes.includes(it)).join(", ") || usual;
      if (field.matches("select") && ![...field.options].some((it) => it.value === value)) field.add(new Option(value, value));
      field.value = value;
    }
  };
  window.addEventListener("popstate", () => {
    const isSame = last === location.pathname + location.search;
    last = location.pathname + location.search;
    if (!isSame && document.querySelector("[data-swap]")) load(last, "back");
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
    button.textContent = picked.size > 6 ? `Compare: six at most, ${picked.size} are ticked`
      : picked.size > 1 ? `Compare ${picked.size} ticked` : picked.size ? "Compare: tick one more" : "Compare: tick two to six";
    button.disabled = picked.size < 2 || picked.size > 6;
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

  // What goes on is looked at again until it has ended; while nobody answers, ever less often.
  const poll = (misses = 0) => {
    const marked = document.querySelector("[data-poll]");
    if (!marked) return;
    const pause = Number(marked.dataset.poll) || 1000;
    setTimeout(async () => {
      while (loading) await loading.done;
      poll(await load(location.pathname + location.search, "poll") ? 0 : misses + 1);
    }, misses ? Math.max(pause, Math.min(pause * 2 ** misses, 5000)) : pause);
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

  document.addEventListener("llmhive:swapped", () => {
    ticks();
    // what is being typed narrows what just came as well
    if (filled) narrow(filled);
  });
  document.querySelectorAll("input[name=model][form=compare]:checked").forEach((it) => picked.add(it.value));
  ticks();
  poll();
})();
