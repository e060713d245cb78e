// Tells the other side of a conversation between two people that somebody is typing, every few seconds while they do.
// A page that has such another side has an element with data-typing, the address to tell, in a form.

const EVERY = 3000; // ms; the server takes it for twice as long
let told = -EVERY;

document.addEventListener("input", ({ target, timeStamp }) => {
  const form = document.querySelector("form[data-typing]");
  if (!form || target.id !== "text" || !target.value.trim() || timeStamp - told < EVERY) return;
  told = timeStamp;
  const body = new URLSearchParams({ csrf_token: form.elements.csrf_token.value });
  fetch(form.dataset.typing, { method: "POST", body }).catch(() => {}); // a courtesy, and no more
});

// What was sent is not being typed any more; the next words are.
document.addEventListener("submit", () => {
  told = -EVERY;
});
