// The chat inside the widget's frame: tells the page around it what happens, and does what that page asks. It talks to
// the one origin that the server has let in, and hears no other.

const { host, token } = document.getElementById("frame").dataset;
const tell = (message) => window.parent.postMessage(message, host);
const box = () => document.getElementById("text");

const answers = () => document.querySelectorAll(".message:not([data-role=visitor], [aria-busy], [data-replaced])");
const told = new Set([...answers()].map(({ id }) => id));

document.addEventListener("htmx:after:swap", () => {
  for (const message of answers()) {
    if (told.has(message.id)) continue;
    told.add(message.id);
    const text = message.querySelector(".prose, .text")?.innerText.trim() ?? "";
    tell({ webchat: "message", text, source: message.querySelector(".badge")?.dataset.source });
  }
});

window.addEventListener("message", ({ origin, source, data }) => {
  if (origin !== host || source !== window.parent) return;
  if (data?.webchat === "focus") (box() ?? document.querySelector("main"))?.focus();
  if (data?.webchat === "send" && box()) ask(String(data.text));
});

function ask(text) {
  box().value = text;
  box().dispatchEvent(new Event("input", { bubbles: true }));
  document.getElementById("composer").requestSubmit();
}

const controls = () =>
  [...document.querySelectorAll("a[href], button, textarea, input, select, summary, [tabindex='0']")].filter(
    (each) => !each.disabled && each.checkVisibility({ visibilityProperty: true }) && each.type !== "hidden",
  );

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented) return;
  // Escape closes what is open inside first: a list of known questions, the earlier conversations.
  const inside = document.querySelector(".known-question, :popover-open, dialog[open]");
  if (event.key === "Escape" && !inside) tell({ webchat: "close" });
  if (event.key !== "Tab") return;
  const all = controls();
  if (document.activeElement === (event.shiftKey ? all[0] : all.at(-1))) {
    event.preventDefault();
    tell({ webchat: "edge" });
  }
}, true);

tell({ webchat: "ready", token });
