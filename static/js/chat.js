// What the chat page can do beyond htmx: keys, the state of the question box, following the newest text, saying when
// the connection is lost, and reading finished answers out. Without it the page still works, one reload at a time.
// Listeners sit on the document and look elements up when they need them, because swaps replace the elements.

const find = (id) => document.getElementById(id);

// --- The question box ---------------------------------------------------------------------------------------------

let sending = false;

function refreshComposer() {
  const box = find("text");
  const length = [...box.value].length; // code points, as the server counts
  const limit = Number(box.dataset.maxChars);
  find("composer").querySelector(".send").disabled = sending || !box.value.trim();
  find("count").value = length > limit * 0.9 ? `${length} / ${limit}` : "";
  find("count").toggleAttribute("data-over", length > limit);
  if (!CSS.supports("field-sizing", "content")) {
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  }
  follow();
}

// A draft survives a reload or a change of language. Storage may be forbidden; then it does not.
const draftKey = () => `draft ${location.pathname}`;

function keepDraft() {
  try {
    sessionStorage.setItem(draftKey(), find("text").value);
  } catch {}
}

function restoreDraft() {
  try {
    find("text").value ||= sessionStorage.getItem(draftKey()) ?? "";
  } catch {}
}

document.addEventListener("input", (event) => {
  if (event.target.id !== "text") return;
  keepDraft();
  refreshComposer();
});

document.addEventListener("keydown", (event) => {
  if (event.target.id !== "text" || event.key !== "Enter" || event.shiftKey) return;
  // An Enter that only picks a candidate of an input method must not send. Safari reports it after the
  // composition has ended, and then only the old key code 229 tells.
  if (event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  const send = find("composer").querySelector(".send");
  if (!send.disabled) find("composer").requestSubmit(send);
});

// --- Sending ------------------------------------------------------------------------------------------------------

// randomUUID exists on secure origins only, and a shop may try the site over plain HTTP in its own network.
const randomId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

function renewClientIds() {
  for (const field of document.querySelectorAll("form:not(#outbox-form) > [name=client_id]")) field.value = randomId();
}

let attempted = null; // the text last sent with the present client_id

// Capturing, so that the fields are right before htmx reads them.
document.addEventListener("submit", (event) => {
  const { elements } = event.target;
  if (event.target.matches(".suggested")) pinned = true; // the answer comes at the end
  if (elements.next) elements.next.value = location.pathname;
  if (!elements.client_id || event.target.id === "outbox-form") return;
  wake();
  // A tapped suggestion should not call up a phone's keyboard.
  if (event.target.id === "composer" || matchMedia("(pointer: fine)").matches) find("text").focus();
  if (sending) return; // htmx drops this one
  const text = event.submitter?.name === "text" ? event.submitter.value : elements.text.value;
  // The same id means the same question: another text after a failed attempt is another question.
  if (attempted !== null && attempted !== text) renewClientIds();
  attempted = text;
  pinned = true;
}, true);

const isQuestion = (ctx) => Boolean(ctx.request.form?.elements.client_id);

document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  if (!isQuestion(ctx)) return;
  // Its own form stays until the answer to it is there: htmx swaps nothing for one that is gone.
  if (!ctx.request.form.matches("#outbox-form, #notice form")) find("notice").replaceChildren();
  setSending(true);
});

document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
  if (isQuestion(ctx)) setSending(false);
});

function setSending(value) {
  sending = value;
  refreshComposer();
}

// Before the swap, so that the address is still the one the draft was kept under.
document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
  if (ctx.response.status >= 400) {
    if (ctx.response.headers.get("Problem-Code") === "still_answering") return; // it waits in the outbox
    // A proxy's error page has no fragments for us, so nothing would be shown.
    if (!ctx.text.includes("<hx-partial")) showUnreachable();
  } else if (isQuestion(ctx)) {
    // What was being typed has become a known question.
    const typed = ctx.request.form.matches(".known-questions") || find("text").value === ctx.request.body.get("text");
    if (typed) find("text").value = "";
    keepDraft();
    renewClientIds();
    attempted = null;
  }
});

document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (ctx && !ctx.response && !isQuestion(ctx)) showUnreachable();
});

