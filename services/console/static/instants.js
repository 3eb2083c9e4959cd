// The slider over an order's events: each place shows how every service had the order then.

const section = document.getElementById("instant");
const slider = document.getElementById("moment");
const states = document.getElementById("states");
const said = document.getElementById("moment-said");
const moments = slider.dataset.moments.split(" ");
const texts = slider.dataset.texts.split("\n");
let asked = 0;

function tell() {
  const at = moments[slider.value];
  const text = at ? `${at.replace("T", " ").slice(0, 23)} UTC ${texts[slider.value]}` : "now";
  said.textContent = text;
  slider.setAttribute("aria-valuetext", text);
}

async function show() {
  const at = moments[slider.value] ?? new Date().toISOString();
  const address = new URL(location);
  if (moments[slider.value]) address.searchParams.set("at", at); else address.searchParams.delete("at");
  history.replaceState(null, "", address);
  const mine = ++asked;
  states.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(`${section.dataset.states}?at=${encodeURIComponent(at)}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== asked) return;
    const found = page.getElementById("states-shown") ?? page.querySelector("main .empty, main .notice");
    states.replaceChildren(...(found ? [found] : []));
  } catch {
    if (mine === asked) states.textContent = "The console does not answer. Move the slider again.";
  }
  states.removeAttribute("aria-busy");
}

let waits;
slider.addEventListener("input", () => {
  tell();
  clearTimeout(waits);
  waits = setTimeout(show, 120);
});
slider.form.addEventListener("submit", (event) => event.preventDefault());
tell();
