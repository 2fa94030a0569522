// Keys and autosave for the desk. Without this script the form does the same by Tab, arrows and Enter.
"use strict";
(() => {
  const form = document.getElementById("grade");
  if (!form) return;
  const keys = document.getElementById("keys");
  const saved = document.getElementById("saved");
  const groups = [...form.querySelectorAll("fieldset[data-judgement]")];
  const note = form.elements.note;
  let at = 0, timer = 0, sent = "";

  keys.closest("[hidden]").hidden = false;
  keys.checked = localStorage.getItem("venire-keys") !== "off";
  keys.addEventListener("change", () => localStorage.setItem("venire-keys", keys.checked ? "on" : "off"));

  const save = async () => {
    const data = new FormData(form);
    data.set("action", "draft");
    const body = new URLSearchParams(data).toString();
    if (body === sent) return;
    sent = body;
    try {
      const answer = await fetch(form.getAttribute("action"), {
        method: "POST", body, keepalive: true,
        headers: { "Content-Type": "application/x-www-form-urlencoded", "X-Autosave": "1" },
      });
      saved.textContent = answer.ok ? "Saved." : "Not saved: " + answer.status;
    } catch {
      saved.textContent = "Not saved: the service does not answer.";
    }
  };
  const later = (wait) => { clearTimeout(timer); timer = setTimeout(save, wait); };
  form.addEventListener("change", () => later(150));
  note.addEventListener("input", () => later(1000));
  form.addEventListener("submit", () => clearTimeout(timer));
  groups.forEach((group, k) => group.addEventListener("focusin", () => { at = k; }));

  const choose = (digit) => {
    const group = groups[at];
    const radio = group && group.querySelector(`input[data-key="${digit}"]`);
    if (!radio) return;
    radio.checked = true;
    radio.dispatchEvent(new Event("change", { bubbles: true }));
    const next = groups.findIndex((one) => !one.querySelector("input:checked"));
    const to = next < 0 ? radio : groups[next].querySelector("input[type=radio]");
    if (next >= 0) at = next;
    to.focus();
  };
  document.addEventListener("keydown", (event) => {
    if (!keys.checked || event.altKey || event.metaKey) return;
    if (event.key === "Enter" && event.ctrlKey) { form.querySelector("[value=submit]").click(); return; }
    if (event.ctrlKey) return;
    const typing = event.target.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");
    if (event.key === "Escape" && typing) { event.target.blur(); return; }
    if (typing) return;
    if (/^[0-9]$/.test(event.key)) { event.preventDefault(); choose(event.key); }
    else if (event.key === "n") { event.preventDefault(); note.focus(); }
    else if (event.key === "s") { event.preventDefault(); form.elements.skip_reason.focus(); }
  });
})();