// A question that waits in the outbox is no longer a draft.
document.addEventListener("webchat:kept", ({ detail: { text } }) => {
  if (find("text").value === text) find("text").value = "";
  keepDraft();
  renewClientIds();
  attempted = null;
});

function showUnreachable() {
  const sentence = document.createElement("p");
  sentence.textContent = find("notice").dataset.unreachable;
  find("notice").replaceChildren(sentence);
  follow();
}

// --- Following the newest text ------------------------------------------------------------------------------------

const NEAR_END = 48; // px
let pinned = true; // the reader is at the end and wants to stay there
let lastTop = 0;

function readPosition() {
  const { scrollTop, scrollHeight, clientHeight } = find("scroller");
  const distance = scrollHeight - scrollTop - clientHeight;
  if (distance < 2) pinned = true;
  else if (scrollTop < lastTop) pinned = false; // a small step back is meant, however near the end
  else if (scrollTop > lastTop && distance < NEAR_END) pinned = true;
  lastTop = scrollTop;
  find("latest").hidden = pinned;
  find("scroller").toggleAttribute("data-pinned", pinned);
}

function follow() {
  readPosition(); // the reader may have moved since the last scroll event
  const scroller = find("scroller");
  if (!pinned || !scroller.querySelector(".message")) return; // the welcome is read from its top
  scroller.scrollTop = scroller.scrollHeight;
  lastTop = scroller.scrollTop;
}

document.addEventListener("scroll", (event) => {
  if (event.target.id === "scroller") readPosition();
}, true);

document.addEventListener("click", (event) => {
  if (!event.target.closest("#latest")) return;
  pinned = true;
  follow();
  find("text").focus({ preventScroll: true });
});

window.addEventListener("resize", follow);

// --- The connection -----------------------------------------------------------------------------------------------

// Reopens the socket if htmx has given it up (see hx-trigger on #live).
const wake = () => document.body.dispatchEvent(new Event("wake"));

document.addEventListener("htmx:ws:close", ({ detail: { connection, code } }) => {
  find("connection").hidden = !connection.config.reconnectCodes.includes(code);
});

// Asleep: the server has given the socket's place to another page, for this one was quiet. It comes back, with the
// thread as it stands, at the first sign of somebody being here; a page in sight after a while also without one.
const ASLEEP = 4000;
const NAP = 45000; // ms
let asleep = false;

document.addEventListener("htmx:ws:close", ({ detail: { code } }) => {
  asleep = code === ASLEEP;
  if (asleep) setTimeout(stir, NAP);
});

function stir() {
  if (!asleep || document.hidden) return;
  asleep = false;
  wake();
}

for (const sign of ["pointerdown", "keydown", "focusin", "visibilitychange"]) document.addEventListener(sign, stir);

document.addEventListener("htmx:ws:after:connection", () => {
  find("connection").hidden = true;
});

// Leaving the page closed its socket; coming back by the back button may show the very same page again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) wake();
});

// --- Reading out --------------------------------------------------------------------------------------------------

const heard = new Set(); // ids of the finished answers that were on the page at first or have been announced

function newAnswers() {
  const fresh = [];
  for (const message of document.querySelectorAll(".message:not([data-role=visitor])")) {
    if (message.hasAttribute("aria-busy")) {
      heard.delete(message.id);
    } else if (!heard.has(message.id)) {
      heard.add(message.id);
      fresh.push(message);
    }
  }
  return fresh;
}

// Suggestions come while their answer is still being written, so they are read out by themselves.
const offered = new Set();

function newSuggestions() {
  const fresh = [...document.querySelectorAll(".suggested")].filter((form) => !offered.has(form.id));
  for (const form of fresh) offered.add(form.id);
  return fresh.map((form) => Array.from(form.querySelectorAll("p, button"), (part) => part.textContent).join(" "));
}

const spoken = (message) =>
  Array.from(message.querySelectorAll(".badge, .prose, .text, .outcome, .handed, .how-it-was > p"), (part) => part.textContent).join(" ");

document.addEventListener("htmx:after:swap", () => {
  follow();
  const fresh = [...newSuggestions(), ...newAnswers().map(spoken)];
  if (fresh.length) find("announcer").textContent = fresh.join(" ");
});

newAnswers();
newSuggestions();
restoreDraft();
refreshComposer();
if (matchMedia("(pointer: fine)").matches) find("text").focus({ preventScroll: true });
