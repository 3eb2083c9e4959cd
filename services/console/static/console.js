// What pages do by themselves in the browser: times, copying, keys, and whether what they show is fresh.

const root = document.documentElement;
const all = (query, within = document) => [...within.querySelectorAll(query)];

// Times: relative, with the moment on hover, in UTC or as here.

const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

function relative(seconds) {
  const size = Math.abs(seconds);
  if (size < 1) return "now";
  const [unit, length] = units.find(([, each]) => size >= each);
  const text = `${Math.floor(size / length)} ${unit}`;
  return seconds < 0 ? `${text} ago` : `in ${text}`;
}

function absolute(when) {
  if (root.dataset.zone !== "local") return when.toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
  return when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

function clock(when) {
  if (root.dataset.zone !== "local") return `${when.toISOString().slice(11, 19)} UTC`;
  return when.toLocaleTimeString(undefined, { timeStyle: "medium" });
}

function shown(time, when) {
  if (time.hasAttribute("data-relative")) return relative((when - Date.now()) / 1000);
  return time.hasAttribute("data-clock") ? clock(when) : absolute(when);
}

function tell(time) {
  const when = new Date(time.dateTime);
  if (isNaN(when)) return;
  const text = shown(time, when);
  if (time.textContent !== text) time.textContent = text;
  if (time.title !== absolute(when)) time.title = absolute(when);
}

function tellAll() {
  all("time[datetime]").forEach(tell);
}

// Preferences, which the browser keeps.

function kept(name, otherwise) {
  try { return localStorage.getItem(name) ?? otherwise; } catch { return otherwise; }
}

function keep(name, value) {
  try { localStorage.setItem(name, value); } catch { /* a private window keeps nothing */ }
}

function zone(name) {
  root.dataset.zone = name;
  const button = document.getElementById("zone");
  if (button) button.textContent = name === "local" ? "Local" : "UTC";
  tellAll();
}

function theme(name) {
  if (name) root.dataset.theme = name; else delete root.dataset.theme;
}

theme(kept("theme", ""));
zone(kept("zone", "utc"));
setInterval(tellAll, 1000);

document.getElementById("zone")?.addEventListener("click", () => {
  const next = root.dataset.zone === "local" ? "utc" : "local";
  keep("zone", next);
  zone(next);
});

document.getElementById("theme")?.addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  theme(dark ? "light" : "dark");
  keep("theme", root.dataset.theme);
});

document.getElementById("menu")?.addEventListener("click", (event) => {
  const open = event.currentTarget.getAttribute("aria-expanded") !== "true";
  event.currentTarget.setAttribute("aria-expanded", open);
});

// Copying.

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.dataset.copied = "yes";
    setTimeout(() => delete button.dataset.copied, 1500);
  } catch {
    prompt("Copy:", button.dataset.copy);
  }
});

// Keys.

const help = document.getElementById("help");
let last = "", at_ = "";

function rows() {
  return all("tr[data-to]");
}

function move(step) {
  const found = rows();
  if (!found.length) return;
  const at = found.findIndex((each) => each.classList.contains("here"));
  const next = found[Math.min(found.length - 1, Math.max(0, at + step))];
  found.forEach((each) => each.classList.toggle("here", each === next));
  at_ = next.dataset.to;
  next.scrollIntoView({ block: "nearest" });
}

// What is kept fresh comes without it.
function stay() {
  rows().forEach((each) => each.classList.toggle("here", each.dataset.to === at_));
}

const keys = {
  "/": () => document.querySelector("input[type=search]")?.focus(),
  "?": () => help?.showModal(),
  j: () => move(1),
  k: () => move(-1),
  Enter: () => {
    const to = document.querySelector("tr.here")?.dataset.to;
    if (to) location.assign(to);
    return Boolean(to);
  },
  h: () => last === "g" ? location.assign("/") : false,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") document.activeElement?.blur();
  if (event.target.closest("input, textarea, select, dialog") || (event.key === "Enter" && event.target.closest("a, button, summary"))) return;
  if (keys[event.key] && keys[event.key]() !== false) event.preventDefault();
  last = event.key;
});

