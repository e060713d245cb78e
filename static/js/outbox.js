// Questions that could not be sent yet: typed while an answer is written, while there is no network, or while everybody
// asks at once. They wait in sight, can be changed, put away or sent now, outlive a reload, and are each sent once: a
// question keeps its client_id however often it is tried.

const find = (id) => document.getElementById(id);
const key = () => `outbox ${location.pathname}`;
const AGAIN = 3000; // ms until the network is tried again, when nothing else says that it is back

let waiting = load();
let trying = null; // the id of the one that is on its way
let notBefore = 0; // when a full queue may be asked again; whatever else happens on the page must not ask sooner

function load() {
  try {
    return JSON.parse(sessionStorage.getItem(key()) ?? "[]");
  } catch {
    return [];
  }
}

function keep() {
  try {
    if (waiting.length) sessionStorage.setItem(key(), JSON.stringify(waiting));
    else sessionStorage.removeItem(key());
  } catch {}
  show();
}

function show() {
  const list = find("outbox");
  if (!list) return;
  const template = find("outbox-item").content;
  list.replaceChildren(
    ...waiting.map(({ id, text, why }) => {
      const item = template.cloneNode(true).firstElementChild;
      item.dataset.id = id;
      item.querySelector(".outbox-text").textContent = text;
      item.querySelector(".outbox-why").textContent = list.dataset[why];
      return item;
    }),
  );
  list.hidden = !waiting.length;
}

const answering = () => Boolean(document.querySelector(".message[aria-busy]"));

// The first one, when nothing stands in its way. Through a form, so that htmx does with it what it does with any other.
function send() {
  const [first] = waiting;
  if (!first || trying || answering() || !navigator.onLine || Date.now() < notBefore) return;
  const form = find("outbox-form");
  form.elements.text.value = first.text;
  form.elements.client_id.value = first.id;
  form.setAttribute("action", find("composer").getAttribute("action"));
  form.setAttribute("hx-post", find("composer").getAttribute("hx-post"));
  trying = first.id;
  form.requestSubmit();
}

function put(id, text, why) {
  const known = waiting.find((each) => each.id === id);
  if (known) known.why = why;
  else waiting.push({ id, text, why });
  keep();
}

const asked = (ctx) => ({ id: ctx.request.body?.get?.("client_id"), text: ctx.request.body?.get?.("text") });
const isQuestion = (ctx) => Boolean(ctx?.request?.form?.elements?.client_id);

document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
  if (!isQuestion(ctx)) return;
  const { id, text } = asked(ctx);
  const code = ctx.response.headers.get("Problem-Code");
  if (ctx.response.status < 400) {
    waiting = waiting.filter((each) => each.id !== id);
    keep();
  } else if (code === "still_answering") {
    put(id, text, "answering");
    document.dispatchEvent(new CustomEvent("webchat:kept", { detail: { text } }));
  } else if (code === "busy") {
    put(id, text, "busy");
    document.dispatchEvent(new CustomEvent("webchat:kept", { detail: { text } }));
    const pause = 1000 * Number(ctx.response.headers.get("Retry-After") ?? 5);
    notBefore = Date.now() + pause;
    setTimeout(send, pause + 50);
  } else if (id === trying) {
    // Refused for good: back to where it can be changed.
    waiting = waiting.filter((each) => each.id !== id);
    find("text").value ||= text;
    keep();
  }
});

// That the queue is full was said when the question was asked, and is not said again at each try.
document.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = event.detail;
  const again = ctx?.request?.form?.id === "outbox-form" && ctx.response?.headers.get("Problem-Code") === "busy";
  if (again) event.preventDefault();
});

document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (!isQuestion(ctx) || ctx.response) return;
  const { id, text } = asked(ctx);
  put(id, text, "offline");
  document.dispatchEvent(new CustomEvent("webchat:kept", { detail: { text } }));
  setTimeout(send, AGAIN);
});

document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
  if (!isQuestion(ctx)) return;
  if (asked(ctx).id === trying) trying = null;
  keep(); // under the address of the conversation that was just opened, perhaps
});

document.addEventListener("htmx:after:swap", send);
document.addEventListener("htmx:ws:after:connection", send);
window.addEventListener("online", send);

document.addEventListener("click", ({ target }) => {
  const item = target.closest(".outbox-item");
  const action = target.closest("[data-outbox]")?.dataset.outbox;
  if (!item || !action) return;
  const one = waiting.find(({ id }) => id === item.dataset.id);
  waiting = waiting.filter((each) => each !== one);
  if (action === "edit") {
    find("text").value = one.text;
    find("text").dispatchEvent(new Event("input", { bubbles: true }));
    find("text").focus();
  } else if (action === "now") {
    waiting.unshift(one);
    notBefore = 0; // whoever asks for it is not told to wait
    document.querySelector(".stop form")?.requestSubmit();
  } else {
    find("text").focus();
  }
  keep();
  send();
});

show();
send();
