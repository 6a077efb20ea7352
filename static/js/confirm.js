// Forms with data-confirm ask before they are sent. The button that was pressed gives the words.
export function startConfirm() {
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const asker = event.submitter?.dataset.confirm ? event.submitter : form;
    if (!asker.dataset.confirm || form.dataset.confirmed) return;
    event.preventDefault();
    if (!(await ask(asker.dataset))) return;
    form.dataset.confirmed = "yes";
    form.requestSubmit(event.submitter ?? undefined);
    delete form.dataset.confirmed;
  });
}

function ask({ confirm, confirmTitle, confirmButton, confirmKind }) {
  const dialog = document.querySelector("#confirm");
  dialog.querySelector("h2").textContent = confirmTitle ?? "Are you sure?";
  dialog.querySelector("p").textContent = confirm;
  const yes = dialog.querySelector("[value=yes]");
  yes.textContent = confirmButton ?? "Go on";
  yes.classList.toggle("button-bad", confirmKind === "bad");
  yes.classList.toggle("button-main", confirmKind !== "bad");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
