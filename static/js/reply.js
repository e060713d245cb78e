// An operator's box to answer in: Enter sends, as in the chat; Shift and Enter begin a new line.

document.addEventListener("keydown", (event) => {
  if (event.target.id !== "text" || event.key !== "Enter" || event.shiftKey) return;
  if (event.isComposing || event.keyCode === 229) return; // it picks a candidate of an input method
  event.preventDefault();
  event.target.form?.requestSubmit();
});
