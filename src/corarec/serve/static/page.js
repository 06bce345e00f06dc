// Without this file every page works by links and forms alone. With it, what a link or a form marked
// `data-swap` brings is put in the place of what is there, and the list says what moved.
"use strict";

const TYPING_MS = 250;
const main = () => document.getElementById("main");
const told = document.getElementById("told");
let current = null;

function tell(text, trouble = false) {
  told.textContent = text;
  told.classList.toggle("trouble", trouble);
}

function ranks() {
  const items = main().querySelectorAll("li[data-item]");
  return new Map([...items].map((li) => [li.dataset.item, Number(li.dataset.rank)]));
}

// What has the focus, so that the same thing has it after the swap.
function focused() {
  const at = document.activeElement;
  if (!at || !main().contains(at)) return null;
  const place = at.closest("li[data-rank]");
  return {
    id: at.id,
    rank: place && place.dataset.rank,
    kind: at.classList[0],
    typed: at.matches("[data-typed]") ? { value: at.value, at: at.selectionStart } : null,
  };
}

function refocus(was) {
  if (!was) return;
  let at = was.id && document.getElementById(was.id);
  if (!at && was.rank) {
    const row = main().querySelector(`li[data-rank="${was.rank}"]`);
    at = row && ((was.kind && row.querySelector(`.${CSS.escape(was.kind)}`)) || row.querySelector("button, a"));
  }
  (at || main()).focus({ preventScroll: true });
  if (at && was.typed) {
    at.value = was.typed.value;
    at.setSelectionRange(was.typed.at, was.typed.at);
  }
}

function showMoves(before) {
  if (!before.size) return "";
  let moved = 0, fresh = 0;
  for (const li of main().querySelectorAll("li[data-item]")) {
    const at = li.querySelector(".moved");
    const old = before.get(li.dataset.item);
    const by = old === undefined ? 0 : old - Number(li.dataset.rank);
    if (old !== undefined && !by) continue;
    if (old === undefined) fresh += 1; else moved += 1;
    at.textContent = old === undefined ? "comes in" : `${by > 0 ? "rose" : "fell"} by ${Math.abs(by)}`;
    li.classList.add("changed");
  }
  if (!moved && !fresh) return "The list is the same.";
  return `The list changed: ${moved} moved, ${fresh} came in.`;
}

async function read(url, options) {
  if (current) current.abort();
  const mine = (current = new AbortController());
  const answer = await fetch(url, { ...options, signal: mine.signal, credentials: "same-origin" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (current === mine) current = null;
  return { answer, page, next: page.getElementById("main") };
}

async function swap(url, { options = {}, keep = "push", from = null } = {}) {
  main().setAttribute("aria-busy", "true");
  try {
    const { answer, page, next } = await read(url, options);
    if (answer.status === 401 || !next) return location.assign(answer.status === 401 ? "/sign-in" : url);
    if (!answer.ok) {
      const problem = page.getElementById("problem");
      return tell(problem ? problem.textContent : "That did not work.", true);
    }
    const before = ranks();
    const was = focused();
    main().replaceWith(document.importNode(next, true));
    document.title = page.title;
    if (keep === "push" && answer.url !== location.href) history.pushState(null, "", answer.url);
    else if (keep) history.replaceState(null, "", answer.url);
    refocus(was);
    tell(showMoves(before));
    again();
  } catch (error) {
    if (error.name === "AbortError") return;
    tell("The service does not answer. Try again in a moment.", true);
  } finally {
    if (!current) main().removeAttribute("aria-busy");
  }
}

function target(form, submitter) {
  const fields = new URLSearchParams(new FormData(form, submitter));
  const url = new URL(form.getAttribute("action"), location.href);
  if (form.method === "post") return [url.href, { method: "POST", body: fields }];
  for (const [name, value] of [...fields]) if (value === "") fields.delete(name, "");
  url.search = fields.toString();
  return [url.href, {}];
}

async function why(control, url) {
  const row = control.closest("li");
  const open = row.querySelector(".because");
  if (open) {
    open.remove();
    control.setAttribute("aria-expanded", "false");
    return;
  }
  control.setAttribute("aria-busy", "true");
  try {
    const { answer, page } = await read(url, {});
    const found = page.getElementById("why");
    if (!found) {
      const problem = page.getElementById("problem");
      tell(problem ? problem.textContent : "That cannot be explained.", true);
      if (answer.status === 401) location.assign("/sign-in");
      return;
    }
    const box = document.createElement("div");
    box.className = "because";
    found.removeAttribute("id");
    box.append(document.importNode(found, true));
    control.closest(".actions").after(box);
    control.setAttribute("aria-expanded", "true");
  } catch (error) {
    if (error.name !== "AbortError") tell("The service does not answer. Try again in a moment.", true);
  } finally {
    control.removeAttribute("aria-busy");
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-why]")) {
    event.preventDefault();
    const [url] = target(form, event.submitter);
    why(event.submitter || form.querySelector("button"), url);
  } else if (form.matches("[data-swap]")) {
    event.preventDefault();
    const [url, options] = target(form, event.submitter);
    const typing = form.dataset.typing === "1";
    delete form.dataset.typing;
    swap(url, { options, keep: typing || options.method ? "replace" : "push" });
  }
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-swap], a[data-why]");
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  if (link.matches("[data-why]")) why(link, link.href);
  else swap(link.href);
});

let typing = 0;
document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-typed]") || event.isComposing) return;
  clearTimeout(typing);
  const form = event.target.form;
  typing = setTimeout(() => {
    form.dataset.typing = "1";
    form.requestSubmit();
  }, TYPING_MS);
});

addEventListener("popstate", () => swap(location.href, { keep: "" }));

// Figures that change by themselves are read again while somebody looks.
let clock = 0;
function again() {
  clearTimeout(clock);
  const at = document.querySelector("[data-again]");
  if (!at) return;
  clock = setTimeout(async () => {
    try {
      if (!document.hidden) {
        const { page } = await read(location.href, {});
        const next = page.getElementById(at.id);
        if (next) at.replaceWith(document.importNode(next, true));
      }
    } catch {
      tell("The service does not answer.", true);
    }
    again();
  }, 1000 * Number(at.dataset.again));
}

again();
