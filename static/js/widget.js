// The widget's loader, for a shop's own pages: a button, and at its first click the chat in a frame. It brings no
// styles into the page and takes none from it (shadow DOM), sets no cookie, and runs under a strict CSP that allows
// this script and, as frame-src, its origin. Settings are data-* attributes of the script; see docs/widget.md.

(() => {
  if (window.webchat) return;
  const script = document.currentScript;
  const home = new URL(script.src).origin;
  const set = script.dataset;
  const language = (set.language || document.documentElement.lang || navigator.language).startsWith("en") ? "en" : "zh";
  const words = {
    zh: {
      chat: "在线客服", close: "关闭在线客服", dismiss: "关闭提示", unread: (n) => `在线客服，${n} 条新消息`,
      loading: "正在打开…", failed: "这里打不开在线客服。", alone: "在新窗口打开",
    },
    en: {
      chat: "Chat with us", close: "Close the chat", dismiss: "Dismiss", unread: (n) => `Chat with us, ${n} new`,
      loading: "Opening…", failed: "The chat cannot be opened here.", alone: "Open it in a new window",
    },
  }[language];
  const color = /^#(?:[0-9a-f]{3}|[0-9a-f]{6})$/i.test(set.color ?? "") ? set.color : "#17705f";
  const side = set.position === "left" ? "left" : "right";
  const PATIENCE = 15000; // ms until a frame that says nothing is given up
  const AFTER_LOAD = 3000; // the same, once the browser has loaded whatever it shows there

  const css = `
    :host { all: initial; }
    * { box-sizing: border-box; font: 16px/1.5 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
    button, a { cursor: pointer; }
    :focus-visible { outline: 3px solid #1b62c4; outline-offset: 2px; }
    .launch { position: fixed; bottom: max(20px, env(safe-area-inset-bottom)); ${side}: 20px; z-index: 2147483000;
      width: 56px; height: 56px; padding: 0; border: 1px solid ${ink(color)}33; border-radius: 50%; background: ${color};
      color: ${ink(color)}; box-shadow: 0 4px 16px rgb(0 0 0 / 25%); }
    .launch svg { width: 28px; height: 28px; display: block; margin: auto; }
    .badge { position: absolute; top: -4px; right: -4px; min-width: 22px; height: 22px; padding: 0 6px; border-radius: 11px;
      background: #a3262f; color: #fff; font-size: 13px; line-height: 22px; }
    .greeting { position: fixed; bottom: calc(max(20px, env(safe-area-inset-bottom)) + 68px); ${side}: 20px;
      z-index: 2147483000; display: flex; gap: 4px; max-width: min(300px, 100vw - 40px); border: 1px solid #dcd9d2;
      border-radius: 14px; background: #fff; color: #20242a; box-shadow: 0 4px 16px rgb(0 0 0 / 15%); }
    .greeting button { border: 0; background: none; color: inherit; min-height: 44px; text-align: start; padding: 8px 0 8px 14px;
      overflow-wrap: anywhere; }
    .greeting .dismiss { padding: 0; min-width: 44px; font-size: 20px; text-align: center; }
    .panel { position: fixed; inset: auto; bottom: max(20px, env(safe-area-inset-bottom)); ${side}: 20px; z-index: 2147483001;
      width: 400px; height: min(660px, 100dvh - 40px); margin: 0; padding: 0; border: 1px solid #85817a; border-radius: 18px;
      overflow: hidden; background: Canvas; color: CanvasText; color-scheme: light dark;
      box-shadow: 0 12px 40px rgb(0 0 0 / 30%); max-width: none; max-height: none; }
    .panel::backdrop { background: none; }
    iframe { display: block; width: 100%; height: 100%; border: 0; }
    .shut { position: absolute; top: 6px; right: 6px; width: 44px; height: 44px; border: 0; border-radius: 50%; background: none;
      color: inherit; font-size: 26px; line-height: 1; }
    .state { position: absolute; inset: 56px 24px 24px; text-align: center; }
    [hidden] { display: none !important; }
    @media (max-width: 640px) { .panel { inset: 0; width: 100%; height: 100dvh; border: 0; border-radius: 0; } }
    @media (prefers-reduced-motion: no-preference) {
      .panel[open] { animation: rise .18s ease-out; } @keyframes rise { from { opacity: 0; transform: translateY(12px); } } }
    @media print { :host { display: none; } }`;

  // Black or white, whichever stands out more (WCAG's relative luminance).
  function ink(hex) {
    const full = hex.length === 4 ? hex.replace(/[^#]/g, "$&$&") : hex;
    const [r, g, b] = [1, 3, 5].map((at) => {
      const part = parseInt(full.slice(at, at + 2), 16) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
  }

  function make(tag, attributes, ...children) {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...children);
    return element;
  }

  // The page's own storage, so that the conversation goes on with the next page; it may be forbidden.
  function remember(name, value) {
    try {
      if (value === null) sessionStorage.removeItem(`webchat ${name}`);
      else sessionStorage.setItem(`webchat ${name}`, value);
    } catch {}
  }

  function remembered(name) {
    try {
      return sessionStorage.getItem(`webchat ${name}`);
    } catch {
      return null;
    }
  }

  const host = make("div");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [sheet];

  const badge = make("span", { className: "badge", hidden: true });
  const launch = make("button", { type: "button", className: "launch", ariaLabel: words.chat, ariaExpanded: "false" });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M4 5h16v11H9l-5 4z");
  for (const [name, value] of [["fill", "none"], ["stroke", "currentColor"], ["stroke-width", "2"], ["stroke-linejoin", "round"]]) {
    path.setAttribute(name, value);
  }
  svg.append(path);
  launch.append(svg, badge);

  const shut = make("button", { type: "button", className: "shut", ariaLabel: words.close, textContent: "×" });
  const state = make("p", { className: "state", role: "status", textContent: words.loading });
  const panel = make("dialog", { className: "panel", ariaLabel: words.chat });
  // Tab stays inside until Escape or the close button: behind the last thing in the frame comes the first in the panel.
  const [before, after] = [0, 1].map(() => make("span", { tabIndex: 0 }));
  let frame = null;
  let ready = false;
  let waiting = []; // messages for the frame
  let unread = 0;
  let giveUp = 0;
  const listeners = new Map();

  const emit = (event, detail) => listeners.get(event)?.forEach((listener) => listener(detail));
  const phone = () => matchMedia("(max-width: 640px)").matches;

  function load() {
    if (frame) return;
    const url = new URL("/widget", home);
    const page = set.pageContext === "off" ? {} : { page: location.href, title: document.title };
    const token = remembered("token");
    for (const [name, value] of Object.entries({ host: location.origin, language: set.language || language, ...page, ...(token && { widget_token: token }) })) {
      url.searchParams.set(name, value);
    }
    frame = make("iframe", { title: words.chat, allow: "clipboard-write", hidden: true });
    frame.addEventListener("load", () => {
      if (!ready) expect(AFTER_LOAD);
    });
    frame.src = url;
    panel.append(before, frame, shut, state, after);
    expect(PATIENCE);
  }

  function expect(patience) {
    clearTimeout(giveUp);
    giveUp = setTimeout(fail, patience);
  }

  function fail() {
    if (ready) return;
    frame.hidden = true;
    state.hidden = false;
    const link = make("a", { href: home, target: "_blank", rel: "noopener", textContent: words.alone });
    state.replaceChildren(words.failed, document.createElement("br"), link);
    console.warn(`webchat: ${home} does not show the chat on ${location.origin}. Its operator finds out why at ${home}/admin/widget`);
  }

  function open({ focus = true } = {}) {
    load();
    if (panel.open) return;
    if (phone()) panel.showModal();
    else panel.show();
    launch.hidden = true;
    greeting?.remove();
    remember("greeted", "1");
    unread = 0;
    show();
    remember("open", "1");
    if (focus) (ready ? frame : shut).focus();
    if (focus && ready) tell({ webchat: "focus" });
    emit("open");
  }

  function close() {
    if (!panel.open) return;
    panel.close();
    launch.hidden = false;
    remember("open", null);
    launch.focus();
    emit("close");
  }

  function show() {
    badge.textContent = unread;
    badge.hidden = !unread;
    launch.ariaLabel = unread ? words.unread(unread) : words.chat;
  }

  function tell(message) {
    if (ready) frame.contentWindow.postMessage(message, home);
    else waiting.push(message);
  }

  const heard = {
    ready({ token }) {
      const first = !ready;
      ready = true;
      clearTimeout(giveUp);
      remember("token", token);
      frame.hidden = false;
      state.hidden = true;
      for (const message of waiting.splice(0)) tell(message);
      if (!first) return;
      if (panel.open && root.activeElement === shut) {
        frame.focus();
        tell({ webchat: "focus" });
      }
      emit("ready");
    },
    message({ text, source }) {
      if (!panel.open) unread += 1;
      show();
      emit("message", { text, source });
    },
    close,
    edge() {
      // Tab has left the frame's last control, or Shift+Tab its first; between them is only this.
      shut.focus();
    },
  };

  window.addEventListener("message", ({ origin, source, data }) => {
    if (origin !== home || !frame || source !== frame.contentWindow) return;
    if (Object.hasOwn(heard, data?.webchat)) heard[data.webchat](data);
  });
  launch.addEventListener("click", () => open());
  shut.addEventListener("click", close);
  panel.addEventListener("cancel", (event) => {
    event.preventDefault();
    close();
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  before.addEventListener("focus", () => shut.focus());
  after.addEventListener("focus", () => (ready ? frame : shut).focus());

  let greeting = null;
  if (set.greeting && !remembered("greeted")) {
    const say = make("button", { type: "button", textContent: set.greeting });
    const dismiss = make("button", { type: "button", className: "dismiss", ariaLabel: words.dismiss, textContent: "×" });
    greeting = make("div", { className: "greeting" }, say, dismiss);
    say.addEventListener("click", () => open());
    dismiss.addEventListener("click", () => {
      remember("greeted", "1");
      greeting.remove();
      launch.focus();
    });
    root.append(greeting);
  }
  root.append(launch, panel);

  window.webchat = {
    open: () => open(),
    close,
    send(text) {
      open();
      tell({ webchat: "send", text: String(text) });
    },
    on(event, listener) {
      if (!listeners.has(event)) listeners.set(event, new Set());
      listeners.get(event).add(listener);
      return () => listeners.get(event).delete(listener);
    },
  };

  function start() {
    document.body.append(host);
    // The visitor goes on reading; what they had open stays open beside it, and takes no focus.
    if (remembered("open") && !phone()) open({ focus: false });
  }

  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
