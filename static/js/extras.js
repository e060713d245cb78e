// What makes waiting and coming back easier on the chat page: copying an answer with its source, a waiting time that
// counts down, and a title and a line that tell what came while the page was out of sight.

// --- Copying ------------------------------------------------------------------------------------------------------

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  const done = await copy(textOf(button));
  if (done) say(button);
});

function textOf(button) {
  const message = button.closest(".message");
  const badge = message.querySelector(".badge")?.textContent;
  const shop = document.querySelector(".brand span")?.textContent;
  const source = [badge, shop].filter(Boolean).join(" · ");
  return `${message.querySelector(".prose, .text").innerText.trim()}\n\n— ${source}`;
}

// What is copied from a block of code is run, and wants no source behind it.
document.addEventListener("click", async ({ target }) => {
  const button = target.closest(".copy-code");
  if (!button) return;
  const done = await copy(button.previousElementSibling.innerText.replace(/\n$/, ""));
  if (done) say(button);
});

// The clipboard belongs to secure origins; a shop may try the site over plain HTTP in its own network.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = Object.assign(document.createElement("textarea"), { value: text, className: "visually-hidden" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function say(button) {
  document.getElementById("announcer").textContent = button.dataset.done;
  button.toggleAttribute("data-copied", true);
  setTimeout(() => button.removeAttribute("data-copied"), 2000);
}

// --- The waiting time ---------------------------------------------------------------------------------------------

// The server says it anew at every change of the queue; in between the page counts.
setInterval(() => {
  for (const seconds of document.querySelectorAll(".eta")) {
    const left = Number(seconds.textContent) - 1;
    if (left > 0) seconds.textContent = left;
  }
}, 1000);

// --- Out of sight -------------------------------------------------------------------------------------------------

const title = document.title;
const answers = () => document.querySelectorAll(".message:not([data-role=visitor], [aria-busy], [data-replaced])");
let seen = answers().length;

document.addEventListener("htmx:after:swap", () => {
  const all = [...answers()];
  if (!document.hidden) {
    seen = all.length;
  } else if (all.length > seen) {
    document.title = `(${all.length - seen}) ${title}`;
    if (!document.querySelector("[data-unread]")) all[seen].dataset.unread = "";
  }
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    for (const message of document.querySelectorAll("[data-unread]")) delete message.dataset.unread;
  } else {
    document.title = title;
    seen = answers().length;
  }
});

// --- Known questions ----------------------------------------------------------------------------------------------

const known = () => [...document.querySelectorAll(".known-question")];
const forget = () => document.getElementById("known").replaceChildren();

document.addEventListener("keydown", (event) => {
  const offered = known();
  if (!offered.length || event.isComposing) return;
  const box = document.getElementById("text");
  const at = offered.indexOf(document.activeElement);
  if (event.key === "Escape") {
    forget();
    box.focus();
  } else if (event.key === "ArrowUp" && (at >= 0 || document.activeElement === box)) {
    event.preventDefault();
    (at < 0 ? offered.at(-1) : offered[Math.max(at - 1, 0)]).focus();
  } else if (event.key === "ArrowDown" && at >= 0) {
    event.preventDefault();
    (offered[at + 1] ?? box).focus();
  }
});

document.addEventListener("click", ({ target }) => {
  if (!target.closest(".known, .composer")) forget();
});

// Asked, in whatever way: what was offered for it is over, and so is an offer that is still on its way.
// At its very end: htmx swaps nothing for a form that is gone.
document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
  if (ctx.request.method === "POST") forget();
});

document.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = event.detail;
  if (ctx?.target?.id === "known" && !document.getElementById("text").value.trim()) event.preventDefault();
});

// --- Without a network --------------------------------------------------------------------------------------------

// Keeps a page that says so; on secure origins only, as browsers want it, and not in the frame of another site.
if (window.parent === window) navigator.serviceWorker?.register("/sw.js");