document.getElementById("help-button")?.addEventListener("click", () => help.showModal());

document.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-to]");
  if (row && !event.target.closest("a, button, input, label, select, form") && !getSelection().toString()) {
    location.assign(row.dataset.to);
  }
});

// Whether what is shown is fresh. A page in the background is not kept so, and comes again when it is looked at.

const connection = document.getElementById("connection");

function is(state, text, why = "") {
  if (!connection) return;
  connection.dataset.state = state;
  connection.textContent = text;
  connection.title = why;
}

const parts = () => all("[hx-sse\\:connect]");
if (parts().length) is("waits", "connecting …");

document.addEventListener("htmx:sse:after:connection", () => is("well", "live", "What changes is shown at once"));
document.addEventListener("htmx:sse:error", () => is("wrong", "away", "The console does not answer; it is tried again"));
document.addEventListener("htmx:sse:after:message", tellAll);
document.addEventListener("htmx:after:swap", () => { tellAll(); stay(); });
document.addEventListener("visibilitychange", () => {
  if (parts().length && document.hidden) is("waits", "paused", "Nobody looks");
});
document.addEventListener("away", (event) => is("wrong", "behind", event.detail?.data));
document.addEventListener("here", () => is("well", "live", "What changes is shown at once"));
document.addEventListener("gone", () => is("wrong", "logged out", "Load the page again to log in"));

// A first attempt that fails is not repeated by the extension.
document.addEventListener("htmx:error", (event) => {
  const part = event.target.closest?.("[hx-sse\\:connect]");
  if (!part || part.dataset.again) return;
  is("wrong", "away", "The console does not answer; it is tried again");
  part.dataset.again = "yes";
  setTimeout(() => {
    delete part.dataset.again;
    if (part.isConnected) htmx.ajax("GET", part.getAttribute("hx-sse:connect"), { source: part });
  }, 2000);
});

// Where rows have buttons none comes under another's finger: what is gone stays, and what is new waits to be asked for.

function gone(row, silent) {
  const left = row.cloneNode(true), isKnown = !silent.includes(row.dataset.of);
  all("button", left).forEach((each) => { each.disabled = true; each.dataset.off = "yes"; });
  if (left.classList.contains("gone")) return left;
  left.classList.toggle("gone", isKnown);
  const mark = left.querySelector(".mark");
  if (mark) { mark.className = "mark over"; mark.textContent = isKnown ? "– gone" : "– not known"; }
  return left;
}

// A table without rows comes as a text that says so: where some are shown it stays.
function remain(none) {
  const shown = document.getElementById(none.dataset.noneOf)?.closest(".scroll");
  if (!shown) return;
  const table = shown.cloneNode(true);
  table.querySelector("tbody").replaceChildren();
  none.replaceWith(table);
}

function hold(coming, silent) {
  const shown = document.getElementById(coming.id);
  if (!shown) return 0;
  const rows = new Map([...coming.rows].map((each) => [each.id, each]));
  coming.replaceChildren(...[...shown.rows].map((each) => rows.get(each.id) ?? gone(each, silent)));
  return [...rows.keys()].filter((id) => !shown.querySelector(`#${CSS.escape(id)}`)).length;
}

document.addEventListener("htmx:before:swap", (event) => {
  event.detail.tasks.forEach(({ fragment }) => {
    const told = fragment.querySelector("[data-held-back]");
    const silent = (told?.dataset.silent ?? "").split(" ");
    all("[data-none-of]", fragment).forEach(remain);
    const back = all("tbody[data-held]", fragment).reduce((sum, each) => sum + hold(each, silent), 0);
    if (told && back) told.textContent = told.textContent.replace(/^\d+/, back);
  });
});

// What a form is about to do takes a moment: it is sent once.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post" || event.defaultPrevented) return;
  setTimeout(() => all("button", event.target).forEach((each) => { each.disabled = true; }));
});
addEventListener("pageshow", (event) => {
  if (event.persisted) all("form button[disabled]:not([data-off])").forEach((each) => { each.disabled = false; });
});
